"""Ranking facts and metrics: exact, and exact about ties.

A ranking is judged in two steps. `facts` reduces a user's scores to two numbers a target: how many candidates
score better, and how many the same. `per_user` turns these into HR, recall, NDCG, MRR and MAP. Where candidates
have equal scores a metric is its expectation over all orders among the equals, so that no model gains or
loses by how ties happen to fall (McSherry and Najork, 2008, "Computing Information Retrieval Performance
Measures Efficiently in the Presence of Tied Scores").
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

KS = (5, 10, 20)
PADDING = 0  # item index of a target that is none
NO_TARGET = -1  # `better` of padding


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
    targets = padded(targets, PADDING)
    if len(scores) != len(targets):
        raise ValueError(
            f"scores of {len(scores)} users came with targets of {len(targets)}: one row a user in both"
        )
    beyond = int(np.count_nonzero(candidates[scores.shape[1] :]))  # candidates the model has no column for
    inside = np.zeros(scores.shape[1], bool)
    inside[: len(candidates)] = candidates[: scores.shape[1]]
    ranked = np.where(
        inside, scores, np.nan
    )  # neither greater than nor equal to anything: leaves the ranking
    if np.count_nonzero(np.isnan(ranked)) != len(scores) * np.count_nonzero(~inside):
        raise ValueError(
            "a candidate's score is not a number: the model is broken, and its ranking means nothing"
        )
    better = np.full(targets.shape, NO_TARGET, np.int32)
    ties = np.zeros(targets.shape, np.int32)
    better[targets > PADDING] = np.count_nonzero(inside) + beyond
    found = (targets > PADDING) & (targets < len(candidates))
    found[found] = candidates[targets[found]]
    for user, place in zip(*np.nonzero(found), strict=True):
        row, target = ranked[user], targets[user, place]
        score = row[target] if target < len(row) else np.float32(-np.inf)
        better[user, place] = np.count_nonzero(row > score)
        ties[user, place] = np.count_nonzero(row == score) + (beyond if score == -np.inf else 0)
    return better, ties


def without_seen(scores: np.ndarray, seen: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The scores, with -inf for the items that a user had, but for those that are a target.

    scores (batch, V), seen (batch, any) and targets (batch, any) item indices padded with 0
    """
    rows = np.arange(len(scores))[:, None]
    left = scores.copy()
    left[rows, seen] = -np.inf
    left[rows, targets] = scores[rows, targets]
    return left


def per_user(
    better: np.ndarray | Sequence[np.ndarray],
    ties: np.ndarray | Sequence[np.ndarray],
    n_targets: np.ndarray,
    ks: Sequence[int] = KS,
) -> dict[str, np.ndarray]:
    """Metrics of each user, `hr@k`, `recall@k`, `ndcg@k`, `mrr@k`, `map@k` for each k, each float64 (users,).

    better, ties  (users, targets) as `facts` gives them, or one array a user; ties = 0: not found
    n_targets     (users,) int >= 1: all targets, found or not

    hr@k      1 if at least one target is among the first k
    recall@k  targets among the first k, divided by the number of targets
    ndcg@k    sum of 1 / log2(1 + rank) over the targets among the first k, divided by that of an
              ideal ranking, which has min(k, number of targets) targets at its top
    mrr@k     1 / rank of the first target, 0 if that is not among the first k
    map@k     average precision: of each target among the first k the share of targets among the items down to it,
              summed and divided by the number of targets (Voorhees and Harman, 2005, "TREC")
    """
    better, ties = padded(better, NO_TARGET), padded(ties, 0)
    n_targets = np.asarray(n_targets)
    if not len(better) == len(ties) == len(n_targets):
        raise ValueError(
            f"better, ties and n_targets are of {len(better)}, {len(ties)} and {len(n_targets)} users: "
            "expected one row a user in each"
        )
    if np.any(n_targets < np.maximum(1, np.count_nonzero(ties > 0, axis=1))):
        raise ValueError(
            "a user has no target, or fewer than better and ties have: "
            "leave users without targets out, and count all of the others"
        )
    first = _First.of(better, ties)
    precisions = _precisions(better, ties, max(ks, default=0))
    result: dict[str, np.ndarray] = {}
    for k in ks:
        recalled, gain = _hits_and_gain(better, ties, k)
        hit, reciprocal = first.within(k)
        result[f"hr@{k}"] = hit
        result[f"recall@{k}"] = recalled / n_targets
        result[f"ndcg@{k}"] = gain / _discounts(k)[np.minimum(k, n_targets)]
        result[f"mrr@{k}"] = reciprocal
        result[f"map@{k}"] = precisions[:, :k].sum(axis=1) / n_targets
    return result


