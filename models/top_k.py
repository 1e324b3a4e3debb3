"""The best items of users by exact inner products: blocks of users times blocks of items, and the best so far.

A block of scores is compared with each user's k-th best so far; the few that are above it are kept. Memory is
that of a block and of the results, whatever the number of users times items.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

USERS, ITEMS = 256, 2048  # of a block: its scores are 2 MiB, and its items 512 KiB at width 64
FLIP = np.uint32(0x7FFFFFFF)
NOTHING = np.uint64(0xFF800000 << 32)  # the key of score -inf and index 0

Block = Callable[[slice, slice, np.ndarray], np.ndarray]
"""Scores of some users and some items, float32; the array may be used for them, and they may be written to."""


def best_by_vectors(
    queries: np.ndarray,
    vectors: np.ndarray,
    bias: np.ndarray,
    k: int,
    excluded: np.ndarray | None = None,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Each user's k best items by `queries @ vectors.T + bias`, without those of bias -inf and those excluded.

    queries   (users, width) float32, finite
    vectors   (items, width) float32;  bias  (items,) float32
    excluded  (users, any) int: indices of items that a user is not shown
    -> indices int32 (users, k), scores float32 (users, k)

    Best first; among equal scores the lower index first; where there are fewer than k the rest is index 0, score -inf.
    """

    def block(users: slice, items: slice, room: np.ndarray) -> np.ndarray:
        np.matmul(queries[users], vectors[items].T, out=room)
        return np.add(room, bias[items], out=room)

    return _best(block, len(queries), len(vectors), k, excluded, threads)


def best_by_scores(
    scores: np.ndarray, bias: np.ndarray, k: int, excluded: np.ndarray | None = None, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The same of scores that are there: (users, items) float32, without NaN."""

    def block(users: slice, items: slice, room: np.ndarray) -> np.ndarray:
        return np.add(scores[users, items], bias[items], out=room)

    return _best(block, len(scores), scores.shape[1], k, excluded, threads)


def _best(
    block: Block, users: int, items: int, k: int, excluded: np.ndarray | None, threads: int
) -> tuple[np.ndarray, np.ndarray]:
    keys = np.full((users, k), NOTHING)  # (users, k) uint64, ascending

    def fill(first: int) -> None:
        some = slice(first, min(first + size, users))
        keys[some] = _best_keys(block, some, items, k, None if excluded is None else excluded[some])

    size = max(1, min(USERS, -(-users // threads)))
    with _blas().limit(limits=1, user_api="blas"):
        if threads == 1 or users <= size:
            for first in range(0, users, size):
                fill(first)
        else:
            with ThreadPoolExecutor(threads) as pool:  # NumPy lets go of Python's lock
                list(pool.map(fill, range(0, users, size)))
    return (keys & 0xFFFFFFFF).astype(np.int32), _scores_of(keys)


def _best_keys(block: Block, users: slice, items: int, k: int, excluded: np.ndarray | None) -> np.ndarray:
    """(users, k) uint64: the keys of one block of users, ascending."""
    count = users.stop - users.start
    hidden_row, hidden_item = _by_item(excluded)
    room, above = np.empty(count * ITEMS, np.float32), np.empty(count * ITEMS, bool)
    keys = np.full((count, k), NOTHING)
    worst = np.full((count, 1), -np.inf, np.float32)  # a user's k-th best so far
    waiting: list[tuple[np.ndarray, np.ndarray]] = []  # rows and keys of what may be among the best
    number = 0
    for start in range(0, items, ITEMS):
        some = slice(start, min(start + ITEMS, items))
        shape = (count, some.stop - start)
        scores = block(users, some, room[: count * shape[1]].reshape(shape))
        low, high = np.searchsorted(hidden_item, (start, some.stop))
        scores[hidden_row[low:high], hidden_item[low:high] - start] = -np.inf
        is_above = np.greater(scores, worst, out=above[: scores.size].reshape(shape))
        places = np.flatnonzero(is_above)
        if not len(places):
            continue
        rows = places // shape[1]
        waiting.append((rows, _keys_of(scores.ravel()[places], places - rows * shape[1] + start)))
        number += len(places)
        if number >= count * min(k, ITEMS // 8):
            keys = _merged(keys, waiting)
            worst = _scores_of(keys[:, k - 1 :])
            waiting, number = [], 0
    return np.sort(_merged(keys, waiting), axis=1)


def _merged(keys: np.ndarray, waiting: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """The k smallest of each row's keys and those that wait, the largest of them last: (rows, k) uint64."""
    if not waiting:
        return keys
    rows, new = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
    order = np.argsort(rows.astype(np.uint16), kind="stable")
    rows, new = rows[order], new[order]
    counts = np.bincount(rows, minlength=len(keys))
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    k = keys.shape[1]
    both = np.full((len(keys), k + counts.max()), NOTHING)
    both[:, :k] = keys
    both[rows, k + place] = new
    return np.partition(both, k - 1, axis=1)[:, :k]


def _keys_of(scores: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Numbers that rise as scores fall, and with the index where scores are equal: float32, int (any,) -> uint64."""
    bits = (scores + np.float32(0)).view(np.uint32)  # of two zeros there is then one
    falling = np.where(bits >> 31, bits, bits ^ FLIP).astype(np.uint64)
    return (falling << np.uint64(32)) | items.astype(np.uint64)


def _scores_of(keys: np.ndarray) -> np.ndarray:
    """The scores that keys are of, float32."""
    falling = (keys >> np.uint64(32)).astype(np.uint32)
    return np.where(falling >> 31, falling, falling ^ FLIP).astype(np.uint32).view(np.float32)


def _by_item(excluded: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The places (row, item) of what is excluded, in the order of items."""
    if excluded is None or not excluded.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    order = np.argsort(excluded, axis=None, kind="stable")
    return order // excluded.shape[1], excluded.ravel()[order]


@lru_cache(maxsize=1)
def _blas() -> ThreadpoolController:
    """Found once: a block of users is one thread's, and BLAS is not to start others beside it."""
    return ThreadpoolController()
