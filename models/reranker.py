"""A second stage: ranks anew the best items of another model, by what attends to each candidate.

The first stage is an exported ranker, as it is. Of its best `candidates` each is scored by what the user's events say of it:
an attention that weighs each event for this candidate, after Zhou et al., 2018, "Deep Interest Network for Click-Through
Rate Prediction" (weights that are not normalised, so that how much speaks for it is not lost), and numbers that are no
sequence: how often and how long ago the user had it, whether it is due, how popular it is, what share its category has, and
what the first stage says. What a last layer makes of all that is added to the first stage's score, and begins as zeros:
before anything is learnt the order is the first stage's.

All that is looked at follows from the history, so that what is exported ranks as any other model does.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from models.indices import FIRST_ITEM, PADDING

HALF_LIVES = (7.0, 28.0, 120.0)  # days
NEVER = 1000.0  # days ago: what was never had
HIDDEN = 16  # units of the attention
NUMBERS = 12 + len(HALF_LIVES)
LEAST_INTERVAL = 0.5  # days


class Reranker(tf.Module):
    """A ranker (see `models.export.Ranker`) of two stages.

    first       the loaded SavedModel of the first stage: its signature `scores` is asked
    vectors     (V, width) float32: of each item, as an encoder has learnt it; they stay as they are
    sessions    (V,) int: in how many sessions each item is
    categories  (V,) int: of each item, from 1; 0: none
    candidates  items of the first stage's best that are ranked anew; the others keep their order behind them
    events      the user's last ones that are attended to
    """

    def __init__(
        self,
        first: Any,
        vectors: np.ndarray,
        sessions: np.ndarray,
        categories: np.ndarray,
        candidates: int,
        events: int,
        seed: int,
    ):
        super().__init__()
        tf.keras.utils.set_random_seed(seed)
        self.stand_behind(first)
        self.vocabulary_size = len(sessions)
        self.candidates, self.events = min(candidates, self.vocabulary_size), events
        length = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        self.vectors = _kept(vectors / length, tf.float32)
        self.popularity = _kept(np.log1p(sessions), tf.float32)
        self.categories = _kept(categories, tf.int32)
        self.center, self.spread = _kept(np.zeros(NUMBERS), tf.float32), _kept(np.ones(NUMBERS), tf.float32)
        width = vectors.shape[1]
        self.attend = tf.keras.layers.Dense(HIDDEN, activation="relu")
        self.weigh = tf.keras.layers.Dense(1)
        self.deep = [tf.keras.layers.Dense(units, activation="relu") for units in (64, 32)]
        self.last = tf.keras.layers.Dense(1, kernel_initializer="zeros", use_bias=False)
        self.scale = tf.Variable(1.0, name="scale")
        for layer, inputs in (
            (self.attend, 4 * width + 1),
            (self.weigh, HIDDEN),
            (self.deep[0], NUMBERS + 2 * width),
            (self.deep[1], 64),
            (self.last, 32),
        ):
            layer.build((None, inputs))

    def stand_behind(self, first: Any) -> None:
        """From now on it ranks anew what this loaded SavedModel ranks."""
        self.saved, self._first = [first], first.signatures["scores"]

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) int32, int32, float32 -> (batch, V) float32: candidates above all others, in their new order."""
        scores = self.first_scores(items, sessions, ages)
        best, places = tf.math.top_k(scores, self.candidates)  # (batch, candidates) x 2
        anew = self.logits(items, sessions, ages, places, best)
        is_some = best > -np.inf
        lowest = tf.reduce_min(tf.where(is_some, anew, np.inf), axis=1, keepdims=True)
        floor = tf.reduce_min(tf.where(is_some, best, np.inf), axis=1, keepdims=True)
        told = tf.where(is_some, floor + 1.0 + anew - lowest, -np.inf)
        batch = tf.range(tf.shape(places)[0])[:, None]
        where = tf.stack([tf.broadcast_to(batch, tf.shape(places)), places], axis=2)
        return tf.tensor_scatter_nd_update(scores, where, told)

    def first_scores(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """What the first stage says, (batch, V)."""
        scores = self._first(items=items, sessions=sessions, ages=ages)["scores"]
        return tf.ensure_shape(scores, [None, self.vocabulary_size])

    def logits(
        self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, places: tf.Tensor, best: tf.Tensor
    ) -> tf.Tensor:
        """The new scores of candidates: (batch, length) x 3, (batch, candidates) int32, float32 -> (batch, candidates)."""
        numbers = self.numbers(items, sessions, ages, places, best)
        scaled = tf.clip_by_value((numbers - self.center) / self.spread, -5.0, 5.0)
        interest = self.interest(items, ages, places)  # (batch, candidates, width)
        vectors = tf.gather(self.vectors, places)
        x = tf.concat([scaled, interest, interest * vectors], axis=2)
        for layer in self.deep:
            x = layer(x)
        return self.last(x)[:, :, 0] + self.scale * numbers[:, :, 0]

    def interest(self, items: tf.Tensor, ages: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """The user's last events as each candidate weighs them: (batch, candidates, width)."""
        items, ages = _last(self.events, items, ages)
        known = tf.where((items >= FIRST_ITEM) & (items < self.vocabulary_size), items, PADDING)
        theirs, own = tf.gather(self.vectors, known)[:, None], tf.gather(self.vectors, places)[:, :, None]
        shape = tf.broadcast_dynamic_shape(tf.shape(theirs), tf.shape(own))
        theirs, own = tf.broadcast_to(theirs, shape), tf.broadcast_to(own, shape)
        since = tf.broadcast_to(tf.math.log1p(ages)[:, None, :, None], tf.concat([shape[:3], [1]], axis=0))
        pairs = tf.concat([theirs, own, theirs - own, theirs * own, since], axis=3)
        weights = self.weigh(self.attend(pairs))  # (batch, candidates, events, 1)
        return tf.reduce_sum(weights * theirs * tf.cast(known > 0, tf.float32)[:, None, :, None], axis=2)

    def numbers(
        self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, places: tf.Tensor, best: tf.Tensor
    ) -> tf.Tensor:
        """What is no sequence, of each user and candidate: (batch, candidates, NUMBERS)."""
        is_event = items != PADDING  # (batch, length)
        is_first = is_event & ~_is_again(items, sessions)  # of its item in its session
        had = (places[:, :, None] == items[:, None, :]) & is_first[:, None, :]  # (batch, candidates, length)
        count = _sum(had, 1.0)
        age = ages[:, None, :]
        newest = tf.reduce_min(tf.where(had, age, NEVER), axis=2)
        oldest = tf.reduce_max(tf.where(had, age, 0.0), axis=2)
        interval = tf.where(count > 1, tf.maximum((oldest - newest) / (count - 1), LEAST_INTERVAL), NEVER)
        event_ages = tf.where(is_event, ages, 0.0)
        many = tf.cast(tf.reduce_max(sessions, axis=1, keepdims=True), tf.float32)  # (batch, 1)
        tenure = tf.reduce_max(event_ages, axis=1, keepdims=True)
        recency = tf.reduce_min(tf.where(is_event, ages, NEVER), axis=1, keepdims=True)
        theirs, own = self._category(items), self._category(places)
        alike = (own[:, :, None] == theirs[:, None, :]) & (own > 0)[:, :, None] & is_first[:, None, :]
        share = tf.math.divide_no_nan(_sum(alike, 1.0), _sum(is_first, 1.0)[:, None])
        of_user = (tf.math.log1p(x) + tf.zeros_like(count) for x in (many, tenure, recency))
        found = [
            _standard(best),
            tf.math.log1p(tf.zeros_like(count) + tf.range(tf.shape(places)[1], dtype=tf.float32)),
            tf.math.log1p(count),
            tf.math.divide_no_nan(count, many),
            tf.math.log1p(newest),
            tf.math.log1p(interval),
            tf.math.log1p(newest) - tf.math.log1p(interval),
            tf.gather(self.popularity, places),
            share,
            *of_user,
            *(tf.math.log1p(_sum(had, 0.5 ** (age / half_life))) for half_life in HALF_LIVES),
        ]
        return tf.stack(found, axis=2)

    def fit_scale(self, numbers: np.ndarray) -> None:
        """Scales by the center and the spread of some pairs' numbers, (pairs, NUMBERS)."""
        self.center.assign(numbers.mean(axis=0))
        self.spread.assign(np.maximum(numbers.std(axis=0), 1e-3))

    def batch_loss(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The mean over users of the softmax cross-entropy of their targets among the candidates; without any: none.

        batch  items, sessions, ages (batch, length); places int32, best float32, wanted bool (batch, candidates)
        """
        logits = self.logits(batch["items"], batch["sessions"], batch["ages"], batch["places"], batch["best"])
        logits = tf.where(batch["best"] > -np.inf, logits, -1e9)
        wanted = tf.cast(batch["wanted"], tf.float32)
        told = tf.reduce_sum(wanted * tf.nn.log_softmax(logits), axis=1)
        each = tf.math.divide_no_nan(told, tf.reduce_sum(wanted, axis=1))  # (batch,)
        users = tf.cast(tf.reduce_any(batch["wanted"], axis=1), tf.float32)
        return -tf.math.divide_no_nan(tf.reduce_sum(each), tf.reduce_sum(users))

    def _category(self, items: tf.Tensor) -> tf.Tensor:
        inside = (items >= 0) & (items < self.vocabulary_size)
        return tf.gather(self.categories, tf.where(inside, items, PADDING))


def _is_again(items: tf.Tensor, sessions: tf.Tensor) -> tf.Tensor:
    """Whether an item was in its session already, (batch, length) bool."""
    same = (items[:, :, None] == items[:, None, :]) & (sessions[:, :, None] == sessions[:, None, :])
    length = tf.shape(items)[1]
    before = tf.range(length)[None, :] < tf.range(length)[:, None]  # (length, length)
    return tf.reduce_any(same & before[None], axis=2)


def _last(events: int, items: tf.Tensor, ages: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The last events of each history, padding on the right: (batch, length) x 2 -> (batch, events) x 2."""
    count = tf.math.count_nonzero(items, axis=1, dtype=tf.int32)
    place = tf.maximum(count - events, 0)[:, None] + tf.range(events)[None]  # (batch, events)
    inside = place < tf.shape(items)[1]
    place = tf.where(inside, place, 0)
    taken = (tf.gather(x, place, batch_dims=1) for x in (items, ages))
    items, ages = (tf.where(inside, x, tf.zeros_like(x)) for x in taken)
    return items, ages


def _standard(best: tf.Tensor) -> tf.Tensor:
    """Scores of candidates in spreads around their mean, of those that are some: (batch, candidates)."""
    some = tf.cast(best > -np.inf, tf.float32)
    scores, many = tf.where(best > -np.inf, best, 0.0), tf.reduce_sum(some, axis=1, keepdims=True)
    mean = tf.math.divide_no_nan(tf.reduce_sum(scores, axis=1, keepdims=True), many)
    apart = (scores - mean) * some
    spread = tf.sqrt(tf.math.divide_no_nan(tf.reduce_sum(apart**2, axis=1, keepdims=True), many))
    return tf.math.divide_no_nan(apart, spread)


def _sum(chosen: tf.Tensor, values: Any) -> tf.Tensor:
    """The sum over the last axis of `values` where they are chosen."""
    return tf.reduce_sum(tf.where(chosen, values, 0.0), axis=-1)


def _kept(values: np.ndarray, dtype: Any) -> tf.Variable:
    return tf.Variable(values, dtype=dtype, trainable=False)
