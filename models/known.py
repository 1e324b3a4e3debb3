"""What the baseline of a task knows of each user, as a model with labels reads it."""

import numpy as np
import tensorflow as tf

LEVELS = 256  # that have an input of their own: the most frequent
ROWS = 20  # of a level that has one: of fewer rows nothing is to be learnt but these rows


class Known(tf.Module):
    """The one number `naive` of each question, as several inputs: (batch, questions) -> (batch, questions, inputs).

    Of levels, such as classes or kinds of a campaign: which it is, 1 at one place; any other has 0 at all. Of numbers:
    ln(1 + it) and, where `plain`, the number itself, each in spreads of the training rows around their mean, 0 where all
    rows have the same.

    naive   (rows, questions) of the training rows
    levels  whether the numbers are levels, of one question
    """

    def __init__(self, naive: np.ndarray, levels: bool, plain: bool = True):
        super().__init__()
        self.levels: tf.Tensor | None = None
        if levels:
            found, counts = np.unique(naive[:, 0], return_counts=True)
            often = found[counts >= ROWS], -counts[counts >= ROWS]
            most = np.sort(often[0][np.argsort(often[1], kind="stable")[:LEVELS]])
            self.levels = tf.constant(most, tf.float32)
            return
        self.inputs = 1 + plain
        numbers = self._numbers(tf.constant(naive, tf.float32)).numpy().astype(np.float64)
        spread = numbers.std(axis=0)
        self.center = tf.constant(numbers.mean(axis=0), tf.float32)  # (questions, inputs)
        self.scale = tf.constant(
            np.divide(1, spread, out=np.zeros_like(spread), where=spread > 1e-6), tf.float32
        )

    def __call__(self, naive: tf.Tensor) -> tf.Tensor:
        if self.levels is not None:
            return tf.cast(naive[:, :1, None] == self.levels, tf.float32)
        return (self._numbers(naive) - self.center) * self.scale

    def _numbers(self, naive: tf.Tensor) -> tf.Tensor:
        """(rows, questions) -> (rows, questions, inputs)."""
        return tf.stack([tf.math.log1p(tf.maximum(naive, 0.0)), naive][: self.inputs], axis=2)
