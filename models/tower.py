"""What a model makes of numbers that are no sequence: the features of a user, and what the baseline knows of them.

A cross network beside a dense one, as in DCN-v2: Wang et al., 2021, "DCN V2: Improved Deep & Cross Network".
"""

import tensorflow as tf

from models.dropout import Dropout, Noise


class Cross(tf.keras.layers.Layer):
    """One cross layer: x -> first * (W x + b) + x, so that a layer more is a product of one feature more."""

    def build(self, shape: tf.TensorShape) -> None:
        self.mixed = tf.keras.layers.Dense(shape[-1], kernel_initializer="zeros")
        self.mixed.build(shape)

    def call(self, x: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        """(batch, features), twice -> likewise."""
        return first * self.mixed(x) + x


class FeatureTower(tf.Module):
    """(batch, features), (batch, known) -> (batch, features + width).

    Features that were crossed, beside what a dense layer made of all numbers.
    """

    def __init__(self, width: int, crosses: int, dropout: float):
        super().__init__()
        self.crosses = [Cross() for _ in range(crosses)]
        self.deep = tf.keras.layers.Dense(width, activation="relu")
        self.drop = Dropout(dropout, "tower")

    def __call__(self, features: tf.Tensor, known: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        x = features
        for cross in self.crosses:
            x = cross(x, features)  # (batch, features)
        deep = self.drop(self.deep(tf.concat([features, known], axis=1)), noise)  # (batch, width)
        return tf.concat([x, deep], axis=1)
