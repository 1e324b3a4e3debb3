"""A frequency filter that looks back only.

BSARec filters a whole row: of its Fourier transform the lowest frequencies pass as they are, the others weakened or
strengthened by a learnt factor. What that makes of the last position is a weighted sum of the positions, with weights that
go by how far back they lie. Here every position is given that sum, of itself and those before it: what the filter of the
paper would make of it if it were the last. So a loss may stand at any position, and rows need no alignment.
"""

import numpy as np
import tensorflow as tf


class FrequencyFilter(tf.keras.layers.Layer):
    """Low + beta² · (x - low), where low has the lowest frequencies of x, and beta is learnt for each of the width.

    positions    the period of the lowest frequency above that of the mean
    frequencies  how many are low, that of the mean included
    causal       false: a position sees those behind it as well, as in the paper
    """

    def __init__(self, positions: int, frequencies: int, causal: bool = True):
        super().__init__(name="filter")
        back = np.arange(positions)
        matrix = low_pass(positions, frequencies)[(back[:, None] - back) % positions]  # (to, from)
        self.low = (np.tril(matrix) if causal else matrix).astype(np.float32)

    def build(self, shape: tf.TensorShape) -> None:
        self.beta = self.add_weight(
            "beta", (shape[-1],), initializer=tf.keras.initializers.RandomNormal(stddev=1.0)
        )

    def call(self, x: tf.Tensor, at: tf.Tensor | None = None) -> tf.Tensor:
        """(batch, length, width) -> alike; length <= positions. With `at`, (batch,) int32: of these, (batch, 1, width)."""
        matrix = tf.constant(self.low[: x.shape[1], : x.shape[1]])  # (to, from)
        if at is None:
            low = tf.einsum("ts,bsw->btw", matrix, x)
        else:
            low, x = tf.matmul(tf.gather(matrix, at)[:, None], x), tf.gather(x, at, batch_dims=1)[:, None]
        return low + self.beta**2 * (x - low)


def low_pass(positions: int, frequencies: int) -> np.ndarray:
    """By how far back a position lies, its weight in the low frequencies of this one: float64 (positions,).

    The inverse Fourier transform of 1 for the lowest frequencies, and 0 for the others.
    """
    passes = np.zeros(positions // 2 + 1)
    passes[:frequencies] = 1
    return np.fft.irfft(passes, positions)
