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


def scale(gradients: Sequence[Gradient], factor: tf.Tensor) -> list[Gradient]:
    """Each times `factor`, () float32."""
    return [
        tf.IndexedSlices(g.values * factor, g.indices) if isinstance(g, tf.IndexedSlices) else g * factor
        for g in gradients
    ]
