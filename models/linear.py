"""A linear model of the next basket: what a user had, the less the longer ago, times a weight for each pair of items.

Of each position of the training rows the history h, (items,), is the sum of the baskets before it, each weighed by `decay`
for every basket since, and y, (items,), is the basket that came: 1 for each of its items. The weights are those of a ridge
regression of y on h, in closed form:

    W = (sum of h h' + regularization I)^-1 (sum of h y')          scores = h' W

After Choi et al., 2021, "Session-aware Linear Item-Item Models for Session-based Recommendation", whose SLIT has all the
items that follow as targets, and rows scaled to length one. It finds by itself that items come again, and what follows what.

Weights are there for the most frequent items, of each the largest above zero: nothing is lost by leaving out the others
(docs/benchmarks-models.md). Fitting holds 16 bytes a pair of these items: 2.3 GB for 12,000.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from math import log
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import tensorflow as tf
from scipy.linalg import cho_factor, cho_solve

from conf.schema import Model
from models.indices import FIRST_ITEM
from models.neighbours import profile_pairs

NAME = "linear"
REGULARIZATION = 10.0
LEAST_SHARE = 1e-3  # of a basket so long ago nothing is looked at
TIE = 1e-3  # of popularity in the scores of the baseline: it decides between items that score about the same
CHUNK = 20_000_000  # entries of histories that are multiplied together
COLUMNS = 1024  # of the sums, that are added to at a time


class Weights(NamedTuple):
    """Of each item those it gives most to, and how much; of a large vocabulary most have no row."""

    row_of: np.ndarray  # (vocabulary_size,) int32: of each item its row, from 1; 0: it gives nothing
    items: np.ndarray  # (rows, kept) int32
    values: np.ndarray  # (rows, kept) float32; 0 where there is nothing, as in row 0


class Linear(tf.Module):
    """Scores by fitted weights; a history may be of any length."""

    def __init__(self, weights: Weights, decay: float):
        super().__init__()
        self.vocabulary_size = len(weights.row_of)
        self.decay = decay
        self.row_of = tf.Variable(weights.row_of, trainable=False, name="linear_rows")
        self.items = tf.Variable(weights.items, trainable=False, name="linear_items")
        self.values = tf.Variable(weights.values, trainable=False, name="linear_values")

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) x 3 -> (batch, V) float32; 0 for an item that nothing leads to. Ages do not matter."""
        size = self.vocabulary_size
        pairs = profile_pairs(items, sessions, partial(basket_weights, decay=self.decay), size)
        giving = tf.gather(self.row_of, pairs.items)
        some = (pairs.weights > 0) & (giving > 0)
        rows, giving, weights = (tf.boolean_mask(each, some) for each in (pairs.rows, giving, pairs.weights))
        to, values = (tf.gather(table, giving) for table in (self.items, self.values))  # (pairs, kept)
        batch = tf.shape(items, tf.int64)[0]
        place = rows[:, None] * size + tf.cast(to, tf.int64)
        sums = tf.math.unsorted_segment_sum(weights[:, None] * values, place, batch * size)
        return tf.reshape(sums, [batch, size])


