"""What a user's history with a category adds to the score of each item of it."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.baskets import ABSENT, Events
from models.heads.asked import Asked
from models.heads.response import Response
from models.heads.slots import FEATURES, Slots, before, features, find_slots, row_and_slot


class Added(NamedTuple):
    """What is added for the categories of a row's slots, as of each moment."""

    values: tf.Tensor  # (batch, moments, length + 1) float32; the last 0, of a category that was not had
    slots: Slots  # of categories
    slot_of: tf.Tensor  # (batch, categories + 1) int32: the slot of each category; length: none

    def of_slots(self, where: tf.Tensor) -> tf.Tensor:
        """(pairs, 3) int64: row, moment, slot of an item -> (pairs,): of the item's category."""
        slot = tf.gather_nd(self.slots.of_event, row_and_slot(where))
        return tf.gather_nd(self.values, tf.concat([where[:, :2], tf.cast(slot[:, None], tf.int64)], axis=1))

    def of_items(self, category_of: tf.Tensor) -> tf.Tensor:
        """The categories of some items, (some,) int32 -> (batch, moments, some)."""
        slot = tf.gather(self.slot_of, category_of, axis=1)  # (batch, some)
        # Turned, so that what is read of a slot lies side by side.
        found = tf.gather(tf.transpose(self.values, [0, 2, 1]), slot, axis=1, batch_dims=1)
        return tf.transpose(found, [0, 2, 1])

    def of_targets(self, events: Events) -> tf.Tensor:
        """Of each event as the target of the moment before it, where each session has one: (batch, length)."""
        return tf.gather_nd(self.values, before(events, self.slots.of_event))

    def of_all(self, category_of: tf.Tensor) -> tf.Tensor:
        """The categories of all items, (V,) int32 -> (batch, V), as of the first moment."""
        by_category = tf.gather(
            self.values[:, 0], self.slot_of, axis=1, batch_dims=1
        )  # (batch, categories + 1)
        return tf.transpose(tf.gather(tf.transpose(by_category), category_of))  # turned, as above


class CategoryRepeat(tf.Module):
    """The learned function of a user's history with a category, which tells what `Repeat` tells of items.

    category_of  (vocabulary_size,) int32, from 1; 0: none
    """

    def __init__(self, category_of: np.ndarray, width: int, hidden: int, seed: int):
        super().__init__()
        self.categories = int(category_of.max())
        self.category_of = tf.Variable(category_of, dtype=tf.int32, trainable=False, name="category_of")
        self.response = Response(FEATURES, width, hidden, seed)

    def of(self, items: tf.Tensor) -> tf.Tensor:
        """Of each item the category, of the same shape."""
        return tf.gather(self.category_of, items)

    def __call__(
        self,
        states: tf.Tensor,
        events: Events,
        asked: Asked,
    ) -> Added:
        """As of the moments that are asked; states (batch, moments, width)."""
        categories = tf.where(events.positions == ABSENT, 0, self.of(events.items))  # (batch, length)
        slots = find_slots(categories, events.positions, asked.ages.shape[1])
        where = slots.had(asked)
        bonus = self.response(features(slots, asked, where), states, where)
        batch, length = tf.unstack(tf.shape(events.items))
        shape = tf.stack([batch, tf.shape(asked.at)[1], length])
        values = tf.scatter_nd(where, bonus, tf.cast(shape, tf.int64))
        place = tf.where(slots.items > 0)  # (slots, 2): row, slot
        at = tf.stack([tf.cast(place[:, 0], tf.int32), tf.gather_nd(slots.items, place)], axis=1)
        slot_of = tf.fill(tf.stack([batch, self.categories + 1]), length)
        slot_of = tf.tensor_scatter_nd_update(slot_of, at, tf.cast(place[:, 1], tf.int32))
        return Added(tf.pad(values, [[0, 0], [0, 0], [0, 1]]), slots, slot_of)
