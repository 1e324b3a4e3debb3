"""What a user's own history with an item, and with its category, adds to its score: repeat consumption, aware of time.

An item that the user had before gets, on top of the encoder's score, a small learned function of that history (how often,
decayed at several half-lives; how long ago, in days and sessions; and that against the interval at which this user usually
takes it), of the encoder's state and of the item's vector. After Anderson et al., 2014, "The Dynamics of Repeat
Consumption", and Ren et al., 2019, "RepeatNet", with the time that passed in place of attention. It starts as personal
frequency with decay, so that the rest is learned beside that. All items of a category that the user had get another such
function, of the history with the category, which tells apart those that are new to the user.

A question comes at any time after a session, and not when the next one begins, which only a training knows. A position is
therefore asked as of a moment between the two, drawn anew at each step.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.baskets import Events
from models.dropout import Dropout, Noise
from models.heads.asked import HALF_LIVES, Asked, at_the_end, behind_each
from models.heads.category_repeat import CategoryRepeat
from models.heads.negatives import Sample
from models.heads.next_item import (
    NOTHING,
    Loss,
    NextItem,
    at_previous,
    at_told,
    is_told,
    logsumexp,
    number_of,
    products,
    sampled_at,
    summed,
    targets_in,
    without,
)
from models.heads.response import Response
from models.heads.slots import FEATURES, Slots, before, features, find_slots, row_and_slot, session_ages
from models.indices import FIRST_ITEM

BONUS = 1.0  # of an item that was had, at first


class Pairs(NamedTuple):
    """Items that a user had before a moment."""

    where: tf.Tensor  # (pairs, 3) int64: row, moment, slot
    bonus: tf.Tensor  # (pairs,) float32: what the history adds


class Repeat(tf.Module):
    """The learned function of a user's history: with an item and, where items have categories, with its category.

    category_of  (vocabulary_size,) int32, from 1; 0: none
    """

    def __init__(self, head: NextItem, hidden: int, category_of: np.ndarray, seed: int):
        super().__init__()
        width = head.vectors.table.shape[1]
        self.head, self.moment = head, Dropout(0.0, "moment")
        self.response = Response(FEATURES + 1, width, hidden, seed)
        self.of_item = tf.Variable(tf.zeros((width, hidden)), name="of_item")
        straight = np.zeros((FEATURES + 1, 1), np.float32)
        straight[HALF_LIVES.index(60.0)] = 2.0  # features are halved: the logarithm of that rate itself
        straight[-1] = -1.5  # of how popular the item is with all a quarter is left
        self.straight = tf.Variable(straight, name="straight")
        self.bias = tf.Variable([BONUS], name="bias")
        self.categories = CategoryRepeat(category_of, width, hidden, seed + 1) if category_of.any() else None

    def sampled_softmax(
        self,
        hidden: tf.Tensor,
        events: Events,
        ages: tf.Tensor,
        event_vectors: tf.Tensor,
        rows: tf.Tensor,
        sample: Sample,
        noise: Noise | None,
    ) -> Loss:
        """The loss of `NextItem.sampled_softmax`, with what histories add; ages (batch, positions) of sessions.

        The items a user had are each there in the sum over others, for certain; the sample stands for those never had.
        """
        positions = hidden.shape[1]
        asked = behind_each(ages, events.count, self._waited(noise, positions))
        slots = find_slots(events.items, events.positions, positions)
        pairs = self._pairs(hidden, slots, asked)
        to_slots = tf.matmul(hidden, event_vectors, transpose_b=True)  # (batch, positions, length)
        to_slots += tf.gather(self.head.bias, events.items)[:, None]
        had = tf.gather_nd(to_slots, pairs.where) + pairs.bonus  # (pairs,)
        told = is_told(events, positions)
        bias = tf.gather(self.head.bias, sample.items) - sample.log_probability  # (sampled,)
        logits = products(tf.boolean_mask(hidden, told), self.head.vectors(sample.items), bias)
        target = self.head.targets(hidden, events, event_vectors)  # (batch, length)
        target += _at_targets(pairs, events, slots)
        if self.categories:
            added = self.categories(hidden, events, asked)
            had += added.of_slots(pairs.where)
            logits += tf.boolean_mask(added.of_items(self.categories.of(sample.items)), told)
            target += added.of_targets(events)
        is_next = tf.gather_nd(slots.held, pairs.where + tf.constant([0, 1, 0], tf.int64)) > 0
        had = tf.where(is_next, NOTHING, had)
        taken = targets_in(events, sample.items, told), _had_in(pairs, slots, sample.items, told)
        never = at_told(logsumexp(without(logits, tf.concat(taken, axis=0))), told)  # (batch, positions)
        others = _add_pairs(never, had, pairs.where)
        return summed(tf.nn.softplus(at_previous(others, events) - target), events, rows)

    def scores(self, scores: tf.Tensor, hidden: tf.Tensor, events: Events, ages: tf.Tensor) -> tf.Tensor:
        """Adds to the scores as of the end of each row: (batch, V) -> (batch, V).

        hidden  (batch, positions, width);  events  with the items as they came;  ages  (batch, length)
        """
        positions = hidden.shape[1]
        asked = at_the_end(session_ages(ages, events.positions, positions), events.count)
        last = tf.gather(hidden, asked.at, axis=1, batch_dims=1)  # (batch, 1, width)
        slots = find_slots(events.items, events.positions, positions)
        pairs = self._pairs(last, slots, asked)
        item = tf.cast(tf.gather_nd(slots.items, row_and_slot(pairs.where)), tf.int64)
        scores = tf.tensor_scatter_nd_add(scores, tf.stack([pairs.where[:, 0], item], axis=1), pairs.bonus)
        if self.categories:
            scores += self.categories(last, events, asked).of_all(self.categories.category_of)
        return scores

    def _waited(self, noise: Noise | None, positions: int) -> tf.Tensor | None:
        """The share of the time to the next session after which a position is asked, (batch, positions); none: all."""
        return None if noise is None else tf.cast(self.moment.bits(noise, positions), tf.float32) / 2.0**32

    def _pairs(self, states: tf.Tensor, slots: Slots, asked: Asked) -> Pairs:
        """The items had before each moment that is asked; states (batch, moments, width)."""
        where = slots.had(asked, FIRST_ITEM)
        slot = row_and_slot(where)
        popular = tf.gather(self.head.bias, tf.gather_nd(slots.items, slot)) / 2
        told = tf.concat([features(slots, asked, where), popular[:, None]], axis=1)
        vectors = self.head.vectors(self.head.vectors.read(slots.items))  # (batch, length, width)
        bonus = self.response(told, states, where, tf.gather_nd(vectors @ self.of_item, slot))
        return Pairs(where, bonus + (told @ self.straight + self.bias)[:, 0])


def _at_targets(pairs: Pairs, events: Events, slots: Slots) -> tf.Tensor:
    """What history adds to each event as the target of the position before it: (batch, length)."""
    added = tf.scatter_nd(pairs.where, pairs.bonus, tf.shape(slots.held, tf.int64))
    return tf.gather_nd(added, before(events, slots.of_event))


def _had_in(pairs: Pairs, slots: Slots, sampled: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    """Where an item of a sample, (sampled,) ascending, was had: (hits, 2), which of the positions told, which item."""
    hit, _, which = sampled_at(slots.items, sampled)  # (batch, length)
    hit &= slots.items >= FIRST_ITEM
    drawn = tf.gather_nd(hit, row_and_slot(pairs.where)) & tf.gather_nd(told, pairs.where[:, :2])
    where = tf.boolean_mask(pairs.where, drawn)  # (hits, 3)
    return tf.stack(
        [tf.gather_nd(number_of(told), where[:, :2]), tf.gather_nd(which, row_and_slot(where))], axis=1
    )


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
