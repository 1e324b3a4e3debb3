"""A causal Transformer with pre-norm blocks.

After Kang and McAuley, 2018, "Self-Attentive Sequential Recommendation".
"""

import tensorflow as tf

from models.dropout import Dropout, Noise

HIDDEN = -1e9  # an attention score that weighs nothing


class SasRec(tf.keras.layers.Layer):
    """Blocks of self-attention over positions that look back only.

    Positions are counted back from the last one, so that the most recent basket has the same index in every
    row.
    """

    def __init__(self, width: int, blocks: int, heads: int, dropout: float, positions: int):
        super().__init__(name="sasrec")
        self.positions = positions
        self.drop = Dropout(dropout, "sasrec")
        self.blocks = [Block(width, heads, dropout, name=f"block_{i}") for i in range(blocks)]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def build(self, shape: tf.TensorShape) -> None:
        # A weight of the layer: an Embedding of a range would freeze into a constant when the graph is built.
        self.back = self.add_weight(
            "back", (self.positions, shape[-1]), initializer=tf.keras.initializers.RandomNormal(stddev=0.02)
        )

    def call(self, x: tf.Tensor, taken: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """(batch, positions, width), (batch, positions) bool -> as the first, zeros where not taken."""
        count = tf.reduce_sum(tf.cast(taken, tf.int32), axis=1)[:, None]  # (batch, 1)
        back = tf.maximum(count - 1 - tf.range(self.positions), 0)  # (batch, positions): 0 is the most recent
        x = self.drop(x + tf.gather(self.back, back), noise)
        earlier = tf.linalg.band_part(tf.ones((self.positions, self.positions), tf.bool), -1, 0)
        seen = earlier & taken[:, None, :]  # (batch, from, to)
        for block in self.blocks:
            x = block(x, seen, noise)  # (batch, positions, width)
        return self.norm(x) * tf.cast(taken, x.dtype)[:, :, None]


class Block(tf.keras.layers.Layer):
    """Attention, then a feed-forward layer, each added to its input after its own normalisation."""

    def __init__(self, width: int, heads: int, dropout: float, name: str):
        super().__init__(name=name)
        self.heads, self.head_width = heads, width // heads
        self.norm_attention = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm_forward = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.query = tf.keras.layers.Dense(width)
        self.key = tf.keras.layers.Dense(
            width, use_bias=False
        )  # a bias would add the same to all of a query's scores
        # A new block adds the mean of what a position sees: a user's usual items, before anything is learnt.
        self.value = tf.keras.layers.Dense(width, kernel_initializer="identity")
        self.out = tf.keras.layers.Dense(width, kernel_initializer="identity")
        self.widen = tf.keras.layers.Dense(2 * width, activation="gelu")
        self.narrow = tf.keras.layers.Dense(width, kernel_initializer="zeros")
        places = ("weights", "attended", "fed")
        self.drop_weights, self.drop_attended, self.drop_fed = (
            Dropout(dropout, f"{name}/{each}") for each in places
        )

    def call(self, x: tf.Tensor, seen: tf.Tensor, noise: Noise | None = None) -> tf.Tensor:
        """(batch, positions, width), (batch, from, to) bool -> (batch, positions, width)."""
        x += self.drop_attended(self.attend(self.norm_attention(x), seen, noise), noise)
        return x + self.drop_fed(self.narrow(self.widen(self.norm_forward(x))), noise)

    def attend(self, x: tf.Tensor, seen: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        query, key, value = (self.split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = tf.matmul(query, key, transpose_b=True) * self.head_width**-0.5  # (batch, heads, from, to)
        scores = tf.where(seen[:, None], scores, HIDDEN)
        weights = self.drop_weights(tf.nn.softmax(scores), noise)
        mixed = tf.transpose(tf.matmul(weights, value), (0, 2, 1, 3))  # (batch, positions, heads, head_width)
        return self.out(tf.reshape(mixed, tf.shape(x)))

    def split(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, positions, width) -> (batch, heads, positions, head_width)."""
        parts = tf.reshape(x, (-1, x.shape[1], self.heads, self.head_width))
        return tf.transpose(parts, (0, 2, 1, 3))
