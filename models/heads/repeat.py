"""What a user's own history with an item adds to its score: repeat consumption, aware of time.

An item that the user had before gets, on top of the encoder's score, a small learned function of that history: how often,
decayed at several half-lives; how long ago, in days and sessions; and that against the interval at which this user usually
takes it. After Anderson et al., 2014, "The Dynamics of Repeat Consumption", and Ren et al., 2019, "RepeatNet", with the time
that passed in place of attention. It starts as personal frequency with decay, so that the rest is learned beside that.

A row's `slots` are its events; the slot of an item is its first event, and the other slots are empty.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.baskets import FIRST_ITEM, Events
from models.heads.negatives import Sample
from models.heads.next_item import NOTHING, Loss, NextItem, _is_target, _sum, at_previous

HALF_LIVES = (3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 240.0)  # days
LEAST_RATE = 3e-3  # added to a rate before its logarithm
BONUS = 1.0  # of an item that was had, at first


class Slots(NamedTuple):
    """Which items a row has, in which of its positions."""

    items: tf.Tensor  # (batch, length) int32: the item of a slot; 0: empty
    first: tf.Tensor  # (batch, length) int32: its first position
    of_event: tf.Tensor  # (batch, length) int32: the slot of each event's item
    held: tf.Tensor  # (batch, positions, length) float32: 1 where the position's basket holds the slot's item


class Pairs(NamedTuple):
    """Items that a user had at a position or before."""

    where: tf.Tensor  # (pairs, 3) int64: row, position, slot
    bonus: tf.Tensor  # (pairs,) float32: what the history adds


class Repeat(tf.Module):
    """The learned function of a user's history with an item: features -> one number."""

    def __init__(self, head: NextItem, hidden: int, seed: int):
        super().__init__()
        self.head = head
        start = np.random.default_rng(seed).standard_normal((FEATURES, hidden), np.float32) * FEATURES**-0.5
        self.widen = tf.Variable(start, name="widen")  # (FEATURES, hidden)
        self.offset = tf.Variable(tf.zeros(hidden), name="offset")
        self.narrow = tf.Variable(tf.zeros((hidden, 1)), name="narrow")
        straight = np.zeros((FEATURES, 1), np.float32)
        straight[HALF_LIVES.index(60.0)] = 2.0  # features are halved: the logarithm of that rate itself
        straight[-1] = -1.5  # of how popular the item is with all a quarter is left
        self.straight = tf.Variable(straight, name="straight")
        self.bias = tf.Variable([BONUS], name="bias")

    def __call__(self, features: tf.Tensor) -> tf.Tensor:
        """(pairs, FEATURES) -> (pairs,)."""
        hidden = tf.nn.gelu(features @ self.widen + self.offset)
        return (hidden @ self.narrow + features @ self.straight + self.bias)[:, 0]

    def sampled_softmax(
        self,
        hidden: tf.Tensor,
        events: Events,
        slots: Slots,
        ages: tf.Tensor,
        event_vectors: tf.Tensor,
        rows: tf.Tensor,
        sample: Sample,
    ) -> Loss:
        """The loss of `NextItem.sampled_softmax`, with what histories add.

        The items a user had are each there in the sum over others, for certain; the sample stands for those never had.
        """
        following = tf.range(tf.shape(hidden)[1])[None] + 1 < events.count[:, None]  # (batch, positions)
        pairs = self.pairs(slots, ages, events.count, following)
        to_slots = tf.matmul(hidden, event_vectors, transpose_b=True)  # (batch, positions, length)
        to_slots += tf.gather(self.head.bias, events.items)[:, None]
        had = tf.gather_nd(to_slots, pairs.where) + pairs.bonus  # (pairs,)
        is_next = tf.gather_nd(slots.held, pairs.where + tf.constant([0, 1, 0], tf.int64)) > 0
        had = tf.where(is_next, NOTHING, had)
        vectors = self.head.vectors(sample.items)
        logits = tf.matmul(hidden, vectors, transpose_b=True)  # (batch, positions, sampled)
        logits += tf.gather(self.head.bias, sample.items) - sample.log_probability
        taken = _is_target(events, sample.items, hidden.shape[1]) | _was_had(
            slots, sample.items, hidden.shape[1]
        )
        never = tf.reduce_logsumexp(tf.where(taken, NOTHING, logits), axis=-1)  # (batch, positions)
        others = _add_pairs(never, had, pairs.where)
        target = self.head._targets(hidden, events, event_vectors)  # (batch, length)
        target += self._at_targets(pairs, events, slots)
        return _sum(tf.nn.softplus(at_previous(others, events) - target), events, rows)

    def scores(self, scores: tf.Tensor, events: Events, slots: Slots, ages: tf.Tensor) -> tf.Tensor:
        """Adds to the scores as of the end of each row: (batch, V) -> (batch, V)."""
        last = tf.range(tf.shape(slots.held)[1])[None] == events.count[:, None] - 1  # (batch, positions)
        pairs = self.pairs(slots, ages, events.count, last)
        row, slot = pairs.where[:, 0], tf.stack([pairs.where[:, 0], pairs.where[:, 2]], axis=1)
        item = tf.cast(tf.gather_nd(slots.items, slot), tf.int64)
        return tf.tensor_scatter_nd_add(scores, tf.stack([row, item], axis=1), pairs.bonus)

    def pairs(self, slots: Slots, ages: tf.Tensor, count: tf.Tensor, wanted: tf.Tensor) -> Pairs:
        """The items had up to each position that is wanted, (batch, positions) bool."""
        position = tf.range(tf.shape(wanted)[1])[None, :, None]
        had = wanted[:, :, None] & (slots.items >= FIRST_ITEM)[:, None] & (slots.first[:, None] <= position)
        where = tf.where(had)
        slot = tf.stack([where[:, 0], where[:, 2]], axis=1)
        popular = tf.gather(self.head.bias, tf.gather_nd(slots.items, slot)) / 2
        return Pairs(where, self(tf.concat([features(slots, ages, count, where), popular[:, None]], axis=1)))

    def _at_targets(self, pairs: Pairs, events: Events, slots: Slots) -> tf.Tensor:
        """What history adds to each event as the target of the position before it: (batch, length)."""
        added = tf.scatter_nd(pairs.where, pairs.bonus, tf.shape(slots.held, tf.int64))
        row = tf.broadcast_to(tf.range(tf.shape(events.items)[0])[:, None], tf.shape(events.items))
        index = tf.stack([row, tf.maximum(events.positions - 1, 0), slots.of_event], axis=-1)
        return tf.gather_nd(added, index)


