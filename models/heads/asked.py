"""The moments as of which a row's history is told: behind each of its sessions, or at its end."""

from math import log
from typing import NamedTuple

import tensorflow as tf

HALF_LIVES = (3.0, 7.0, 14.0, 30.0, 60.0, 120.0, 240.0)  # days


class Asked(NamedTuple):
    """Some moments of each row, each behind a session, and what its sessions weigh then."""

    at: tf.Tensor  # (batch, moments) int32: the position of the session before
    wanted: tf.Tensor  # (batch, moments) bool: whether there is such a moment
    now: tf.Tensor  # (batch, moments) float32: days before the end of the row
    ages: tf.Tensor  # (batch, positions) float32: days of each session before the end of the row
    weights: tf.Tensor  # (batch, positions, moments, HALF_LIVES + 1) float32: see `_weights`


def behind_each(ages: tf.Tensor, count: tf.Tensor, waited: tf.Tensor | None = None) -> Asked:
    """A moment between each session and the next: (batch, positions) days, (batch,) sessions of each row.

    waited  (batch, positions) float32: the share of the time to the next session that is over; none: all of it
    After a row's last session it is the end of the row, and not wanted, as nothing follows.
    """
    number = tf.range(ages.shape[1])[None]
    following = number + 1 < count[:, None]
    now = tf.pad(ages[:, 1:], [[0, 0], [0, 1]])
    if waited is not None:
        now += (1 - waited) * (ages - now)
    now = tf.where(following, now, 0.0)
    at = tf.broadcast_to(number, tf.shape(ages))
    return Asked(at, following, now, ages, _weights(ages, at, now))


def at_the_end(ages: tf.Tensor, count: tf.Tensor) -> Asked:
    """One moment a row, its end: (batch, positions) days, (batch,) sessions of each row."""
    at, wanted = tf.maximum(count - 1, 0)[:, None], count[:, None] > 0
    now = tf.zeros_like(ages[:, :1])
    return Asked(at, wanted, now, ages, _weights(ages, at, now))


def _weights(ages: tf.Tensor, at: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
    """What each session weighs at each moment: by a half-life its share of all that were; at last 1; 0 of later ones."""
    number = tf.range(ages.shape[1])
    past = tf.cast(number[None, :, None] <= at[:, None], tf.float32)[
        ..., None
    ]  # (batch, positions, moments, 1)
    passed = tf.maximum(ages[:, :, None] - now[:, None], 0.0)[..., None]  # days
    decayed = past * tf.exp(passed * [-log(2) / half_life for half_life in HALF_LIVES])
    shares = decayed / tf.maximum(tf.reduce_sum(decayed, axis=1, keepdims=True), 1e-6)
    return tf.concat([shares, past], axis=3)
