"""Events that a step leaves out of a history: what comes next is learned from histories that were not seen as such.

After the dropped clicks of Tan et al., 2016, "Improved Recurrent Neural Networks for Session-based Recommendations", and the
views of Xie et al., 2022 (CL4SRec), with no gap where something was: what came two events before a target is the last before
it then, and tells of it as such.
"""

import tensorflow as tf

from models.dropout import Dropout, Noise
from models.indices import PADDING


class EventDropout(tf.Module):
    """Leaves a share `rate` of a row's events out, but none of its last session, and at least one before that."""

    def __init__(self, rate: float):
        super().__init__()
        self.lot = Dropout(rate, "events")

    def __call__(
        self, items: tf.Tensor, sessions: tf.Tensor, *beside: tf.Tensor | None, noise: Noise | None
    ) -> list[tf.Tensor | None]:
        """What a row has of each event: (batch, length), each -> alike, those left moved together, padded with zeros.

        items 3 5 4 7 0    sessions 1 1 2 3 0   ->   3 4 7 0 0    1 2 3 0 0      where 5 is left out
        """
        given = [items, sessions, *beside]
        if noise is None or not self.lot.rate:
            return given
        kept, place = self.kept(items, sessions, noise), tf.range(items.shape[1])
        order = tf.argsort(tf.where(kept, place, place + items.shape[1]), axis=1)
        inside = place < tf.reduce_sum(tf.cast(kept, tf.int32), axis=1, keepdims=True)
        return [
            x if x is None else tf.where(inside, tf.gather(x, order, batch_dims=1), tf.zeros((), x.dtype))
            for x in given
        ]

    def kept(self, items: tf.Tensor, sessions: tf.Tensor, noise: Noise) -> tf.Tensor:
        """(batch, length) int32, twice -> bool."""
        length = items.shape[1]
        present = items != PADDING
        end = tf.reduce_sum(tf.cast(present, tf.int32), axis=1, keepdims=True) - 1  # (batch, 1)
        newest = tf.gather(sessions, tf.maximum(end, 0), batch_dims=1)
        is_last = present & (sessions == newest)
        bits = self.lot.bits(noise, length)
        before = present & ~is_last
        heights = tf.cast(tf.bitwise.right_shift(bits, tf.constant(1, tf.uint32)), tf.int32)
        highest = tf.argmax(tf.where(before, heights, -1), axis=1, output_type=tf.int32)
        return is_last | (before & (self.lot.keeps(bits) | (tf.range(length) == highest[:, None])))