class LinearBaseline(tf.Module):
    """The model by itself, as a ranker.

    sessions  (V,) int, sessions with each item; 0: no candidate
    """

    def __init__(self, linear: Linear, sessions: np.ndarray):
        super().__init__()
        self.linear, self.vocabulary_size = linear, len(sessions)
        popularity = np.where(sessions > 0, -TIE / (1 + sessions), -np.inf)
        self.popularity = tf.Variable(popularity, dtype=tf.float32, trainable=False)  # (V,)

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) x 3 -> (batch, V) float32."""
        return self.linear.score(items, sessions, ages) + self.popularity


def basket_weights(number: tf.Tensor, baskets: tf.Tensor, decay: float) -> tf.Tensor:
    """What basket `number`, from 0, of `baskets` weighs in a history: (any,) int64 x 2 -> (any,) float64."""
    since = baskets - 1 - number
    weights = tf.pow(tf.constant(decay, tf.float64), tf.cast(since, tf.float64))
    return tf.where(since < reach(decay), weights, 0)


def reach(decay: float) -> int:
    """How many baskets a history looks back on."""
    return 1000 if decay == 1 else 1 + int(log(LEAST_SHARE) / log(decay))


def fit(settings: Model, sessions: np.ndarray, batches: Iterable[Mapping[str, tf.Tensor]]) -> Linear:
    """The model, fitted to rows (items, sessions: (batch, length)); each basket but a row's first is a target.

    sessions  (V,) int, sessions with each item that the training sees; 0: it has no weights
    With `targets: last` the last basket of a row alone is a target: for rows that are all prefixes.
    """
    known = most_frequent(sessions, settings.linear_items)
    column_of = np.full(len(sessions), -1)
    column_of[known] = np.arange(len(known))
    # In the order in which LAPACK overwrites them: it would make copies of others.
    gram, cross = (np.zeros((len(known), len(known)), order="F") for _ in range(2))
    waiting: list[tuple[sparse.csr_matrix, sparse.csr_matrix]] = []

    def add() -> None:
        histories, targets = (sparse.vstack(each, "csr") for each in zip(*waiting, strict=True))
        waiting.clear()
        for first in range(0, len(known), COLUMNS):
            some = slice(first, first + COLUMNS)
            part = histories[:, some].T.tocsr()
            gram[some] += (part @ histories).toarray()
            cross[some] += (part @ targets).toarray()

    for batch in batches:
        told = np.asarray(batch["items"]), np.asarray(batch["sessions"])
        waiting.append(examples(*told, column_of, settings.linear_decay, settings.targets == "last"))
        if sum(histories.nnz for histories, _ in waiting) > CHUNK:
            add()
    if waiting:
        add()
    wanted = REGULARIZATION if settings.regularization is None else settings.regularization
    gram[np.diag_indices(len(known))] += wanted
    factor = cho_factor(gram, overwrite_a=True, check_finite=False)
    weights = cho_solve(factor, cross, overwrite_b=True, check_finite=False)
    return Linear(largest(weights, known, len(sessions), settings.linear_neighbours), settings.linear_decay)


def no_weights(settings: Model, sessions: np.ndarray) -> Weights:
    """Of the shape of those that `fit` finds."""
    return empty(most_frequent(sessions, settings.linear_items), len(sessions), settings.linear_neighbours)


def empty(known: np.ndarray, size: int, kept: int) -> Weights:
    """With a row for each of the `known` items of all `size`, and nothing in it."""
    row_of = np.zeros(size, np.int32)
    row_of[known] = np.arange(1, 1 + len(known))
    shape = 1 + len(known), min(kept, len(known))
    return Weights(row_of, np.zeros(shape, np.int32), np.zeros(shape, np.float32))


def most_frequent(sessions: np.ndarray, most: int) -> np.ndarray:
    """The items of the most sessions, at least one, by index: (some,) int64."""
    seen = FIRST_ITEM + np.flatnonzero(sessions[FIRST_ITEM:] > 0)
    return np.sort(seen[np.argsort(-sessions[seen], kind="stable")[:most]])


def examples(
    items: np.ndarray, sessions: np.ndarray, column_of: np.ndarray, decay: float, last_only: bool
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Histories and what came, a row each position that is a target: (positions, columns) float64 x 2.

    items     5 7 6 8 0   (decay 0.5)     histories  5: 1  7: 1                     targets  6: 1
    sessions  1 1 2 4 0                              5: 0.5  7: 0.5  6: 1                    8: 1

    column_of  (V,) int: of each item its column; -1: it has none, and its basket counts all the same
    """
    begins = items != 0
    begins[:, 1:] &= (sessions[:, 1:] != sessions[:, :-1]) | (items[:, :-1] == 0)
    basket = np.cumsum(begins.ravel()) - 1  # of each event, over all rows
    row = np.nonzero(begins)[0]  # of each basket
    inside = (items > 0) & (items < len(column_of))
    column = np.where(inside, column_of[np.where(inside, items, 0)], -1).ravel()
    has = column >= 0
    count = len(row)
    baskets = sparse.csr_matrix(
        (np.ones(has.sum()), (basket[has], column[has])), (count, int(column_of.max()) + 1)
    )
    baskets.data[:] = 1  # an item of a basket counts once
    since = [
        sparse.diags_array(
            decay ** (back - 1) * (row[back:] == row[:-back]), offsets=-back, shape=(count, count)
        )
        for back in range(1, min(reach(decay), items.shape[1]) + 1)
        if back < count
    ]
    is_target = np.append(False, row[1:] == row[:-1])[:count]
    if last_only:
        is_target &= np.append(row[1:] != row[:-1], True)[:count]
    before = sum(since, sparse.csr_array((count, count)))
    return sparse.csr_matrix(before @ baskets)[is_target], baskets[is_target]


def largest(weights: np.ndarray, known: np.ndarray, size: int, kept: int) -> Weights:
    """The largest weights of each item, as far as they are above zero: (known, known) -> those of all `size` items."""
    found = empty(known, size, kept)
    kept = found.items.shape[1]
    for first in range(0, len(known), COLUMNS):
        some = weights[first : first + COLUMNS]
        best = np.argpartition(-some, kept - 1, axis=1)[:, :kept]
        rows = slice(1 + first, 1 + first + len(some))
        found.items[rows] = known[best]
        found.values[rows] = np.maximum(np.take_along_axis(some, best, axis=1), 0)
    return found
