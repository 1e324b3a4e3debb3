"""Next-basket baselines that ask a user's nearest neighbours: TIFU-kNN and UP-CF. Rankers like the other baselines.

A history is a sequence of baskets, its sessions; each says of an item whether it holds it. A profile is a weighted sum of
baskets, one number an item. A user's score of an item joins the user's own profile with the neighbours'. Neighbours are the
histories of training rows as they were, whole sessions of one user each, so that nobody's id is in a model.

TIFU-kNN  Hu et al., 2020, "Modeling Personalized Item Frequency Information for Next-basket Recommendation". The baskets are
          cut into groups of equal size, the newer ones taking what is left over; a group is the mean of its baskets, each
          decayed by `within_decay` for every basket after it in its group; a profile is the mean of its groups, each decayed
          by `group_decay` for every later group. The nearest by Euclidean distance are averaged, and
          score = own_share x own profile + (1 - own_share) x mean of the neighbours' profiles.
UP-CF     Faggioli et al., 2020, "Recency Aware Collaborative Filtering for Next Basket Recommendation". A profile is the
          share of the last `recent_sessions` baskets with the item. Two histories u and v are alike by the asymmetric cosine
          of the sets of items they ever had, |u and v| / (|u|^asymmetry |v|^(1 - asymmetry));
          score = own profile + sum over the nearest of similarity^locality x their profiles.

An item that scores nothing scores by popularity below all others, as in `models.baselines.Frequency`.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import tensorflow as tf

from conf.schema import Model

NAMES = ("tifu_knn", "up_cf")


class Pairs(NamedTuple):
    """A user's item, once each: rows, items, and what the baskets with it weigh together."""

    rows: tf.Tensor  # (pairs,) int64
    items: tf.Tensor  # (pairs,) int64
    weights: tf.Tensor  # (pairs,) float32


class Histories(NamedTuple):
    """What is known of the neighbours, a row each."""

    profiles: sparse.csr_matrix  # (neighbours, V) float32
    had: sparse.csr_matrix  # (neighbours, V) float32: 1 where the item was ever had