def find_slots(items: tf.Tensor, positions_of_events: tf.Tensor, positions: int) -> Slots:
    """(batch, length) int32 x 2, items 0 where there is no event -> the slots of each row.

    items      7 5 7 9       slots    7 5 - 9        held  1 1 0 0
    positions  0 0 1 1   ->  first    0 0 - 1   ->         1 0 0 1
    """
    shape = tf.shape(items)
    row = tf.broadcast_to(tf.range(shape[0])[:, None], shape)
    place = tf.broadcast_to(tf.range(shape[1])[None], shape)
    size = tf.reduce_max(tf.concat([[0], tf.reshape(items, [-1])], axis=0)) + 1
    key = tf.cast(row, tf.int64) * tf.cast(size, tf.int64) + tf.cast(items, tf.int64)
    distinct, of_key = tf.unique(tf.reshape(key, [-1]))
    first_place = tf.math.unsorted_segment_min(tf.reshape(place, [-1]), of_key, tf.size(distinct))
    of_event = tf.reshape(tf.gather(first_place, of_key), shape)
    is_first = (of_event == place) & (items > 0)
    where = tf.stack([row, positions_of_events, of_event], axis=-1)[items > 0]  # (events, 3)
    times = tf.scatter_nd(where, tf.ones(tf.shape(where)[0]), tf.stack([shape[0], positions, shape[1]]))
    held = tf.ensure_shape(tf.minimum(times, 1.0), (None, positions, None))
    first = tf.where(is_first, positions_of_events, positions)
    return Slots(tf.where(is_first, items, 0), first, of_event, held)


def session_ages(ages: tf.Tensor, positions_of_events: tf.Tensor, positions: int) -> tf.Tensor:
    """The age of each position's session, (batch, length) float32 of events -> (batch, positions), 0 where there is none."""
    in_basket = tf.one_hot(positions_of_events, positions, axis=1)  # (batch, positions, event)
    return tf.reduce_max(in_basket * ages[:, None], axis=2)


