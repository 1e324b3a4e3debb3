"""Matrices as they are exported: in fewer bits, of 16 or of 8 with a scale for each row."""

import numpy as np
import tensorflow as tf

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"
KINDS = (FLOAT32, FLOAT16, INT8)
LARGEST = {FLOAT32: 1.0, FLOAT16: 1.0, INT8: 127.0}
"""What the largest value of a row is kept as; in 16 bits 1, which leaves small ones their digits."""


class Compact(tf.Module):
    """A float32 matrix as `codes * scales[:, None]`: symmetric, each row by its own largest value.

    values  (rows, width) float32;  kind  one of KINDS
    """

    def __init__(self, values: np.ndarray, kind: str):
        super().__init__()
        scales = np.abs(values).max(axis=1, initial=0.0) / LARGEST[kind]
        codes = values / np.where(scales > 0, scales, 1)[:, None]
        codes = np.rint(codes) if kind == INT8 else codes
        self.codes = tf.Variable(codes.astype(kind), trainable=False, name="codes")  # (rows, width)
        self.scales = tf.Variable(scales.astype(np.float32), trainable=False, name="scales")  # (rows,)

    def rows(self, places: tf.Tensor) -> tf.Tensor:
        """(…) int32 -> (…, width) float32."""
        return whole(tf.gather(self.codes, places), tf.gather(self.scales, places))

    def all(self) -> tf.Tensor:
        """(rows, width) float32."""
        return whole(self.codes, self.scales)


def whole(codes: tf.Tensor, scales: tf.Tensor) -> tf.Tensor:
    """(…, width) and (…) -> (…, width) float32."""
    return tf.cast(codes, tf.float32) * scales[..., None]
