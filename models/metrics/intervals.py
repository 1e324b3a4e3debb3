"""Means over users and their bootstrap intervals."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BLOCK = 4_000_000  # random draws held at a time


class Interval(NamedTuple):
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Sampled:
    """A metric of some users, and of each resample of them; whatever was sampled alike is paired with it."""

    users: int
    value: float  # of all of them
    drawn: np.ndarray  # (resamples,) float64

    def __sub__(self, other: "Sampled") -> "Sampled":
        """The paired difference: what makes a user easy or hard for both cancels out."""
        if (self.users, len(self.drawn)) != (other.users, len(other.drawn)):
            raise ValueError(
                f"{len(self.drawn)} resamples of {self.users} users less {len(other.drawn)} of {other.users}: "
                "expected those of the same users in the same order"
            )
        return Sampled(self.users, self.value - other.value, self.drawn - other.drawn)

    def __abs__(self) -> "Sampled":
        return Sampled(self.users, abs(self.value), np.abs(self.drawn))

    def interval(self, confidence: float) -> Interval:
        """The percentile bootstrap interval; NaN where there is nothing."""
        ends = np.nanquantile(self.drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
        return Interval(self.value, *map(float, ends))


def mean_and_interval(values: np.ndarray, resamples: int, confidence: float, seed: int) -> Interval:
    """The mean of `values` (users,) and its percentile bootstrap interval, resampling users."""
    return sampled_means(np.asarray(values)[:, None], resamples, seed)[0].interval(confidence)


def sampled_means(values: np.ndarray, resamples: int, seed: int) -> list[Sampled]:
    """The mean of each column of `values` (users, columns), and that of each resample of users.

    A resample draws users, each with the whole row: columns stay paired, and all share one matrix product of how often
    each user was drawn. Efron and Tibshirani, 1993, "An Introduction to the Bootstrap", chapter 13.
    NaN is a user of whom the column says nothing, such as first-time items where all were bought before: its mean, in each
    resample too, is over the others. A column of nothing else has the interval NaN.
    """
    values = np.asarray(values, np.float64)
    users, said = len(values), ~np.isnan(values)
    if not users:
        raise ValueError("no users to take a mean of: expected at least one value")
    if resamples < 1:
        raise ValueError(f"expected resamples >= 1, got {resamples}")
    known, weights = np.where(said, values, 0.0), said.astype(np.float64)
    rng = np.random.default_rng(seed)
    block, means = max(1, BLOCK // users), []
    for done in range(0, resamples, block):
        rows = min(block, resamples - done)
        drawn = rng.integers(users, size=(rows, users)) + users * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users)
        means.append(_divided(times @ known, times @ weights))  # (rows, columns)
    mean = _divided(known.sum(axis=0), weights.sum(axis=0))
    return [Sampled(users, float(m), d) for m, d in zip(mean, np.concatenate(means).T, strict=True)]


def _divided(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sums / weights, NaN where there is nothing to take a mean of."""
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)
