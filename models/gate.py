"""The gate: does a challenger take the champion's place?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.guards import Guard
from models.metrics import Interval, mean, mean_and_interval


@dataclass(frozen=True)
class Decision:
    """What the gate decided, and on what."""

    promote: bool
    reason: str  # in words, for the ledger and the report
    metric: str
    users: int  # judged by both
    challenger: float  # mean of the metric
    champion: float | None  # none: there was no champion
    difference: Interval | None  # challenger less champion, paired by user
    guards: tuple[Guard, ...] = ()


def paired_bootstrap(
    challenger: np.ndarray, champion: np.ndarray, resamples: int, confidence: float, seed: int
) -> Interval:
    """The mean difference challenger - champion (users,), and its percentile bootstrap interval.

    A resample draws users, each with both its values: what makes a user easy or hard for both cancels out.
    """
    challenger, champion = np.asarray(challenger, np.float64), np.asarray(champion, np.float64)
    if challenger.shape != champion.shape or challenger.ndim != 1:
        raise ValueError(
            f"the challenger's values have the shape {challenger.shape}, the champion's {champion.shape}: "
            "expected one value a user, of the same users in the same order"
        )
    return mean_and_interval(challenger - champion, resamples, confidence, seed)


def decide(
    metric: str,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    *,
    margin: float | None = None,
    guards: Sequence[Guard] = (),
    resamples: int,
    confidence: float,
    seed: int,
) -> Decision:
    """Promotes where there is no champion; else where the paired difference's interval says so, and no guard is breached.

    challenger, champion: the metric of the same users in the same order, float (users,)
    margin: of a refresh, the champion's own configuration on newer data: the share of the champion's mean that the
    difference may lie below zero with its whole interval. None: a new configuration, whose interval must lie above zero.
    """
    users, mean = len(challenger), float(np.mean(challenger))
    if champion is None:
        reason = f"there is no champion yet: the first is the best baseline ({metric} {mean:.4f})"
        return Decision(True, reason, metric, users, mean, None, None)
    difference = paired_bootstrap(challenger, champion, resamples, confidence, seed)
    champion_mean = float(np.mean(champion))
    limit = 0.0 if margin is None else -margin * champion_mean
    is_better = difference.low > limit
    where = (
        "zero"
        if margin is None
        else f"{limit:.4f}, {100 * margin:g}% below the champion: a refresh of the same"
    )
    reason = (
        f"{metric} {mean:.4f} against {champion_mean:.4f} on {users} users: "
        f"the difference of {difference.mean:+.4f} has the {100 * confidence:g}% interval "
        f"{difference.low:+.4f} to {difference.high:+.4f}, which "
        + (f"lies above {where}" if is_better else f"does not lie above {where}")
    )
    breached = [str(guard) for guard in guards if not guard.passed]
    if breached:
        reason += "; a guard is breached: " + "; ".join(breached)
    promote = is_better and not breached
    return Decision(promote, reason, metric, users, mean, champion_mean, difference, tuple(guards))


def best(values: Mapping[str, np.ndarray]) -> str:
    """The name with the highest mean; the first in the alphabet among equals. Picks the first champion.

    values: name -> the metric of each user, float (users,); NaN where it says nothing of one
    """
    if not values:
        raise ValueError("nothing to choose from: expected the values of at least one model")
    return max(sorted(values), key=lambda name: mean(values[name]))
