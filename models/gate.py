"""The gate: does a challenger take the champion's place?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.guards import Guard
from models.metrics import Interval, Sampled


@dataclass(frozen=True)
class Decision:
    """What the gate decided, and on what."""

    promote: bool
    reason: str  # in words, for the ledger and the report
    metric: str
    users: int  # judged by both
    challenger: float  # the metric of all of them
    champion: float | None  # none: there was no champion
    difference: Interval | None  # challenger less champion, paired by user
    guards: tuple[Guard, ...] = ()


def decide(
    metric: str,
    challenger: Sampled,
    champion: Sampled | None,
    *,
    confidence: float,
    least_is_best: bool = False,
    margin: float | None = None,
    guards: Sequence[Guard] = (),
) -> Decision:
    """Promotes where there is no champion; else where the paired difference's interval says so, and no guard is breached.

    challenger, champion: the metric, sampled alike from the same users
    least_is_best: of the metric, as of a loss or an error: the interval must then lie below where else it must lie above
    margin: of a refresh, the champion's own configuration on newer data: the share of the champion's value that the
    difference may be worse than zero with its whole interval. None: a new configuration, whose interval must be better.
    """
    users, ours = challenger.users, challenger.value
    if champion is None:
        reason = f"there is no champion yet: the first is the best baseline ({metric} {ours:.4f})"
        return Decision(True, reason, metric, users, ours, None, None)
    theirs, difference = champion.value, (challenger - champion).interval(confidence)
    worse = 1 if least_is_best else -1
    limit = 0.0 if margin is None else worse * margin * theirs
    is_better = difference.high < limit if least_is_best else difference.low > limit
    side = "below" if least_is_best else "above"
    where = "zero"
    if margin is not None:
        other_side = "above" if least_is_best else "below"
        where = f"{limit:.4f}, {100 * margin:g}% {other_side} the champion: a refresh of the same"
    reason = (
        f"{metric} {ours:.4f} against {theirs:.4f} on {users} users: "
        f"the difference of {difference.mean:+.4f} has the {100 * confidence:g}% interval "
        f"{difference.low:+.4f} to {difference.high:+.4f}, which "
        f"{'lies' if is_better else 'does not lie'} {side} {where}"
    )
    breached = [str(guard) for guard in guards if not guard.passed]
    if breached:
        reason += "; a guard is breached: " + "; ".join(breached)
    promote = is_better and not breached
    return Decision(promote, reason, metric, users, ours, theirs, difference, tuple(guards))


def best(values: Mapping[str, float], least_is_best: bool = False) -> str:
    """The name with the best value of a metric; the first in the alphabet among equals. Picks the first champion."""
    if not values:
        raise ValueError("nothing to choose from: expected the values of at least one model")
    return (min if least_is_best else max)(sorted(values), key=lambda name: values[name])
