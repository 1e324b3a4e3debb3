"""Baselines as rankers: popularity, a user's own frequent items, and the same with exponential decay.

They are rankers like any other (see `models.export.Ranker`): exported, registered, judged and able to be
champion. A session counts once for an item, however many of the item's events it has.
"""

import numpy as np
import tensorflow as tf

NAMES = ("popularity", "frequency", "frequency_decay")


def fit(
    name: str,
    vocabulary_size: int,
    item_indices: np.ndarray,
    session_counts: np.ndarray,
    half_life_days: float | None = None,
) -> "Popularity | Frequency":
    """The baseline `name` as of a date.

    item_indices    (items,) int, of the vocabulary
    session_counts  (items,) int, sessions with the item before that date; 0: no candidate (scores -inf)
    half_life_days  for `frequency_decay` only: the age at which a session counts half
    """
    if name not in NAMES:
        raise ValueError(f"model.name is {name!r}: expected one of the baselines {', '.join(NAMES)}")
    if (name == "frequency_decay") != (half_life_days is not None):
        raise ValueError(
            f"{name} came with model.half_life_days={half_life_days}: "
            "frequency_decay needs one, the others take none"
        )
    sessions = np.zeros(vocabulary_size, np.int64)
    sessions[np.asarray(item_indices)] = np.asarray(session_counts)
    return Popularity(sessions) if name == "popularity" else Frequency(sessions, half_life_days)


class Popularity(tf.Module):
    """Every user is shown the items of the most sessions.

    sessions: (V,) int, sessions with each item; 0: no candidate
    """

    def __init__(self, sessions: np.ndarray):
        super().__init__()
        self.vocabulary_size = len(sessions)
        self.popularity = _constant(np.where(sessions > 0, sessions, -np.inf))  # (V,)

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) x 3 -> (batch, V) float32: the number of sessions with the item."""
        return tf.tile(self.popularity[None], [tf.shape(items)[0], 1])


class Frequency(tf.Module):
    """A user's own most frequent items; then, by popularity, those the user never bought.

    A bought item scores the number of the user's sessions with it, each weighing
    0.5 ** (age / half_life_days) where there is a half-life: never below 0. An item never bought
    scores -1 / (1 + its sessions of all users): in [-0.5, 0), apart for different counts up to 4 million.
    Equal counts are equal scores, to the last bit, and so are the sums of items bought in the same sessions.

    sessions: (V,) int, sessions with each item; 0: no candidate
    """

    def __init__(self, sessions: np.ndarray, half_life_days: float | None = None):
        super().__init__()
        if half_life_days is not None and half_life_days <= 0:
            raise ValueError(f"model.half_life_days must be > 0, got {half_life_days}")
        self.vocabulary_size = len(sessions)
        self.half_life_days = half_life_days
        self.never_bought = _constant(np.where(sessions > 0, -1 / (1 + sessions), -np.inf))  # (V,)

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) x 3 -> (batch, V) float32; memory is that of the result and a few numbers an event.

        user  items    sessions  ->  pairs (item, session)  ->  scores (no half-life)
        ann   5 5 7 5  1 1 1 2       (5,1) (7,1) (5,2)          5: 2, 7: 1, others below 0
        """
        batch, size = tf.shape(items, tf.int64)[0], self.vocabulary_size
        event = tf.where(tf.gather(self.never_bought, items) > -np.inf)  # (events, 2): candidates only
        user, item = event[:, 0], tf.cast(tf.gather_nd(items, event), tf.int64)
        session, weights = self._sessions(user, tf.gather_nd(sessions, event), tf.gather_nd(ages, event))
        bought, entry = tf.unique(user * size + item, tf.int64)  # (bought,), (events,)
        pairs, _ = tf.unique(entry * tf.size(weights, tf.int64) + session)  # (pairs,)
        entry, session = pairs // tf.size(weights, tf.int64), pairs % tf.size(weights, tf.int64)
        sums = tf.math.unsorted_segment_sum(tf.gather(weights, session), entry, tf.size(bought))  # (bought,)
        never = tf.tile(self.never_bought[None], [batch, 1])  # (batch, V)
        place = tf.stack([bought // size, bought % size], axis=1)  # (bought, 2)
        return tf.tensor_scatter_nd_update(never, place, tf.cast(sums, tf.float32))

    def _sessions(self, user: tf.Tensor, session: tf.Tensor, age: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(events,) x 3 -> each event's session from 0, int64 (events,); weights, float64 (sessions,).

        A weight is taken once a session, and in float64: vectorised powers may differ in the last bit between
        two places of an array, which would break ties.
        """
        session = tf.cast(session, tf.int64)
        base = 1 + tf.reduce_max(tf.concat([[0], session], axis=0))
        distinct, number = tf.unique(user * base + session, tf.int64)
        if self.half_life_days is None:
            return number, tf.ones_like(distinct, tf.float64)
        age = tf.math.unsorted_segment_max(tf.cast(age, tf.float64), number, tf.size(distinct))  # (sessions,)
        return number, tf.pow(tf.constant(0.5, tf.float64), age / self.half_life_days)


def _constant(values: np.ndarray) -> tf.Variable:
    """A vector that is saved with the model, not inside its graph (which may be 2 GB at most)."""
    return tf.Variable(values.astype(np.float32), trainable=False)