class Neighbours(tf.Module):
    """The base of a ranker: neighbours' profiles, sparse, and how a score is made.

    sessions   (V,) int, sessions with each item; 0: no candidate
    Memory of a call: the scores' size a few times, and a number for each user of the batch and neighbour.
    """

    def __init__(self, settings: Model, sessions: np.ndarray, histories: Histories):
        super().__init__()
        self.settings, self.vocabulary_size = settings, len(sessions)
        self.nearest = min(settings.neighbours, histories.profiles.shape[0])
        never = np.where(sessions > 0, -1 / (1 + sessions), -np.inf)
        self.never = tf.Variable(never, dtype=tf.float32, trainable=False)  # (V,)
        self.profiles = Sparse(histories.profiles)
        # Where a profile holds every item that was ever had, as TIFU-kNN's does, it says who is alike as well.
        alike = histories.profiles if settings.name == "tifu_knn" else histories.had
        self.alike = self.profiles if alike is histories.profiles else Sparse(alike)
        norm = np.asarray(alike.multiply(alike).sum(axis=1)).ravel()
        self.norms = tf.Variable(norm, dtype=tf.float32, trainable=False)  # (neighbours,)

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) x 3 -> (batch, V) float32. Ages do not matter."""
        shape = tf.stack([tf.shape(items, tf.int64)[0], self.vocabulary_size])
        place, pairs = self._pairs(items, sessions)
        own = tf.scatter_nd(place, pairs.weights, shape)  # (batch, V)
        if self.settings.name == "tifu_knn":
            weights, share = self._nearest_by_distance(own), self.settings.own_share
        else:
            had = tf.scatter_nd(place, tf.ones_like(pairs.weights), shape)
            weights, share = self._nearest_by_cosine(had), 1.0
        scores = share * own + tf.transpose(self.profiles.transposed_times(tf.transpose(weights)))
        scores = tf.where(scores > 0, scores, self.never)
        return tf.where(self.never > -np.inf, scores, -np.inf)

    def _pairs(self, items: tf.Tensor, sessions: tf.Tensor) -> tuple[tf.Tensor, Pairs]:
        weigh = partial(basket_weights, settings=self.settings)
        pairs = profile_pairs(items, sessions, weigh, self.vocabulary_size)
        return tf.stack([pairs.rows, pairs.items], axis=1), pairs

    def _nearest_by_distance(self, own: tf.Tensor) -> tf.Tensor:
        """(batch, V) -> the weight of each neighbour, (batch, neighbours): the nearest alike, the others none."""
        products = tf.transpose(self.alike.times(tf.transpose(own)))  # (batch, neighbours)
        _, best = tf.math.top_k(
            2 * products - self.norms, self.nearest
        )  # the user's own norm is the same for all
        share = tf.fill(tf.shape(best), (1 - self.settings.own_share) / max(1, self.nearest))
        return _scattered(best, share, tf.shape(products))

    def _nearest_by_cosine(self, had: tf.Tensor) -> tf.Tensor:
        """Likewise, each of the nearest with its similarity to the power of `locality`."""
        shared = tf.transpose(self.alike.times(tf.transpose(had)))  # (batch, neighbours)
        size = tf.reduce_sum(had, axis=1)[:, None]
        scale = size**self.settings.asymmetry * self.norms ** (1 - self.settings.asymmetry)
        similarity, best = tf.math.top_k(tf.math.divide_no_nan(shared, scale), self.nearest)
        return _scattered(best, similarity**self.settings.locality, tf.shape(shared))


class Sparse(tf.Module):
    """A sparse matrix, (rows, columns) float32, that is saved with a model."""

    def __init__(self, matrix: sparse.csr_matrix):
        super().__init__()
        entries = matrix.tocoo()
        self.shape = matrix.shape
        self.places = tf.Variable(np.stack([entries.row, entries.col], 1).astype(np.int64), trainable=False)
        self.values = tf.Variable(entries.data.astype(np.float32), trainable=False)

    def times(self, dense: tf.Tensor) -> tf.Tensor:
        """(columns, any) -> (rows, any)."""
        return tf.sparse.sparse_dense_matmul(self._tensor(), dense)

    def transposed_times(self, dense: tf.Tensor) -> tf.Tensor:
        """(rows, any) -> (columns, any)."""
        return tf.sparse.sparse_dense_matmul(self._tensor(), dense, adjoint_a=True)

    def _tensor(self) -> tf.SparseTensor:
        return tf.SparseTensor(self.places, self.values, self.shape)


def fit(settings: Model, sessions: np.ndarray, batches: Iterable[Mapping[str, tf.Tensor]]) -> Neighbours:
    """The baseline `settings.name`, with the histories of `batches` (items, sessions: (batch, length)) as neighbours.

    sessions  (V,) int, sessions with each item before the date it is fitted as of; 0: no candidate
    The first `settings.most_neighbours` rows are taken: a training set's rows lie in an order by lot.
    """
    size, parts, taken = len(sessions), [], 0
    weigh = partial(basket_weights, settings=settings)
    for batch in batches:
        if taken >= settings.most_neighbours:
            break
        rows = min(len(batch["items"]), settings.most_neighbours - taken)
        pairs = profile_pairs(batch["items"][:rows], batch["sessions"][:rows], weigh, size)
        place = pairs.rows.numpy(), pairs.items.numpy()
        parts.append(sparse.csr_matrix((pairs.weights.numpy(), place), (rows, size), dtype=np.float32))
        taken += rows
    if not parts:
        raise ValueError(
            f"{settings.name} came without a history: expected training rows to find neighbours in"
        )
    profiles = sparse.vstack(parts, "csr")
    profiles = profiles[np.diff(profiles.indptr) > 0]  # rows that fill a batch up
    had = profiles.copy()
    had.data[:] = 1
    profiles.eliminate_zeros()
    return Neighbours(settings, sessions, Histories(profiles, had))


def profile_pairs(
    items: tf.Tensor, sessions: tf.Tensor, weigh: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], size: int
) -> Pairs:
    """Each row's items, once each, with the weight of the baskets that hold them: (batch, length) int32 x 2.

    items     5 5 7 5 0       baskets 0 and 1 of 2,           rows  items  weights
    sessions  3 3 3 8 0   ->  weighing w0 and w1         ->   0     5      w0 + w1
                                                              0     7      w0
    A row's sessions are whole and rising; items outside [3, size) are none, their sessions count. `weigh` says what the
    basket of a number, from 0, of so many weighs: int64 (any,) x 2 -> float64 (any,).
    """
    present = items != 0  # (batch, length)
    starts = present[:, 1:] & (sessions[:, 1:] != sessions[:, :-1])
    basket = tf.cumsum(tf.cast(tf.pad(starts, [[0, 0], [1, 0]]), tf.int64), axis=1)
    baskets = tf.reduce_max(tf.where(present, basket + 1, 0), axis=1)  # (batch,)
    event = tf.where((items >= 3) & (items < size))  # (events, 2)
    row, number = event[:, 0], tf.gather_nd(basket, event)
    longest = tf.reduce_max(tf.concat([[1], baskets], 0))
    entry = (row * size + tf.cast(tf.gather_nd(items, event), tf.int64)) * longest + number
    once, _ = tf.unique(entry, tf.int64)  # an item of a basket counts once
    pair, number = once // longest, once % longest
    weight = weigh(number, tf.gather(baskets, pair // size))
    distinct, place = tf.unique(pair, tf.int64)
    sums = tf.math.unsorted_segment_sum(weight, place, tf.size(distinct))
    return Pairs(distinct // size, distinct % size, tf.cast(sums, tf.float32))


def basket_weights(number: tf.Tensor, baskets: tf.Tensor, settings: Model) -> tf.Tensor:
    """What basket `number`, from 0, of `baskets` weighs in a profile: (any,) int64 x 2 -> (any,) float64."""
    if settings.name == "up_cf":
        recent = tf.minimum(baskets, settings.recent_sessions)
        return tf.cast(number >= baskets - recent, tf.float64) / tf.cast(recent, tf.float64)
    groups = tf.minimum(baskets, settings.groups)
    small, larger = baskets // groups, baskets % groups  # size of the older groups; newer ones with one more
    first_larger = (groups - larger) * small  # number of the first basket in one of these
    is_larger = number >= first_larger
    size = small + tf.cast(is_larger, tf.int64)
    within = tf.where(is_larger, number - first_larger, number)  # from the first basket of such a group
    group = within // size + tf.where(is_larger, groups - larger, 0)
    after, later = (tf.cast(x, tf.float64) for x in (size - 1 - within % size, groups - 1 - group))
    decay = tf.pow(tf.constant(settings.within_decay, tf.float64), after)
    decay *= tf.pow(tf.constant(settings.group_decay, tf.float64), later)
    return decay / tf.cast(size * groups, tf.float64)


def _scattered(columns: tf.Tensor, values: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """(batch, some) columns and values -> (batch, all), zero elsewhere."""
    rows = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
    return tf.scatter_nd(tf.stack([rows, columns], axis=2), values, shape)
