"""How long a basket came after the one before it, as a vector that is added to the basket's."""

import tensorflow as tf

KINDS = 32  # of gaps between two baskets, each half as long again as the one before


class GapVectors(tf.Module):
    """A vector for each kind of gap; they begin at zero, as if gaps did not matter."""

    def __init__(self, width: int):
        super().__init__()
        self.table = tf.Variable(
            tf.zeros((KINDS + 1, width)), name="gap_vectors"
        )  # the last row: nothing before

    def __call__(self, ages: tf.Tensor) -> tf.Tensor:
        """(batch, positions) float32, days from each basket to the cut -> (batch, positions, width)."""
        kinds = kinds_of(ages[:, :-1] - ages[:, 1:])  # (batch, positions - 1)
        return tf.gather(self.table, tf.pad(kinds, [[0, 0], [1, 0]], constant_values=KINDS))


def kinds_of(days: tf.Tensor) -> tf.Tensor:
    """The kind of each gap, float32 -> int32 below KINDS.

    0 within an hour, then one more for each time that the gap is half as long again.
    """
    kind = tf.math.log(tf.maximum(days * 24, 1.0)) / tf.math.log(1.5)
    return tf.minimum(tf.cast(kind, tf.int32), KINDS - 1)
