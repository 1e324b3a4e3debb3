"""Means over users and their bootstrap intervals."""

from typing import NamedTuple

import numpy as np

BLOCK = 4_000_000  # random draws held at a time


class Interval(NamedTuple):
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float


def mean_and_interval(values: np.ndarray, resamples: int, confidence: float, seed: int) -> Interval:
    """The mean of `values` (users,) and its percentile bootstrap interval, resampling users."""
    return means_and_intervals(np.asarray(values)[:, None], resamples, confidence, seed)[0]


def means_and_intervals(values: np.ndarray, resamples: int, confidence: float, seed: int) -> list[Interval]:
    """The mean of each column of `values` (users, columns) and its percentile bootstrap interval.

    NaN is a user of whom the column says nothing, such as first-time items where all were bought before: its mean, in each
    resample too, is over the others. A column of nothing else has the interval NaN.
    """
    mean, means = resampled_means(values, resamples, seed)
    ends = interval_of(means, confidence)
    return [Interval(*map(float, column)) for column in zip(mean, *ends, strict=True)]


def resampled_means(values: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each column of `values` (users, columns): (columns,), and in each resample: (resamples, columns).

    A resample draws users, each with the whole row: columns stay paired, and all share one matrix product of how often
    each user was drawn. Efron and Tibshirani, 1993, "An Introduction to the Bootstrap", chapter 13. NaN as above.
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
        means.append(_divided(times @ known, times @ weights))
    return _divided(known.sum(axis=0), weights.sum(axis=0)), np.concatenate(means)


def interval_of(resampled: np.ndarray, confidence: float) -> np.ndarray:
    """Both ends of the percentile interval of each column of `resampled` (resamples, columns): (2, columns)."""
    if not 0 < confidence < 1:
        raise ValueError(f"expected 0 < confidence < 1, got {confidence}")
    return np.nanquantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)


def _divided(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """sums / weights, NaN where there is nothing to take a mean of."""
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)