def _discounts(k: int) -> np.ndarray:
    """(k + 1,) float64: the sum of 1 / log2(1 + rank) over the first 0, 1, … k ranks."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def _hits_and_gain(better: np.ndarray, ties: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Expected number of targets in the first k and expected DCG, each (users,).

    A target among t equals below b better ones is on each of the ranks b + 1 … b + t with probability 1 / t.
    Both are sums over targets, so that how targets share a tie does not matter to the expectation.
    """
    found = ties > 0
    low = np.clip(better, 0, k)  # (users, targets)
    high = np.clip(better + ties, 0, k)
    share = 1 / np.maximum(ties, 1) * found
    discounts = _discounts(k)
    return ((high - low) * share).sum(axis=1), ((discounts[high] - discounts[low]) * share).sum(axis=1)


def _precisions(better: np.ndarray, ties: np.ndarray, k: int) -> np.ndarray:
    """What each of the first k ranks is expected to add to the sum of precisions at targets, (users, k).

    Of t equals below b better ones, m are targets, and h targets stand above them. The j-th of the tie is a target with
    probability m / t, and where it is, (j - 1)(m - 1) / (t - 1) of those before it in the tie are expected to be targets: a
    target adds (h + 1 + (j - 1)(m - 1) / (t - 1)) / (t (b + j)) to the rank b + j.
    """
    last = np.iinfo(np.int64).max
    order = np.sort(np.where(ties > 0, better, last), axis=1)  # (users, targets): ties side by side
    size = np.take_along_axis(ties, np.where(ties > 0, better, last).argsort(axis=1, kind="stable"), axis=1)
    place = np.arange(order.shape[1])
    starts = np.diff(order, axis=1, prepend=-1) != 0
    ends = np.diff(order, axis=1, append=-1) != 0
    above = np.maximum.accumulate(np.where(starts, place, 0), axis=1)  # h
    until = np.minimum.accumulate(np.where(ends, place + 1, len(place))[:, ::-1], axis=1)[:, ::-1]
    others = (until - above - 1) / np.maximum(size - 1, 1)  # (m - 1) / (t - 1)
    found = np.zeros((len(better), k))
    for rank in range(1, k + 1):
        inside = rank - order  # j
        reached = (inside >= 1) & (inside <= size)
        adds = (above + 1 + (inside - 1) * others) / (np.maximum(size, 1) * rank)
        found[:, rank - 1] = np.where(reached, adds, 0.0).sum(axis=1)
    return found


class _First(NamedTuple):
    """Each user's best tie that has a target: the first target of any order is in it. Each int (users,)."""

    better: np.ndarray  # candidates above the tie
    ties: np.ndarray  # candidates in it; 0: no target of this user can be found
    targets: np.ndarray  # targets in it

    @classmethod
    def of(cls, better: np.ndarray, ties: np.ndarray) -> "_First":
        if not better.shape[1]:
            nothing = np.zeros(len(better), int)
            return cls(nothing, nothing, nothing)
        above = np.where(ties > 0, better, np.iinfo(np.int32).max)  # (users, targets)
        best = above.argmin(axis=1)
        rows = np.arange(len(better))
        same = (above == above[rows, best][:, None]) & (ties > 0)
        found = ties[rows, best] > 0
        return cls(
            np.where(found, better[rows, best], 0).astype(int),
            ties[rows, best].astype(int),
            same.sum(axis=1),
        )

    def within(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Probability that the first target is among the first k, and its expected reciprocal rank there.

        Of t equals with m targets in random order, the first r hold no target with probability
        (t-m)/t · (t-m-1)/(t-1) · … (r factors: hypergeometric).
        """
        none_yet = np.ones(len(self.ties))  # probability that no target is among the first r of the tie
        reciprocal = np.zeros(len(self.ties))
        for r in range(1, k + 1):
            in_reach = (r <= self.ties) & (self.better + r <= k)
            left = np.maximum(self.ties - r + 1, 1)
            miss = np.clip((left - self.targets) / left, 0, 1)
            here = np.where(in_reach, none_yet * (1 - miss), 0.0)
            reciprocal += here / (self.better + r)
            none_yet -= here
        return 1 - none_yet, reciprocal


def padded(rows: np.ndarray | Sequence[np.ndarray], fill: int) -> np.ndarray:
    """(users, longest) int: one array a user, with `fill` on the right. A matrix is left as it is."""
    if isinstance(rows, np.ndarray) and rows.ndim == 2:
        return rows
    lengths = np.array([len(row) for row in rows], int)
    matrix = np.full((len(lengths), lengths.max(initial=0)), fill, np.int64)
    if lengths.sum():
        matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = np.concatenate(
            [np.asarray(row) for row in rows]
        )
    return matrix
