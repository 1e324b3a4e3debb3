"""A recurrent encoder.

After Hidasi et al., 2016, "Session-based Recommendations with Recurrent Neural Networks".
"""

import tensorflow as tf

from models.dropout import Dropout, Noise


class Gru(tf.keras.layers.Layer):
    """Layers of GRU over positions, added to the mean of the positions so far: what a user usually has.

    Without the mean, states would have to carry each user's usual items through every step.
    """

    kind = tf.keras.layers.GRU
    can_do_one = False

    def __init__(self, width: int, layers: int, dropout: float):
        super().__init__(name=type(self).__name__.lower())
        self.drops = [Dropout(dropout, f"{self.name}/{number}") for number in range(layers)]
        self.layers = [self.kind(width, return_sequences=True) for _ in range(layers)]
        self.norm_usual = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def call(self, x: tf.Tensor, taken: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """(batch, positions, width), (batch, positions) bool -> as the first, zeros where not taken."""
        usual = self.norm_usual(_mean_so_far(x))  # (batch, positions, width)
        for drop, layer in zip(self.drops, self.layers, strict=True):
            # Padding comes last, and no output depends on what comes later: the recurrence needs no mask.
            x = layer(drop(x, noise))  # (batch, positions, width)
        return self.norm(x + usual) * tf.cast(taken, x.dtype)[:, :, None]


def _mean_so_far(x: tf.Tensor) -> tf.Tensor:
    """At each position the mean of it and the earlier ones: (batch, positions, width), twice."""
    return tf.cumsum(x, axis=1) / tf.range(1.0, x.shape[1] + 1)[:, None]
