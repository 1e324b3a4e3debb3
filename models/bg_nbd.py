"""BG/NBD, a baseline of whether a user stays away: how often they come, and whether they are gone for good.

Visits of a user who is not gone come at random at a rate of their own, which varies over users as Gamma(r, alpha); behind
each visit they go for good with a chance of their own, which varies as Beta(a, b). Fader, Hardie and Lee (2005), "Counting
Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model. It looks at three features of a user alone.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

LOOKED_AT = ("session_count", "recency", "tenure")
STARTS = ((1.0, 1.0, 1.0, 1.0), (0.3, 1.0, 0.5, 3.0))
"""Of r, alpha in mean tenures, a and b."""
BOUNDS = (-7.0, 9.0)  # of their logarithms


class Visits(NamedTuple):
    """Of each user, times since the first visit."""

    again: np.ndarray  # (users,) visits behind the first
    last: np.ndarray  # (users,) days from the first to the last
    until: np.ndarray  # (users,) days from the first to the moment

    @classmethod
    def of(cls, session_count: Any, recency: Any, tenure: Any) -> "Visits":
        """From the features of these names, arrays or tensors."""
        return cls(session_count - 1, tenure - recency, tenure)


class Shape(NamedTuple):
    """How users differ."""

    r: float
    alpha: float  # days
    a: float
    b: float


class Unscaled(NamedTuple):
    """Where a feature stands among those of an example set, and how it comes back from what it was scaled to."""

    place: int
    is_log: bool
    center: float
    spread: float

    def __call__(self, features: Any, exp: Any) -> Any:
        value = features[:, self.place] * self.spread + self.center
        return exp(value) - 1 if self.is_log else value


class BgNbd(tf.Module):
    """The chance that a user does not come within `horizon` days, as the `value` of a task's one target."""

    def __init__(self, size: int, shape: Shape, horizon: float, columns: Mapping[str, Unscaled]):
        super().__init__()
        self.vocabulary_size, self.horizon, self.columns = size, horizon, dict(columns)
        self.shape = tf.Variable(shape, dtype=tf.float32, trainable=False)

    def predict(
        self, items: tf.Tensor, sessions: tf.Tensor, features: tf.Tensor, naive: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """features (batch, features) -> `value` (batch, 1)."""
        return {"value": tf.sigmoid(self.log_odds(features))}

    def log_odds(self, features: tf.Tensor) -> tf.Tensor:
        """(batch, features) -> (batch, 1): the logarithm of the odds of staying away."""
        visits = Visits.of(**{name: of(features, tf.exp) for name, of in self.columns.items()})
        x, last, until = (tf.maximum(each, 0.0) for each in visits)
        last = tf.minimum(last, until)
        r, alpha, a, b = tf.unstack(self.shape)
        gone = (
            tf.math.log(a)
            - tf.math.log(b + tf.maximum(x, 1.0) - 1)
            + (r + x) * tf.math.log((alpha + until) / (alpha + last))
        )
        gone = tf.where(x > 0.5, gone, -100.0)  # nobody goes before they have come again
        none = (r + x) * tf.math.log(
            (alpha + until) / (alpha + until + self.horizon)
        )  # of who is alive, a logarithm
        comes = tf.math.log_sigmoid(-gone) + tf.math.log(-tf.math.expm1(tf.minimum(none, -1e-6)))
        return (tf.math.log(-tf.math.expm1(tf.minimum(comes, -1e-6))) - comes)[:, None]


def fit(spec: Mapping[str, Any], features: np.ndarray, size: int) -> BgNbd:
    """The baseline, by the likelihood of training rows.

    spec      of an example set;  features  (rows, features) float32, scaled as it says;  size  of the vocabulary

    A user of several snapshots counts once for each.
    """
    columns = columns_of(spec)
    visits = Visits.of(**{name: of(features.astype(np.float64), np.exp) for name, of in columns.items()})
    x, last, until = (np.maximum(each, 0) for each in visits)
    shape = most_likely(Visits(np.round(x), np.minimum(last, until), until))
    return BgNbd(size, shape, spec["label"]["horizon_days"], columns)


def columns_of(spec: Mapping[str, Any]) -> dict[str, Unscaled]:
    """The features that are looked at; a ValueError where a task has others."""
    names, statistics = spec["label"]["features"], spec["label"]["statistics"]
    if missing := sorted(set(LOOKED_AT) - set(names)):
        raise ValueError(
            f"bg_nbd looks at {', '.join(LOOKED_AT)}, and the task has no {', '.join(missing)}: "
            "add to task.label.features, or leave bg_nbd out of task.label.beside"
        )
    return {
        name: Unscaled(
            names.index(name),
            statistics[name]["scale"] == "log",
            statistics[name]["center"],
            statistics[name]["spread"],
        )
        for name in LOOKED_AT
    }


def most_likely(visits: Visits) -> Shape:
    """The shape by which these visits are most likely; a ValueError where there are none."""
    if not len(visits.again):
        raise ValueError("bg_nbd is fitted on users, got none")
    unit = max(float(visits.until.mean()), 1e-6)
    scaled = Visits(visits.again, visits.last / unit, visits.until / unit)
    tries = [
        minimize(
            lambda logs: -log_likelihood(Shape(*np.exp(logs)), scaled).mean(),
            np.log(start),
            method="L-BFGS-B",
            bounds=[BOUNDS] * len(start),
        )
        for start in STARTS
    ]
    r, alpha, a, b = np.exp(min(tries, key=lambda each: each.fun).x)
    return Shape(r, alpha * unit, a, b)


def log_likelihood(shape: Shape, visits: Visits) -> np.ndarray:
    """(users,): the logarithm of equation 6 of the paper."""
    (r, alpha, a, b), (x, last, until) = shape, visits
    rate = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stays = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + until)
    leaves = betaln(a + 1, b + np.maximum(x, 1) - 1) - betaln(a, b) - (r + x) * np.log(alpha + last)
    return rate + np.where(x > 0, np.logaddexp(stays, leaves), stays)
