"""What a challenger may not lose while it wins: guards beside the primary metric, each with its interval.

A guard is breached where its whole interval lies beyond its limit: noise keeps nobody out, and a plain loss does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from models.metrics import PADDING, Interval, mean_and_interval, sampled_means

GROUPS = 20
"""Of users, one of which the jackknife leaves out at a time."""


@dataclass(frozen=True)
class Guard:
    """One guard of one decision."""

    name: str
    value: float
    low: float
    high: float
    least: float | None  # the least that passes; none: no limit
    most: float | None  # the most that passes; none: no limit

    @property
    def passed(self) -> bool:
        beyond = (self.least is not None and self.high < self.least) or (
            self.most is not None and self.low > self.most
        )
        return not beyond

    def __str__(self) -> str:
        """`segment new: -0.0310 (-0.0402 to -0.0221), expected at least -0.0100`."""
        limits = (("at least", self.least), ("at most", self.most))
        expected = " and ".join(f"{word} {limit:.4g}" for word, limit in limits if limit is not None)
        return f"{self.name}: {self.value:.4g} ({self.low:.4g} to {self.high:.4g}), expected {expected}"


def segment_guards(
    challenger: np.ndarray,
    champion: np.ndarray,
    segments: Mapping[str, np.ndarray],
    *,
    loss: float,
    least_users: int,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Guard]:
    """In each segment of enough users the challenger may lose a share `loss` of the champion's mean, paired by user.

    challenger, champion  the metric of each user, float (users,);  segments  name -> bool (users,)
    """
    found = []
    for name, member in segments.items():
        if np.count_nonzero(member) < least_users:
            continue
        difference = mean_and_interval(challenger[member] - champion[member], resamples, confidence, seed)
        limit = -loss * float(champion[member].mean())
        found.append(Guard(f"segment {name}", *difference, limit, None))
    return found


def gap_guards(
    challenger: np.ndarray,
    champion: np.ndarray,
    segments: Mapping[str, np.ndarray],
    *,
    rise: float,
    least_users: int,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Guard]:
    """The distance between the means inside and outside a segment may grow by `rise` at most, in the metric's unit.

    Arrays as in `segment_guards`. A resample draws users, each with both its values. A segment and what is left of all users
    have the same distance: of two such segments the first one is guarded.
    """
    found: list[Guard] = []
    guarded: list[np.ndarray] = []
    values = np.column_stack([challenger, champion]).astype(np.float64)
    for name, member in segments.items():
        inside = np.count_nonzero(member)
        is_rest = any(np.array_equal(member, ~other) for other in guarded)
        if is_rest or min(inside, len(member) - inside) < least_users:
            continue
        guarded.append(member)
        in_and_out = np.where(member[:, None], values, np.nan), np.where(member[:, None], np.nan, values)
        ours, theirs, ours_outside, theirs_outside = sampled_means(np.hstack(in_and_out), resamples, seed)
        growth = abs(ours - ours_outside) - abs(theirs - theirs_outside)
        found.append(Guard(f"gap {name}", *growth.interval(confidence), None, rise))
    return found


def coverage_guard(
    challenger: Sequence[np.ndarray],
    champion: Sequence[np.ndarray],
    candidates: int,
    *,
    share: float,
    confidence: float,
) -> Guard:
    """Of all candidates, those that somebody is shown: at least `share` of what the champion's lists cover.

    challenger, champion  item indices shown to each user, int (k,) each, in the same order of users, of which there are some
    A resample of users would cover less than all of them do. The interval of the quotient is that of a jackknife that leaves
    out one of GROUPS groups of users at a time (Kott, 2001, "The delete-a-group jackknife"), with Student's quantile.
    """
    groups = min(GROUPS, len(challenger))
    group = np.arange(len(challenger)) % groups
    seen, without = zip(*(_covered(lists, group, groups) for lists in (challenger, champion)), strict=True)
    quotient, left = seen[0] / max(1, seen[1]), without[0] / np.maximum(1, without[1])
    variance = (groups - 1) / groups * float(np.square(left - left.mean()).sum())
    wide = float(student_t.ppf((1 + confidence) / 2, groups - 1)) * variance**0.5 if variance else 0.0
    name = f"coverage ({seen[0] / candidates:.1%} of the items, the champion {seen[1] / candidates:.1%})"
    return Guard(name, quotient, quotient - wide, quotient + wide, share, None)


def answered_guard(
    answered: np.ndarray, *, share: float, resamples: int, confidence: float, seed: int
) -> Guard:
    """Of the users who are asked, those whom the challenger answers with numbers, bool (users,): a `share` at least."""
    return Guard("users answered", *mean_and_interval(answered, resamples, confidence, seed), share, None)


def calibration_guard(difference: Interval, rise: float) -> Guard:
    """The calibration error of the challenger's probabilities less the champion's, paired by user: `rise` at most.

    The expected calibration error of Naeini, Cooper and Hauskrecht, 2015, "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning", over tenths of the rows in place of bins of equal width, as Nixon et al., 2019, "Measuring
    Calibration in Deep Learning", have it; of several targets their mean. A model can rank better than another and yet
    promise what does not come true, which whoever multiplies its probabilities by money would pay for.
    """
    return Guard("calibration error", *difference, None, rise)


def latency_guard(seconds: np.ndarray, *, most: float, resamples: int, confidence: float, seed: int) -> Guard:
    """Mean seconds that scoring took a user, (users,), of one worker."""
    return Guard("seconds a user", *mean_and_interval(seconds, resamples, confidence, seed), None, most)


def size_guard(size: int, most: float) -> Guard:
    """Bytes of the exported model, known exactly, against `most` megabytes."""
    megabytes = size / 1e6
    return Guard("megabytes of the model", megabytes, megabytes, megabytes, None, most)


def _covered(lists: Sequence[np.ndarray], group: np.ndarray, groups: int) -> tuple[int, np.ndarray]:
    """Items that are shown to somebody, and those shown to somebody outside each group of users, (groups,)."""
    owner = np.repeat(group, [len(each) for each in lists])
    pairs = np.unique(np.column_stack([np.concatenate(lists), owner]), axis=0)
    pairs = pairs[pairs[:, 0] != PADDING]
    items, first, shown_to = np.unique(pairs[:, 0], return_index=True, return_counts=True)
    only_here = np.bincount(pairs[first, 1][shown_to == 1], minlength=groups)
    return len(items), len(items) - only_here
