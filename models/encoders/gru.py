"""A recurrent encoder.

After Hidasi et al., 2016, "Session-based Recommendations with Recurrent Neural Networks".
"""

import tensorflow as tf


class Gru(tf.keras.layers.Layer):
    """Layers of GRU over positions."""

    def __init__(self, width: int, layers: int, dropout: float):
        super().__init__(name="gru")
        self.drop = tf.keras.layers.Dropout(dropout)
        self.layers = [tf.keras.layers.GRU(width, return_sequences=True) for _ in range(layers)]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, x: tf.Tensor, taken: tf.Tensor, training: bool = False) -> tf.Tensor:
        """(batch, positions, width), (batch, positions) bool -> as the first, zeros where not taken."""
        for layer in self.layers:
            # Padding comes last, and no output depends on what comes later: the recurrence needs no mask.
            x = layer(self.drop(x, training=training))  # (batch, positions, width)
        return self.norm(x) * tf.cast(taken, x.dtype)[:, :, None]
