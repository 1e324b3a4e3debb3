"""The best items of a few users at once, as the service asks for them: every score is made, and almost none is looked at.

Items are dealt into groups of about 64. A user's k best items lie in groups whose largest score is not below the k-th
largest of such: those alone are searched. That takes little beside the product itself, where `models.top_k`, made for many
users, spends most of its time on bookkeeping.
"""

import numpy as np

MOST_SCORES = 1 << 23  # users times items, 32 MiB
GROUP = 64  # items


def is_few(users: int, items: int, k: int) -> bool:
    return 0 < users * items <= MOST_SCORES and items >= 2 * GROUP * k


def best_of_few(
    queries: np.ndarray, vectors: np.ndarray, bias: np.ndarray, k: int, excluded: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What `models.top_k.best_by_vectors` gives, for sizes that `is_few`."""
    users, items = len(queries), len(vectors)
    groups = -(-items // GROUP)
    # A row an item: OpenBLAS takes a third of the time for this product that it takes for the other way round.
    room = np.full((GROUP * groups, users), -np.inf, np.float32)
    scores = room[:items]
    np.matmul(vectors, np.ascontiguousarray(queries.T), out=scores)
    scores += bias[:, None]
    if excluded is not None:
        row, column = np.nonzero(excluded < items)
        scores[excluded[row, column], row] = -np.inf
    dealt = room.reshape(GROUP, groups, users)  # an item's group is its index modulo `groups`
    largest = np.ascontiguousarray(dealt.max(axis=0).T)  # (users, groups)
    least = np.partition(largest, groups - k, axis=1)[:, groups - k]  # no larger than the k-th best score
    best = np.zeros((users, k), np.int32), np.full((users, k), -np.inf, np.float32)
    for user in range(users):
        group = np.flatnonzero((largest[user] >= least[user]) & (largest[user] > -np.inf))
        inside = dealt[:, group, user]
        deal, place = np.nonzero((inside >= least[user]) & (inside > -np.inf))
        found, found_scores = deal * groups + group[place], inside[deal, place]
        order = np.lexsort((found, -found_scores))[:k]
        best[0][user, : len(order)], best[1][user, : len(order)] = found[order], found_scores[order]
    return best
