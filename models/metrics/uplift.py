"""How good predicted effects of a treatment are, by what came of those who were treated and of those held out by lot.

score, truth   (users,) what is predicted to be the effect on each; what it is, in a made-up world
treated        (users,) bool: in which arm each was
outcome        (users,) what came

Users with the same score are taken together, so that a model that says the same of everybody ranks nobody.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from models.metrics.intervals import Sampled

TOP = 0.1  # share of the users whom `uplift_at_10` looks at
LEAST_IS_BEST = ("error",)


class Curve(NamedTuple):
    """Of the users down to each score, from none to all: how many of each arm, and what came of them, added up."""

    treated: np.ndarray  # (points,)
    held_out: np.ndarray
    outcome_treated: np.ndarray
    outcome_held_out: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Of all users, (points,)."""
        users = self.treated + self.held_out
        return users / users[-1]

    @property
    def gain(self) -> np.ndarray:
        """What treating these alone gains, (points,), by treated user, in the outcome's unit: see `qini_curve`."""
        held_out = np.where(self.held_out > 0, self.held_out, np.inf)
        return (self.outcome_treated - self.outcome_held_out * self.treated / held_out) / self.treated[-1]


def qini_curve(score: np.ndarray, treated: np.ndarray, outcome: np.ndarray) -> Curve:
    """The curve whose gain is (R_t - R_c N_t / N_c) / N of all treated (Radcliffe, 2007, "Using Control Groups to Target on
    Predicted Lift: Building and Assessing Uplift Models"), where N users and outcomes R lie above a score.

    score  treated  outcome    share  gain
                               0      0
    0.9    yes      1          0.25   (1 - 0) / 2          nobody is held out yet: nothing is taken off
    0.5    no       0          0.5    (1 - 0 x 1 / 1) / 2
    0.4    no       1          0.75   (1 - 1 x 1 / 2) / 2
    0.1    yes      0          1      (1 - 1 x 2 / 2) / 2  the mean effect
    """
    return _resampled(*_ordered(score, treated, outcome), None)


def qini(curve: Curve) -> float:
    """The area between the gain and the straight line to its end, which is that of whoever treats at random.

    The Qini coefficient of Radcliffe, 2007, in the outcome's unit: not divided by that of the best order, which is unknown.
    0: as good as the lot. Of the example of `qini_curve`: 0.25 (0.5 / 2 + 0.5 + 0.75 / 2 + 0.25 / 2) = 0.3125.
    """
    share, gain = curve.share, curve.gain
    return float((np.diff(share) * (gain[1:] + gain[:-1])).sum() / 2 - gain[-1] / 2)


def uplift_at(curve: Curve, top: float) -> float:
    """The mean outcome of the treated less that of the held out, in the share `top` of the users with the highest scores.

    Of users with one score at its edge each counts in part. NaN where an arm has nobody there. Of the example of
    `qini_curve`, at 0.75: 1 - 0.5.
    """
    at = [float(np.interp(top, curve.share, column)) for column in curve]
    return at[2] / at[0] - at[3] / at[1] if at[0] > 0 and at[1] > 0 else np.nan


def error(score: np.ndarray, truth: np.ndarray, times: np.ndarray | None = None) -> float:
    """The root of the mean squared distance of predicted and true effects (PEHE: Hill, 2011, "Bayesian Nonparametric
    Modeling for Causal Inference"). (0.1, 0.3) for (0.1, 0.0): root of 0.09 / 2.

    times  (users,) how often each counts; none: once
    """
    return float(np.sqrt(np.average((score - truth) ** 2, weights=times)))


def sampled_uplift(
    scores: Mapping[str, np.ndarray],
    treated: np.ndarray,
    outcome: np.ndarray,
    truth: np.ndarray | None,
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Sampled]]:
    """Of each model `qini`, `uplift_at_10` and, where there is a truth, `error`, of all users and of each resample of them.

    A resample draws users, each with arm, outcome and every model's score, so that models are paired.
    """
    users, rng = len(treated), np.random.default_rng(seed)
    ordered = {name: _ordered(score, treated, outcome) for name, score in scores.items()}
    drawn: dict[str, list[dict[str, float]]] = {name: [] for name in scores}
    for number in range(resamples + 1):
        times = np.bincount(rng.integers(users, size=users), minlength=users) if number else None
        for name, score in scores.items():
            curve = _resampled(*ordered[name], times)
            found = {"qini": qini(curve), "uplift_at_10": uplift_at(curve, TOP)}
            drawn[name].append(found if truth is None else found | {"error": error(score, truth, times)})
    return {
        name: {
            metric: Sampled(users, each[0][metric], np.array([one[metric] for one in each[1:]]))
            for metric in each[0]
        }
        for name, each in drawn.items()
    }


def _ordered(
    score: np.ndarray, treated: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The users from the highest score to the lowest; the last place of each score; and (4, users), whom `Curve` adds up."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    arms = np.stack([treated, ~treated]).astype(np.float64)
    return order, last, np.concatenate([arms, arms * outcome])[:, order]


def _resampled(order: np.ndarray, last: np.ndarray, columns: np.ndarray, times: np.ndarray | None) -> Curve:
    counted = columns if times is None else columns * times[order]
    return Curve(*np.pad(np.cumsum(counted, axis=1)[:, last], ((0, 0), (1, 0))))
