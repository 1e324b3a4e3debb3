"""Gradients of a step, added up over the parts of a batch and over the ranks.

A gradient is dense, or only of the rows of a table that the step looked at (`tf.IndexedSlices`). Those are gathered
from all ranks and merged before a norm is taken: a row that two ranks saw counts with the sum of both.
"""

from collections.abc import Sequence
from typing import TypeAlias

import horovod.tensorflow as hvd
import tensorflow as tf

Gradient: TypeAlias = tf.Tensor | tf.IndexedSlices
WIRES = {"none": hvd.Compression.none, "fp16": hvd.Compression.fp16}
"""What of a number the ranks send each other: all 32 bits, or 16."""


def add_parts(parts: Sequence[Sequence[Gradient]]) -> list[Gradient]:
    """Of each variable the sum over the parts; rows are each there once."""
    return [_added(gradients) for gradients in zip(*parts, strict=True)]


def _added(gradients: Sequence[Gradient]) -> Gradient:
    if not isinstance(gradients[0], tf.IndexedSlices):
        return tf.add_n(gradients)
    values = tf.concat([g.values for g in gradients], axis=0)
    return merge(tf.IndexedSlices(values, tf.concat([g.indices for g in gradients], axis=0)))


def merge(slices: tf.IndexedSlices) -> tf.IndexedSlices:
    """Adds up rows of the same index: values (many, …), indices (many,) -> (rows, …), (rows,)."""
    indices, place = tf.unique(slices.indices)
    return tf.IndexedSlices(tf.math.unsorted_segment_sum(slices.values, place, tf.size(indices)), indices)


def add_ranks(gradients: Sequence[Gradient], wire: str = "none") -> list[Gradient]:
    """Of each variable the sum over the ranks, the same on each of them; `wire` is a name in `WIRES`."""
    compression = WIRES[wire]
    dense = [g for g in gradients if not isinstance(g, tf.IndexedSlices)]
    added = iter(hvd.grouped_allreduce(dense, op=hvd.Sum, compression=compression))
    return [_gathered(g, compression) if isinstance(g, tf.IndexedSlices) else next(added) for g in gradients]


def _gathered(slices: tf.IndexedSlices, compression: type[hvd.Compression.none]) -> tf.IndexedSlices:
    sent, kind = compression.compress(slices.values)
    values = compression.decompress(hvd.allgather(sent), kind)
    return merge(tf.IndexedSlices(values, hvd.allgather(slices.indices)))


def surgery(tasks: Sequence[Sequence[tf.Tensor]], seed: tf.Tensor) -> list[tf.Tensor]:
    """The sum of several tasks' gradients, each without what it takes back of another's.

    tasks  a dense gradient of each variable for each task, of all ranks already: what is projected is what will be taken
    seed   (2,) int: the order in which a task meets the others, by lot

    PCGrad: Yu et al., 2020, "Gradient Surgery for Multi-Task Learning". Of two that point against each other, one loses its
    part along the other as that was before.
    """
    shapes = [tf.shape(gradient) for gradient in tasks[0]]
    flat = [tf.concat([tf.reshape(g, [-1]) for g in task], axis=0) for task in tasks]  # (weights,) each
    squares = [tf.reduce_sum(each**2) for each in flat]
    total = tf.zeros_like(flat[0])
    for own, gradient in enumerate(flat):
        others = [other for other in range(len(flat)) if other != own]
        order = tf.random.experimental.stateless_shuffle(tf.constant(others), seed=seed + own)
        stacked, lengths = tf.stack(flat), tf.stack(squares)
        for place in range(len(others)):
            other, square = stacked[order[place]], lengths[order[place]]
            along = tf.minimum(tf.reduce_sum(gradient * other), 0.0)
            gradient -= tf.math.divide_no_nan(along, square) * other
        total += gradient
    parts = tf.split(total, [tf.reduce_prod(shape) for shape in shapes])
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


def scale(gradients: Sequence[Gradient], factor: tf.Tensor) -> list[Gradient]:
    """Each times `factor`, () float32."""
    return [
        tf.IndexedSlices(g.values * factor, g.indices) if isinstance(g, tf.IndexedSlices) else g * factor
        for g in gradients
    ]
