"""Ranking facts and metrics: exact, and exact about ties.

A ranking is judged in two steps. `facts` reduces a user's scores to two numbers a target: how many candidates score
better, and how many the same. `per_user` turns these into HR, recall, NDCG and MRR. Where candidates have equal scores a
metric is its expectation over all orders among the equals, so that no model gains or loses by how ties happen to fall.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

KS = (5, 10, 20)


class Interval(NamedTuple):
    """A mean and its bootstrap interval."""

    mean: float
    low: float
    high: float


def facts(
    scores: np.ndarray, candidates: np.ndarray, targets: np.ndarray | Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Where each target stands among the candidates: `better` and `ties`, both int32 (batch, targets).

    scores      (batch, V) float: higher is better; a candidate without a column scores -inf
    candidates  (any length,) bool: which item indices are ranked
    targets     (batch, targets) int item indices padded with 0, or one array a user
    better      candidates with a strictly greater score
    ties        candidates with an equal score, the target itself included
    A target that is no candidate can never be found: better = number of candidates, ties = 0.
    Padding: better = -1, ties = 0.
    """
    raise NotImplementedError


def per_user(
    better: np.ndarray, ties: np.ndarray, n_targets: np.ndarray, ks: Sequence[int] = KS
) -> dict[str, np.ndarray]:
    """Metrics of each user, `hr@k`, `recall@k`, `ndcg@k`, `mrr@k` for each k, each float64 (users,).

    better, ties  (users, targets) as `facts` gives them, or one array a user; entries with ties = 0 count as not found
    n_targets     (users,) int >= 1: all targets, found or not
    """
    raise NotImplementedError


def mean_and_interval(values: np.ndarray, resamples: int, confidence: float, seed: int) -> Interval:
    """The mean of `values` (users,) and its percentile bootstrap interval, resampling users."""
    raise NotImplementedError
