"""Which past events a score came from: integrated gradients over the vectors of their items.

Sundararajan, Taly and Yan, 2017, "Axiomatic Attribution for Deep Networks". On the straight way from a history of nothing
but unknown items, whose vector is zero, to the history itself, each event is given the part of the score's change that comes
through its vector. Scaling a vector v by a `presence` p, the gradient to p is v times that to p v: so that of one number an
event is all there is to integrate, and what an event is given is the sum over its vector.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

POWER = 4.0
"""Presence is taken at steps^POWER: encoders that normalise change most where vectors are all but zero."""


class Attributed(NamedTuple):
    """The attributions of each row add up to score - baseline, as far as the steps are fine enough."""

    attributions: tf.Tensor  # (batch, length) float32; 0 for padding, and for what the model does not look at
    score: tf.Tensor  # (batch,) float32
    baseline: tf.Tensor  # (batch,) float32: the score of the same history with unknown items


def integrated_gradients(
    score: Callable[..., tf.Tensor], inputs: tuple[tf.Tensor, ...], steps: tf.Tensor
) -> Attributed:
    """Of a score that looks at vectors, by the midpoints of `steps` intervals.

    score   (*inputs, presence (rows, length) float32) -> (rows,), each row by itself
    inputs  of a batch, (batch, …) each, the first one items, (batch, length)
    steps   () int32: so many rows, and two, are scored for each of the batch
    """
    batch, length = tf.unstack(tf.shape(inputs[0]))
    way = (tf.range(steps, dtype=tf.float32) + 0.5) / tf.cast(steps, tf.float32)  # (steps,)
    weights = POWER * way ** (POWER - 1) / tf.cast(steps, tf.float32)
    points = tf.concat([[0.0], way**POWER, [1.0]], axis=0)  # (steps + 2,): both ends only for their scores
    rows = [tf.repeat(each, steps + 2, axis=0) for each in inputs]
    presence = tf.tile(points, [batch])[:, None] * tf.ones((1, length))  # (batch * (steps + 2), length)
    with tf.GradientTape() as tape:
        tape.watch(presence)
        scores = score(*rows, presence)
    gradient = tape.gradient(scores, presence, unconnected_gradients="zero")
    gradient = tf.reshape(gradient, [batch, steps + 2, length])[:, 1:-1]
    scores = tf.reshape(scores, [batch, steps + 2])
    return Attributed(tf.einsum("bsl,s->bl", gradient, weights), scores[:, -1], scores[:, 0])
