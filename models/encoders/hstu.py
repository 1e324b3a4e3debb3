"""An encoder whose attention weighs positions one by one, without a softmax.

After Zhai et al., 2024, "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
Recommendations".
"""

import tensorflow as tf

from conf.schema import Model
from models.dropout import Dropout, Noise, StochasticDepth
from models.encoders.packed import Packed
from models.encoders.transformer import by_distance, depth_rate, in_heads, small
from models.gaps import KINDS, kinds_of


class Hstu(tf.keras.layers.Layer):
    """Units of pointwise attention over positions that look back only."""

    can_do_one = False

    def __init__(self, model: Model, positions: int):
        super().__init__(name="hstu")
        self.drop = Dropout(model.dropout, "hstu")
        self.units = [Unit(model, positions, f"unit_{i}", depth_rate(model, i)) for i in range(model.blocks)]
        self.norm = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def call(
        self, x: tf.Tensor, taken: tf.Tensor, noise: Noise | None = None, ages: tf.Tensor | None = None
    ) -> tf.Tensor:
        """(batch, length, width), (batch, length) bool -> as the first, zeros where not taken; length <= positions.

        ages  (batch, length) float32: days from each basket to the cut; none: gaps do not matter
        """
        length = x.shape[1]
        seen = taken[:, None, :] & tf.linalg.band_part(tf.ones((length, length), tf.bool), -1, 0)
        gaps = None if ages is None else kinds_of(ages[:, None, :] - ages[:, :, None])  # (batch, from, to)
        packed = Packed(taken)
        x = self.drop(packed.pack(x), packed.noise(noise))  # (packed, width)
        for unit in self.units:
            x = unit(x, packed, tf.cast(seen, x.dtype), gaps, noise)
        return packed.spread(self.norm(x))


class Unit(tf.keras.layers.Layer):
    """x + W · (norm(attended) · gate), with SiLU(query · key + bias) / positions as the weights of attention.

    The bias goes by the distance in positions, and in time. Divided by one number whatever is seen, weights tell how much
    of its like a position has seen, which a softmax hides.
    """

    def __init__(self, model: Model, positions: int, name: str, depth: float = 0.0):
        super().__init__(name=name)
        self.width, self.heads, self.positions = model.width, model.heads, positions
        self.norm_in = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm_attended = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.project = tf.keras.layers.Dense(
            4 * model.width, use_bias=False, activation="swish", kernel_initializer=small()
        )
        self.out = tf.keras.layers.Dense(model.width)
        self.drop = Dropout(model.dropout, f"{name}/attended")
        self.leave = StochasticDepth(depth, f"{name}/depth")

    def build(self, shape: tf.TensorShape) -> None:
        self.bias = self.add_weight("bias", (self.positions, self.heads), initializer=small())
        self.bias_of_gap = self.add_weight("bias_of_gap", (KINDS, self.heads), initializer=small())

    def call(
        self,
        x: tf.Tensor,
        packed: Packed,
        seen: tf.Tensor,
        gaps: tf.Tensor | None,
        noise: Noise | None = None,
    ) -> tf.Tensor:
        """(packed, width), (batch, from, to) of 0 and 1, (batch, from, to) int32 -> (packed, width)."""
        gate, value, query, key = tf.split(self.project(self.norm_in(x)), 4, axis=-1)  # (packed, width) x 4
        query, key, value = (in_heads(packed.spread(each), self.heads) for each in (query, key, value))
        scores = tf.matmul(query, key, transpose_b=True)  # (batch, heads, from, to)
        scores += by_distance(self.bias, packed.length, causal=True)
        if gaps is not None:
            scores += tf.transpose(tf.gather(self.bias_of_gap, gaps), (0, 3, 1, 2))
        weights = tf.nn.silu(scores) * seen[:, None] / self.positions
        mixed = tf.transpose(tf.matmul(weights, value), (0, 2, 1, 3))  # (batch, length, heads, head_width)
        mixed = packed.pack(tf.reshape(mixed, (-1, packed.length, self.width)))
        alike = packed.noise(noise)
        return x + self.leave(self.out(self.drop(self.norm_attended(mixed) * gate, alike)), alike)
