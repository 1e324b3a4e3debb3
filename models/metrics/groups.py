"""How good groups of users are: what they tell of spending, and how far they stay the same."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment


def adjusted_rand(table: np.ndarray) -> float:
    """How far two groupings agree, from the users (groups of one, groups of the other) that are in both of each pair.

    1: they are the same; 0: as chance would have it. Hubert and Arabie, 1985, "Comparing partitions".
    """

    def pairs(counts: np.ndarray) -> float:
        counts = counts.astype(np.float64)
        return float((counts * (counts - 1) / 2).sum())

    both, one, other = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    everything = pairs(np.array([table.sum()]))
    by_chance = one * other / everything if everything else 0.0
    most = (one + other) / 2
    return 1.0 if most == by_chance else (both - by_chance) / (most - by_chance)


def carried_on(table: np.ndarray) -> np.ndarray:
    """New group -> its number: that of the old group with which it shares users, so that as many as can be keep theirs.

    table  (new groups, old groups) users in both -> (new groups,) int; groups that carry none on get numbers never had
    """
    new, old = linear_sum_assignment(-table)
    numbers = np.full(len(table), -1)
    kept = table[new, old] > 0
    numbers[new[kept]] = old[kept]
    free = iter(range(table.shape[1], table.shape[1] + len(table)))
    return np.array([number if number >= 0 else next(free) for number in numbers], int)


def fifths(values: np.ndarray) -> np.ndarray:
    """(users,) -> in which fifth each lies, 0 to 4; equal values lie in the same."""
    order = np.sort(values)
    below = np.searchsorted(order, values, side="left")
    return np.minimum(below * 5 // max(len(values), 1), 4)


class Explained(NamedTuple):
    """What groups tell of an amount."""

    share: float  # of its variance; 0: no more than the mean of all, below 0: less
    errors: np.ndarray  # (held,) squared, of the users of whom the groups' means were not made
    variance: float  # of these users' amounts


def explained(groups: np.ndarray, amount: np.ndarray, is_held: np.ndarray) -> Explained:
    """The share of the variance of `amount` that the means of groups explain, in users of whom these are not made.

    groups   (users,) int >= 0;  amount  (users,) float;  is_held  (users,) bool: on whom it is measured
    A group without others has the mean of all.
    """
    told, size = ~is_held, int(groups.max(initial=0)) + 1
    counts = np.bincount(groups[told], minlength=size)
    sums = np.bincount(groups[told], amount[told], minlength=size)
    mean = float(amount[told].mean())
    means = np.divide(sums, counts, out=np.full(size, mean), where=counts > 0)
    held = amount[is_held]
    errors = np.square(held - means[groups[is_held]])
    variance = float(np.square(held - mean).mean())
    return Explained(1 - float(errors.mean()) / variance if variance else 0.0, errors, variance)
