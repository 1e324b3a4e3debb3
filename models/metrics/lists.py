"""Metrics of the lists that users are shown, beside whether they are right: how wide, how new, how alike.

A list is a row of item indices, best first, `PADDING` behind the last; metrics of a user are (users,), NaN for an empty
list (intra-list diversity: for one of fewer than two).
"""

import numpy as np
import scipy.sparse as sparse

from models.metrics.ranking import PADDING

HEAD = 0.8  # share of all sessions that the most popular items have


def coverage(lists: np.ndarray, candidates: np.ndarray) -> float:
    """Share of the candidates, (any length,) bool by index, that are in any list (Ge et al., 2010, "Beyond Accuracy")."""
    shown = np.zeros(len(candidates), bool)
    known = lists[(lists > PADDING) & (lists < len(candidates))]
    shown[known] = True
    return float((shown & candidates).sum() / max(1, candidates.sum()))


def gini(lists: np.ndarray, candidates: np.ndarray) -> float:
    """Popularity bias: Gini's coefficient of how often each candidate is shown; 0: all alike, towards 1: few take all.

    With n candidates shown x_1 <= … <= x_n times: sum_i (2i - n - 1) x_i / (n sum_i x_i) (Fleder and Hosanagar, 2009).
    NaN where nothing is shown.
    """
    return gini_of(np.bincount(lists.ravel(), minlength=len(candidates))[: len(candidates)][candidates])


def gini_of(times: np.ndarray) -> float:
    """The same of how often each is shown, (n,)."""
    times = np.sort(times)
    rank = 2 * np.arange(1, len(times) + 1) - len(times) - 1
    total = len(times) * times.sum()
    return float((rank * times).sum() / total) if total else float("nan")


def long_tail(sessions: np.ndarray) -> np.ndarray:
    """The long tail, bool (V,): items beyond the most popular ones that have HEAD of all `sessions`, (V,), together
    (Abdollahpouri, Burke and Mobasher, 2017, "Controlling Popularity Bias in Learning-to-Rank Recommendation").

    Equally popular ones lie on one side, that of the first of them. Items of no session are no part of it.
    """
    sessions = np.asarray(sessions, float)
    sizes, count = np.unique(sessions, return_counts=True)
    above = np.cumsum((sizes * count)[::-1])[::-1] - sizes * count  # sessions of all that are more popular
    edge = sizes[above >= HEAD * sessions.sum()].max(initial=0.0)
    return (sessions > 0) & (sessions <= edge)


def tail_share(lists: np.ndarray, is_tail: np.ndarray) -> np.ndarray:
    """(users,): the share of each list that is of the long tail."""
    return _mean(is_tail[lists].astype(float), lists > PADDING)


def novelty(lists: np.ndarray, users_with: np.ndarray, users: int) -> np.ndarray:
    """Mean over the list of -log2 of the item's share of users, in bits (Zhou et al., 2010, "Solving the apparent
    diversity-accuracy dilemma").

    users_with  (V,) int: users who had each item before, of `users`; an item of none counts as one of half a user
    """
    bits = -np.log2(np.maximum(users_with, 0.5) / users)
    return _mean(bits[lists], lists > PADDING)


def popularity(lists: np.ndarray, sessions: np.ndarray) -> np.ndarray:
    """Mean over the list of the sessions with the item (V,): what popularity bias shows (Yin et al., 2012)."""
    return _mean(np.asarray(sessions, float)[lists], lists > PADDING)


def intra_list_diversity(lists: np.ndarray, traits: sparse.csr_matrix) -> np.ndarray:
    """Mean over the pairs of a list of 1 - cosine of their traits (Ziegler et al., 2005, "Improving Recommendation Lists
    Through Topic Diversification").

    traits  (V, any) sparse: what items are told apart by, such as one column a category, or who had them. An item without
            any is as far from each other as can be: 1
    """
    length = np.sqrt(np.asarray(traits.multiply(traits).sum(axis=1)).ravel())
    unit = sparse.diags(np.divide(1.0, length, out=np.zeros(len(length)), where=length > 0)) @ traits
    result = np.full(len(lists), np.nan)
    size = np.count_nonzero(lists > PADDING, axis=1)
    for user in np.flatnonzero(size > 1):
        vectors = unit[lists[user][lists[user] > PADDING]]
        total = vectors.sum(axis=0)  # the sum of all pairs' cosines is that of the sum with itself
        alike = float(total @ total.T) - float(vectors.multiply(vectors).sum())
        result[user] = 1 - alike / (size[user] * (size[user] - 1))
    return result


def serendipity(
    lists: np.ndarray, right: np.ndarray, popularity: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """How much of what is right was not to be expected: mean over the list of right x max(0, p - p_all) (as in RecTools,
    after Murakami et al., 2008, "Metrics for Evaluating the Serendipity of Recommendation Lists").

    right       (users, k) bool: whether the item is a target
    popularity  (V,) number: sessions with it;  candidates  (V,) bool
    p is 1 - (rank - 1) / n of the item in the list, p_all likewise of its rank by popularity among the n candidates; equally
    popular ones share the middle of their ranks.
    """
    n = int(candidates.sum())
    sizes = np.sort(popularity[candidates])
    more = n - np.searchsorted(sizes, popularity, side="right")  # (V,)
    same = np.searchsorted(sizes, popularity, side="right") - np.searchsorted(sizes, popularity, side="left")
    expected = 1 - (more + (same - 1) / 2) / n  # (V,)
    given = 1 - np.arange(lists.shape[1]) / n  # (k,)
    return _mean(right * np.maximum(0.0, given - expected[lists]), lists > PADDING)


def _mean(values: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """(users, k), (users, k) bool -> (users,): NaN where nothing is shown."""
    size = shown.sum(axis=1)
    return np.divide((values * shown).sum(axis=1), size, out=np.full(len(size), np.nan), where=size > 0)
