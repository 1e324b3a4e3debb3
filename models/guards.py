"""What a challenger may not lose while it wins: guards beside the primary metric, each with its interval.

A guard is breached where its whole interval lies beyond its limit: noise keeps nobody out, and a plain loss does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student_t

from models.fairness import Split
from models.metrics import PADDING, Interval, mean_and_interval, padded
from models.metrics.lists import gini_of, long_tail, tail_share

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
    challenger: Mapping[str, Split],
    champion: Mapping[str, Split],
    *,
    loss: float,
    least_users: int,
    confidence: float,
    least_is_best: bool = False,
) -> list[Guard]:
    """In each group of enough users, and among everybody outside it, a share `loss` of the champion's metric may be lost.

    challenger, champion  group of users -> the metric, sampled alike;  least_is_best  of the metric
    """
    found = []
    for name, theirs in champion.items():
        ours = challenger[name]
        sides = (
            (name, theirs.users, ours.inside, theirs.inside),
            (f"not {name}", theirs.others, ours.outside, theirs.outside),
        )
        for which, users, one, other in sides:
            difference = (one - other).interval(confidence)
            if users < least_users or np.isnan(difference.mean):
                continue
            limit = loss * abs(other.value)
            least, most = (None, limit) if least_is_best else (-limit, None)
            found.append(Guard(f"segment {which}", *difference, least, most))
    return found


def gap_guards(
    challenger: Mapping[str, Split],
    champion: Mapping[str, Split],
    *,
    rise: float,
    least_users: int,
    confidence: float,
) -> list[Guard]:
    """The distance between the metric inside and outside a group may grow by `rise` at most.

    challenger, champion  as in `segment_guards`. Both sides are of enough users.
    """
    found = []
    for name, theirs in champion.items():
        growth = (abs(challenger[name].gap) - abs(theirs.gap)).interval(confidence)
        if min(theirs.users, theirs.others) >= least_users and not np.isnan(growth.mean):
            found.append(Guard(f"gap {name}", *growth, None, rise))
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
    wide = _half_width(left, confidence)
    name = f"coverage ({seen[0] / candidates:.1%} of the items, the champion {seen[1] / candidates:.1%})"
    return Guard(name, quotient, quotient - wide, quotient + wide, share, None)


def exposure_guards(
    challenger: Sequence[np.ndarray],
    champion: Sequence[np.ndarray],
    sessions: np.ndarray,
    *,
    gini_rise: float,
    tail_loss: float,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[Guard]:
    """How unequally candidates are shown, by Gini's coefficient, and the share of what is shown that is of the long tail.

    challenger, champion  as in `coverage_guard`;  sessions  (V,) int by item index, of each candidate; 0: it is none
    Both are differences, challenger less champion; that of the coefficients has the interval of a jackknife.
    """
    lists = [padded(each, PADDING) for each in (challenger, champion)]
    is_candidate = sessions > 0
    groups = min(GROUPS, len(challenger))
    group = np.arange(len(challenger)) % groups
    times = [
        np.stack([_times(each[group == one], len(sessions))[is_candidate] for one in range(groups)])
        for each in lists
    ]  # (groups, candidates), twice
    ours, theirs = (gini_of(each.sum(axis=0)) for each in times)
    left = np.array([[gini_of(each.sum(axis=0) - one) for one in each] for each in times])
    more, wide = ours - theirs, _half_width(left[0] - left[1], confidence)
    shares = [tail_share(each, long_tail(sessions)) for each in lists]
    name = f"gini ({ours:.3f}, the champion {theirs:.3f})"
    of_tail = (
        f"long tail ({np.nanmean(shares[0]):.1%} of what is shown, the champion {np.nanmean(shares[1]):.1%})"
    )
    less = mean_and_interval(shares[0] - shares[1], resamples, confidence, seed)
    return [
        Guard(name, more, more - wide, more + wide, None, gini_rise),
        Guard(of_tail, *less, -tail_loss, None),
    ]


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


def _half_width(left: np.ndarray, confidence: float) -> float:
    """Of the interval of a jackknife, by what is left without each group, (groups,)."""
    groups = len(left)
    variance = (groups - 1) / groups * float(np.square(left - left.mean()).sum())
    return float(student_t.ppf((1 + confidence) / 2, groups - 1)) * variance**0.5 if variance else 0.0


def _times(lists: np.ndarray, size: int) -> np.ndarray:
    """How often each item is in lists, (size,) by item index."""
    return np.bincount(lists[lists > PADDING], minlength=size)[:size]
