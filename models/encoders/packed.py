"""The positions of a batch that are taken, one behind the other: what looks at one position alone does no work on padding.

After Zhai et al., 2023, "ByteTransformer: A High-Performance Transformer Boosted for Variable-Length Inputs".
"""

import tensorflow as tf

from models.dropout import Noise, Parts


class Packed:
    """Packs rows and spreads them again.

    taken    (batch, length) bool, length known when the graph is built

    1 1 0        rows   a b -       packed   a b c       rows 0 0 1
    1 0 0               c - -                            places 0 1 0
    """

    def __init__(self, taken: tf.Tensor):
        self.shape, self.length = tf.shape(taken), taken.shape[1]
        self.where = tf.where(taken)  # (packed, 2) int64
        self.rows, self.places = (tf.cast(each, tf.int32) for each in tf.unstack(self.where, axis=1))
        counts = tf.reduce_sum(tf.cast(taken, tf.int32), axis=1)  # (batch,)
        self.starts = tf.cumsum(counts, exclusive=True)

    def pack(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, length, width) -> (packed, width)."""
        return tf.gather_nd(x, self.where)

    def spread(self, x: tf.Tensor) -> tf.Tensor:
        """(packed, width) -> (batch, length, width), zeros where not taken."""
        shape = tf.concat([self.shape, tf.shape(x)[1:]], axis=0)
        spread = tf.scatter_nd(self.where, x, tf.cast(shape, tf.int64))
        return tf.ensure_shape(spread, (None, self.length, x.shape[1]))

    def at(self, x: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        """Of each row one that is taken, (batch,) int32: (packed, width) -> (batch, width); of a row without one, any."""
        return tf.gather(tf.pad(x, [[0, 1], [0, 0]]), tf.minimum(self.starts + at, tf.shape(x)[0]))

    def noise(self, noise: Noise | None) -> Noise | None:
        """What dropout of what is packed is drawn from: a position loses what it loses where it is spread."""
        if noise is None:
            return None
        return Noise(noise.seed, tf.gather(noise.rows, self.rows), Parts(self.places, self.length))
