"""What a row's history tells of what is in it, its items or their categories: how often, how long ago, how regularly.

A row's `slots` are its events; the slot of an item is its first event, and the other slots are empty.
"""

from typing import NamedTuple

import tensorflow as tf

from models.baskets import Events
from models.heads.asked import HALF_LIVES, Asked

FEATURES = len(HALF_LIVES) + 10
LEAST_RATE = 3e-3  # added to a rate before its logarithm


class Slots(NamedTuple):
    """Which items a row has, or which categories, in which of its positions."""

    items: tf.Tensor  # (batch, length) int32: the item of a slot; 0: empty
    first: tf.Tensor  # (batch, length) int32: its first position
    of_event: tf.Tensor  # (batch, length) int32: the slot of each event's item
    held: tf.Tensor  # (batch, positions, length) float32: 1 where the position's basket holds the slot's item

    def had(self, asked: Asked, least: int = 1) -> tf.Tensor:
        """Where a slot's item, from index `least` on, came before a moment: (pairs, 3) int64, of row, moment and slot."""
        is_had = (self.items >= least)[:, None] & (self.first[:, None] <= asked.at[:, :, None])
        return tf.where(asked.wanted[:, :, None] & is_had)


def row_and_slot(where: tf.Tensor) -> tf.Tensor:
    """(pairs, 3): row, moment, slot -> (pairs, 2): row, slot."""
    return tf.gather(where, [0, 2], axis=1)


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


def before(events: Events, slot: tf.Tensor) -> tf.Tensor:
    """Where the slot of each event, (batch, length) int32, is at the position before its own: (batch, length, 3) int32."""
    row = tf.broadcast_to(tf.range(tf.shape(slot)[0])[:, None], tf.shape(slot))
    return tf.stack([row, tf.maximum(events.positions - 1, 0), slot], axis=-1)


def session_ages(ages: tf.Tensor, positions_of_events: tf.Tensor, positions: int) -> tf.Tensor:
    """The age of each position's session, (batch, length) float32 of events -> (batch, positions), 0 where there is none."""
    in_basket = tf.one_hot(positions_of_events, positions, axis=1)  # (batch, positions, event)
    return tf.reduce_max(in_basket * ages[:, None], axis=2)


def features(slots: Slots, asked: Asked, where: tf.Tensor) -> tf.Tensor:
    """What is told of a user's history with what is in a slot, as of a moment: (pairs, FEATURES) float32.

    where  (pairs, 3): row, moment, slot
    All are logarithms, near 0: the share of past sessions with the item, each decayed by a half-life; how many sessions, and
    how many with it; days and sessions since the last; whether there were several and, of these, days and sessions against
    the usual interval, and that interval; days since the last session of any kind.
    """
    positions, (batch, length) = slots.held.shape[1], tf.unstack(tf.shape(slots.items))
    moments, kinds = tf.shape(asked.at)[1], asked.weights.shape[3]
    weights = tf.reshape(asked.weights, tf.stack([batch, positions, moments * kinds]))
    # One product for all moments and half-lives, which are then read together for each pair.
    held = tf.reshape(
        tf.matmul(slots.held, weights, transpose_a=True), tf.stack([batch, length, moments, kinds])
    )
    rates, times = tf.split(tf.gather_nd(held, tf.gather(where, [0, 2, 1], axis=1)), [kinds - 1, 1], axis=1)
    row, times = where[:, 0], times[:, 0]
    at = tf.gather_nd(asked.at, where[:, :2])
    now = tf.gather_nd(asked.now, where[:, :2])
    first = tf.gather_nd(slots.first, row_and_slot(where))
    last = tf.gather_nd(_latest(slots.held, asked), where)  # (pairs,) int32: position of the last one
    age_of = [
        tf.gather_nd(asked.ages, tf.stack([row, tf.cast(p, tf.int64)], axis=1)) for p in (last, first, at)
    ]
    days, sessions = tf.maximum(age_of[0] - now, 0.0), tf.cast(at - last, tf.float32)
    several = tf.cast(times > 1, tf.float32)
    usual_days = (age_of[1] - age_of[0]) / tf.maximum(times - 1, 1)
    usual_sessions = tf.cast(last - first, tf.float32) / tf.maximum(times - 1, 1)
    days, sessions, usual_days, usual_sessions = map(
        tf.math.log1p, (days, sessions, usual_days, usual_sessions)
    )
    told = [tf.math.log1p(tf.cast(at, tf.float32)), tf.math.log(times), days, sessions, several]
    told += [several * (days - usual_days), several * usual_days]
    told += [several * (sessions - usual_sessions), several * usual_sessions]
    told.append(tf.math.log1p(tf.maximum(age_of[2] - now, 0.0)))
    return tf.concat([tf.math.log(rates + LEAST_RATE), tf.transpose(tf.stack(told))], axis=1) / 2


def _latest(held: tf.Tensor, asked: Asked) -> tf.Tensor:
    """(batch, positions, length) -> int32 (batch, moments, length): the last position with the slot by then; -1: none."""
    positions = held.shape[1]
    number = tf.range(positions)[None, :, None]
    if asked.at.shape[1] == 1:
        return tf.reduce_max(
            tf.where((held > 0) & (number <= asked.at[:, :, None]), number, -1), axis=1, keepdims=True
        )
    found = tf.where(held > 0, number, -1)
    reach = 1
    while reach < positions:  # the maximum so far, over twice as many at each turn
        earlier = tf.pad(found[:, :-reach], [[0, 0], [reach, 0], [0, 0]], constant_values=-1)
        found, reach = tf.maximum(found, earlier), 2 * reach
    return found
