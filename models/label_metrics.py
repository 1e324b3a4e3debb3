"""Metrics of tasks with labels, and how far a model's lie from its baseline's, with bootstrap intervals.

Values are what models predict: of a binary task the probability of each target, of classes that of each class, else amounts.
A metric of several targets is the mean over those for which there is one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.metrics import Interval, Sampled
from models.metrics.answers import METRICS, Rows

EXCESS = "excess_loss"
"""Of several tasks the mean of how far the loss lies above that of saying the same of everybody, in units of that."""
LOSSES = ("log_loss", "mae", "mse")
LEAST_IS_BEST = (*LOSSES, "calibration_error", EXCESS)
BLOCK = 100_000  # counts of drawn rows that are held at a time


class Answered:
    """The rows of a task, made ready for its metrics.

    labels, weights  (rows, targets);  values  likewise, or (rows, classes). A weight of 0: there is no answer.
    """

    def __init__(self, labels: np.ndarray, values: np.ndarray, weights: np.ndarray):
        is_classes = labels.shape[1] == 1 < values.shape[1]
        self.columns = [
            (each, Rows(labels[each, target], values[each] if is_classes else values[each, target]))
            for target in range(labels.shape[1])
            if (each := np.flatnonzero(weights[:, target] > 0)).size
        ]

    def measured(self, name: str, counts: np.ndarray, absent: float = 0.0) -> np.ndarray:
        """A metric of each resample, (resamples,), by how often its rows were drawn, (resamples, rows); or `absent`."""
        found = np.full((1 + len(self.columns), len(counts)), np.nan)
        for place, (asked, rows) in enumerate(self.columns):
            of_asked = counts if len(asked) == counts.shape[1] else np.take(counts, asked, axis=1)
            found[place] = METRICS[name](rows, of_asked)
        known = ~np.isnan(found)
        sums = np.where(known, found, 0.0).sum(axis=0)
        return np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), absent)


def choosing(metrics: Sequence[str]) -> str:
    """Which of a task's metrics chooses epochs and settings: the first loss among them, else the first; of none, EXCESS.

    A loss tells when a model begins to be too sure, which metrics of the order of rows, such as ROC-AUC, do not see; and any
    rows have one, those without a positive too.
    """
    losses = [name for name in metrics if name in LOSSES]
    return [*losses, *metrics, EXCESS][0]


def measured(
    names: Sequence[str],
    labels: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    absent: float = 0.0,
) -> dict[str, float]:
    """Each metric of a task's rows, as in `Answered`; `absent` where it has none at all."""
    answered, once = Answered(labels, values, weights), np.ones((1, len(labels)))
    return {name: float(answered.measured(name, once, absent)[0]) for name in names}


def aligned(values: np.ndarray, own: Sequence[str], names: Sequence[str], head: str) -> np.ndarray:
    """What a model says of its `own` targets or classes, (rows, own), as of others by their `names`: (rows, names).

    own tea jam   names jam milk       (classes)
    0.7 0.3                        ->  0.3 0.0     NaN in place of 0.0 where these are targets: nothing is said

    A model cannot predict a class that it does not know.
    """
    absent = 0.0 if head == "classes" else np.nan
    found: np.ndarray = np.full((len(values), len(names)), absent, values.dtype)
    for place, name in enumerate(names):
        if name in own:
            found[:, place] = values[:, list(own).index(name)]
    return found


def draws(rows: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each row is drawn: (some, rows) float64, all rows once, and then by lot, `resamples` in all."""
    yield np.ones((1, rows))
    rng = np.random.default_rng(seed)
    at_a_time = max(1, BLOCK // max(rows, 1))
    for done in range(0, resamples, at_a_time):
        many = min(at_a_time, resamples - done)
        each = [np.bincount(rng.integers(rows, size=rows), minlength=rows) for _ in range(many)]
        yield np.array(each, np.float64)


def sampled(
    names: Sequence[str],
    labels: np.ndarray,
    weights: np.ndarray,
    values: Mapping[str, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Sampled]]:
    """Of each model each metric, of all users and of each resample of them.

    labels, weights, values  as in `Answered`; values by model
    A resample draws users, each with all answers and with what every model said of them, so that models are paired.
    """
    answered = {model: Answered(labels, each, weights) for model, each in values.items()}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for counts in draws(len(labels), resamples, seed):
        for model, each in answered.items():
            for name in names:
                found.setdefault((model, name), []).append(each.measured(name, counts))
    return {model: {name: of_draws(len(labels), found[model, name]) for name in names} for model in answered}


def sampled_rows(
    names: Sequence[str],
    users: np.ndarray,
    labels: np.ndarray,
    values: Mapping[str, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Sampled]]:
    """Of each model each metric of answers of one kind, all together; a resample draws users, each with all theirs.

    users, labels  (rows,) whose an answer is, and what came;  values  (rows,) by model
    """
    people, user = np.unique(users, return_inverse=True)
    rows = {model: Rows(labels, each) for model, each in values.items()}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for counts in draws(len(people), resamples, seed):
        of_rows = np.take(counts, user, axis=1)
        for model, each in rows.items():
            for name in names:
                found.setdefault((model, name), []).append(METRICS[name](each, of_rows))
    return {model: {name: of_draws(len(people), found[model, name]) for name in names} for model in rows}


def of_draws(rows: int, parts: Sequence[np.ndarray]) -> Sampled:
    """What was measured of each part of `draws`."""
    whole, *drawn = parts
    return Sampled(rows, float(whole[0]), np.concatenate(drawn))


class Against(NamedTuple):
    """A metric of a model, and how far it lies from that of the best baseline."""

    value: Interval
    difference: Interval
    baseline: str

    def told(self) -> dict[str, Any]:
        """For a file."""
        return {
            "value": self.value._asdict(),
            "difference": self.difference._asdict(),
            "baseline": self.baseline,
        }


def compared(
    names: Sequence[str],
    labels: np.ndarray,
    weights: np.ndarray,
    values: Mapping[str, np.ndarray],
    resamples: int,
    confidence: float,
    seed: int,
    baselines: Sequence[str] = (),
) -> dict[str, dict[str, Against]]:
    """Of each model each metric beside that of the baseline that is best at it on these rows; see `sampled`.

    baselines  models among `values`; none: the first
    """
    found = sampled(names, labels, weights, values, resamples, seed)
    best = {name: _best(name, found, baselines or list(values)[:1]) for name in names}
    return {
        model: {
            name: Against(
                each.interval(confidence), (each - found[best[name]][name]).interval(confidence), best[name]
            )
            for name, each in of_model.items()
        }
        for model, of_model in found.items()
    }


def _best(name: str, found: Mapping[str, Mapping[str, Sampled]], models: Sequence[str]) -> str:
    choose = min if name in LEAST_IS_BEST else max
    return choose(models, key=lambda model: found[model][name].value)