def features(slots: Slots, ages: tf.Tensor, count: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """What is told of a user's history with an item, as of when the next session began: (pairs, FEATURES - 1) float32.

    ages   (batch, positions) days, of sessions;  where  (pairs, 3): row, position, slot
    After a row's last session it is told as of age 0, the moment of the question. All are logarithms, near 0:
    the share of past sessions with the item, each decayed by a half-life; how many sessions, and how many with it; days and
    sessions since the last; whether there were several and, of these, days and sessions against the usual interval, and that
    interval; days since the last session of any kind.
    """
    positions = slots.held.shape[1]
    row, at = where[:, 0], where[:, :2]
    number = tf.range(positions)
    is_last = number[None] >= count[:, None] - 1
    now = tf.where(is_last, 0.0, tf.pad(ages[:, 1:], [[0, 0], [0, 1]]))  # (batch, positions)
    past = (
        number[None, :, None] >= number[None, None] + tf.zeros_like(count)[:, None, None]
    )  # (batch, at, of)
    passed = tf.maximum(ages[:, None] - now[:, :, None], 0.0)  # (batch, at, of) days
    told = []
    for half_life in HALF_LIVES:
        weights = tf.where(past, tf.pow(0.5, passed / half_life), 0.0)
        rate = tf.matmul(weights, slots.held) / tf.maximum(
            tf.reduce_sum(weights, axis=2, keepdims=True), 1e-6
        )
        told.append(tf.math.log(tf.gather_nd(rate, where) + LEAST_RATE))
    times = tf.gather_nd(tf.cumsum(slots.held, axis=1), where)
    last = tf.gather_nd(_latest(slots.held), where)  # (pairs,) int32: position of the last one
    first = tf.gather_nd(slots.first, tf.stack([row, where[:, 2]], axis=1))
    now, place = tf.gather_nd(now, at), tf.cast(where[:, 1], tf.int32)
    age_of = [tf.gather_nd(ages, tf.stack([row, tf.cast(p, tf.int64)], axis=1)) for p in (last, first, place)]
    days, sessions = tf.maximum(age_of[0] - now, 0.0), tf.cast(place - last, tf.float32)
    several = tf.cast(times > 1, tf.float32)
    usual_days = (age_of[1] - age_of[0]) / tf.maximum(times - 1, 1)
    usual_sessions = tf.cast(last - first, tf.float32) / tf.maximum(times - 1, 1)
    told += [tf.math.log1p(tf.cast(place, tf.float32)), tf.math.log(times)]
    told += [tf.math.log1p(days), tf.math.log1p(sessions), several]
    told += [several * (tf.math.log1p(days) - tf.math.log1p(usual_days)), several * tf.math.log1p(usual_days)]
    told += [
        several * (tf.math.log1p(sessions) - tf.math.log1p(usual_sessions)),
        several * tf.math.log1p(usual_sessions),
    ]
    told.append(tf.math.log1p(tf.maximum(age_of[2] - now, 0.0)))
    return tf.stack(told, axis=1) / 2


FEATURES = len(HALF_LIVES) + 11  # those of `features`, and the item's bias


def _latest(held: tf.Tensor) -> tf.Tensor:
    """(batch, positions, length) -> int32 alike: the last position up to each that holds the slot; -1: none."""
    positions = held.shape[1]
    found = tf.where(held > 0, tf.range(positions)[None, :, None], -1)
    reach = 1
    while reach < positions:  # the maximum so far, over twice as many at each turn
        earlier = tf.pad(found[:, :-reach], [[0, 0], [reach, 0], [0, 0]], constant_values=-1)
        found, reach = tf.maximum(found, earlier), 2 * reach
    return found


def _was_had(slots: Slots, sampled: tf.Tensor, positions: int) -> tf.Tensor:
    """Whether a sampled item, (sampled,) ascending, was had up to a position: (batch, positions, sampled) bool."""
    shape, flat = tf.shape(slots.items), tf.reshape(slots.items, [-1])
    column = tf.searchsorted(sampled, flat)
    found = tf.gather(tf.concat([sampled, [slots.items.dtype.max]], axis=0), column) == flat
    hit = tf.reshape(found, shape) & (slots.items >= FIRST_ITEM)
    row = tf.broadcast_to(tf.range(shape[0])[:, None], shape)
    where = tf.stack([row, tf.reshape(column, shape)], axis=-1)[hit]  # (hits, 2)
    never = tf.fill(tf.stack([shape[0], tf.size(sampled)]), positions)
    first = tf.tensor_scatter_nd_min(never, where, slots.first[hit])  # (batch, sampled)
    return first[:, None] <= tf.range(positions)[None, :, None]


def _add_pairs(sums: tf.Tensor, values: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """log(exp(sums) + the sum of exp(values) of each position): (batch, positions), (pairs,), (pairs, 3) -> as the first."""
    shape = tf.shape(sums, tf.int64)
    segment, size = where[:, 0] * shape[1] + where[:, 1], tf.reduce_prod(shape)
    flat = tf.reshape(sums, [-1])
    top = tf.maximum(flat, tf.math.unsorted_segment_max(values, segment, size))
    top = tf.stop_gradient(tf.maximum(top, NOTHING))
    total = tf.exp(flat - top) + tf.math.unsorted_segment_sum(
        tf.exp(values - tf.gather(top, segment)), segment, size
    )
    return tf.reshape(top + tf.math.log(total), shape)
