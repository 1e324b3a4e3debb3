"""Dropout that follows from the seed, the step, the place in the model and the row: from nothing that ran before.

A row loses the same values on whichever rank it is and whatever else is in its batch, and a step that is taken again after
a restart loses what it lost the first time.
"""

import zlib
from typing import NamedTuple

import tensorflow as tf

ROUNDS = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))
"""Shift and factor: the finalizer of MurmurHash3 for 32 bits (Appleby, 2011), each of its bits depends on all before."""


class Parts(NamedTuple):
    """Which of the equal parts of a row each is."""

    places: tf.Tensor  # (batch,) int32, from 0
    of: int  # parts of a row


class Noise(NamedTuple):
    """What one step's dropout is drawn from."""

    seed: tf.Tensor  # (2,) int32: of the training, and the number of the step
    rows: tf.Tensor  # (batch,) int64: which row of the example set each is
    parts: Parts | None = None  # where each is a part of a row


class Dropout(tf.Module):
    """Sets a share `rate` of the values to 0 and divides the others by 1 - rate (Srivastava et al., 2014).

    place  what it is dropped from: two places of a model lose different values
    """

    def __init__(self, rate: float, place: str):
        super().__init__()
        self.rate, self.place = rate, zlib.crc32(place.encode())

    def __call__(self, x: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        """(batch, …), of which all but the first are known when the graph is built -> alike. Without noise `x` itself."""
        if noise is None or not self.rate:
            return x
        bits = tf.reshape(self.bits(noise, x.shape[1:].num_elements()), tf.shape(x))
        return x * tf.cast(self.keeps(bits), x.dtype) / (1 - self.rate)

    def keeps(self, bits: tf.Tensor) -> tf.Tensor:
        """Which of such bits stand for something that stays: uint32 -> bool, all but a share `rate` of them."""
        return bits >= tf.constant(round(self.rate * 2**32), tf.uint32)

    def bits(self, noise: Noise, number: int) -> tf.Tensor:
        """(batch, number) uint32, uniform."""
        halves = tf.bitcast(noise.rows, tf.uint32)  # (batch, 2)
        key = tf.constant(self.place, tf.uint32)
        for part in (*tf.unstack(tf.bitcast(noise.seed, tf.uint32)), halves[:, 0], halves[:, 1]):
            key = mixed(tf.bitwise.bitwise_xor(key, part))  # (), at last (batch,)
        parts = noise.parts.of if noise.parts else 1
        within = mixed(tf.range(parts * number, dtype=tf.int32) + 1)
        if noise.parts:
            within = tf.gather(tf.reshape(within, (parts, number)), noise.parts.places)  # (batch, number)
        return mixed(tf.bitwise.bitwise_xor(key[:, None], within))


class StochasticDepth(Dropout):
    """Sets all of a row to 0, for a share `rate` of the rows, and divides the others (Huang et al., 2016).

    With it a block's addition is left out of some rows: what is told apart by rows is so at each of their positions.
    """

    def __call__(self, x: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        """(rows, …), or (positions, …) with the row of each in `noise.rows` -> alike."""
        if noise is None or not self.rate:
            return x
        bits = self.bits(noise._replace(parts=None), 1)  # (rows, 1)
        kept = tf.cast(self.keeps(bits), x.dtype)
        return x * tf.reshape(kept, [-1, *[1] * (x.shape.rank - 1)]) / (1 - self.rate)


def mixed(numbers: tf.Tensor) -> tf.Tensor:
    """Each number hashed: uint32, or int32 of which the bits count, -> uint32."""
    numbers = tf.bitcast(numbers, tf.uint32)
    for shift, factor in ROUNDS:
        shifted = tf.bitwise.right_shift(numbers, tf.constant(shift, tf.uint32))
        numbers = tf.bitwise.bitwise_xor(numbers, shifted) * tf.constant(factor, tf.uint32)
    return numbers
