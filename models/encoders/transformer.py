"""A Transformer: blocks of self-attention and a forward layer, over positions that look back only, or both ways.

After Kang and McAuley, 2018, "Self-Attentive Sequential Recommendation"; with a frequency filter beside attention after
Shin et al., 2024, "An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention" (BSARec).
"""

from functools import partial

import tensorflow as tf

from conf.schema import Model
from models.dropout import Dropout, Noise, StochasticDepth
from models.encoders.filter import FrequencyFilter
from models.encoders.packed import Packed

HIDDEN = -1e9  # an attention score that weighs nothing
MEAN = {
    "query": "glorot_uniform",
    "key": "glorot_uniform",
    "value": "identity",
    "out": "identity",
    "widen": "glorot_uniform",
    "narrow": "zeros",
}
"""The first weights of a block that adds the mean of what a position sees."""


def small() -> tf.keras.initializers.Initializer:
    """One for each weight: Keras gives all weights of one initializer the same values."""
    return tf.keras.initializers.RandomNormal(stddev=0.02)


class Transformer(tf.keras.layers.Layer):
    """Blocks over positions.

    `model.places` says how they tell places: by vectors of places counted back from the last one, so that the most recent
    basket has the same in every row, or by biases of attention that go by distance (Shaw et al., 2018; Raffel et al., 2020).
    """

    can_do_one = True  # a position of each row, without what that can do without

    def __init__(self, model: Model, positions: int, causal: bool = True):
        super().__init__(name=model.name)
        self.positions, self.causal = positions, causal
        self.post, self.counts_back = model.norm == "post", model.places == "back"
        self.drop = Dropout(model.dropout, model.name)
        self.blocks = [
            Block(model, positions, causal, f"block_{i}", depth_rate(model, i)) for i in range(model.blocks)
        ]
        self.norm = tf.keras.layers.LayerNormalization(
            epsilon=1e-6
        )  # of what comes out, or with `post` of what goes in

    def build(self, shape: tf.TensorShape) -> None:
        # A weight of the layer: an Embedding of a range would freeze into a constant when the graph is built.
        if self.counts_back:
            self.back = self.add_weight("back", (self.positions, shape[-1]), initializer=small())

    def call(
        self, x: tf.Tensor, taken: tf.Tensor, noise: Noise | None = None, at: tf.Tensor | None = None
    ) -> tf.Tensor:
        """(batch, length, width), (batch, length) bool -> as the first, zeros where not taken; length <= positions.

        With `at`, (batch,) int32: of these positions alone, (batch, width); the last block then makes no others.
        """
        length = x.shape[1]
        if self.counts_back:
            count = tf.reduce_sum(tf.cast(taken, tf.int32), axis=1)[:, None]  # (batch, 1)
            back = tf.maximum(count - 1 - tf.range(length), 0)  # (batch, length): 0 is the most recent
            x = x + tf.gather(self.back, back)
        packed = Packed(taken)
        x, alike = packed.pack(x), packed.noise(noise)  # (packed, width)
        x = self.drop(self.norm(x) if self.post else x, alike)
        seen = taken[:, None, :]  # (batch, from, to)
        if self.causal:
            seen &= tf.linalg.band_part(tf.ones((length, length), tf.bool), -1, 0)
        for block in self.blocks[:-1]:
            x = block(x, packed, seen, noise)
        x = self.blocks[-1](x, packed, seen, noise, at)
        x = x if self.post else self.norm(x)
        if at is None:
            return packed.spread(x)
        return x * tf.cast(tf.gather(taken, at, batch_dims=1), x.dtype)[:, None]


class Block(tf.keras.layers.Layer):
    """Attention, with a filter beside it, then a forward layer, each added to its input.

    Each is given its input normalised (`pre`), or what it added is normalised (`post`).
    """

    def __init__(self, model: Model, positions: int, causal: bool, name: str, depth: float = 0.0):
        super().__init__(name=name)
        width, self.heads, self.head_width = model.width, model.heads, model.width // model.heads
        self.positions, self.causal = positions, causal
        self.post, self.relative = model.norm == "post", model.places == "relative"
        self.share = model.filter_share
        self.norm_attention = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        self.norm_forward = tf.keras.layers.LayerNormalization(epsilon=1e-6)
        # With `mean` a new block adds the mean of what a position sees: a user's usual items, before anything is learnt.
        first = MEAN if model.start == "mean" else {}
        dense = {
            name: partial(tf.keras.layers.Dense, kernel_initializer=first.get(name) or small())
            for name in MEAN
        }
        self.query = dense["query"](width)
        self.key = dense["key"](width, use_bias=False)  # a bias would add the same to all of a query's scores
        self.value = dense["value"](width)
        self.out = dense["out"](width)
        self.widen = dense["widen"](model.forward * width, activation="gelu")
        self.narrow = dense["narrow"](width)
        on_weights = model.dropout if model.dropout_attention is None else model.dropout_attention
        self.drop_weights = Dropout(on_weights, f"{name}/weights")
        self.drop_attended, self.drop_fed, self.drop_filtered = (
            Dropout(model.dropout, f"{name}/{each}") for each in ("attended", "fed", "filtered")
        )
        self.leave_seen, self.leave_fed = (
            StochasticDepth(depth, f"{name}/depth/{each}") for each in ("seen", "fed")
        )
        if self.share:
            self.filter = FrequencyFilter(positions, model.filter_frequencies, causal)
            self.norm_filter = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def build(self, shape: tf.TensorShape) -> None:
        if self.relative:
            distances = self.positions if self.causal else 2 * self.positions - 1
            self.bias = self.add_weight("bias", (distances, self.heads), initializer="zeros")

    def call(
        self,
        x: tf.Tensor,
        packed: Packed,
        seen: tf.Tensor,
        noise: Noise | None = None,
        at: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """(packed, width), (batch, from, to) bool -> (packed, width); of positions `at`, one a row, (batch, width)."""
        own, alike = (x, packed.noise(noise)) if at is None else (packed.at(x, at), noise)
        if not self.post:
            added = self.drop_attended(self.attend(self.norm_attention(x), packed, seen, noise, at), alike)
            if self.share:
                filtered = self.drop_filtered(self.filtered(self.norm_filter(x), packed, at), alike)
                added = self.share * filtered + (1 - self.share) * added
            x = own + self.leave_seen(added, alike)
            return x + self.feed(self.norm_forward(x), alike)
        attended = self.drop_attended(self.attend(x, packed, seen, noise, at), alike)
        y = self.norm_attention(own + self.leave_seen(attended, alike))
        if self.share:
            filtered = self.drop_filtered(self.filtered(x, packed, at), alike)
            filtered = self.norm_filter(own + self.leave_seen(filtered, alike))
            y = self.share * filtered + (1 - self.share) * y
        return self.norm_forward(y + self.feed(y, alike))

    def feed(self, x: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        return self.leave_fed(self.drop_fed(self.narrow(self.widen(x)), noise), noise)

    def filtered(self, x: tf.Tensor, packed: Packed, at: tf.Tensor | None) -> tf.Tensor:
        filtered = self.filter(packed.spread(x), at)
        return packed.pack(filtered) if at is None else filtered[:, 0]

    def attend(
        self, x: tf.Tensor, packed: Packed, seen: tf.Tensor, noise: Noise | None, at: tf.Tensor | None
    ) -> tf.Tensor:
        query = self.query(x if at is None else packed.at(x, at))
        query = packed.spread(query) if at is None else query[:, None]  # (batch, from, width)
        key, value = (packed.spread(each(x)) for each in (self.key, self.value))
        query, key, value = (in_heads(each, self.heads) for each in (query, key, value))
        bias = by_distance(self.bias, packed.length, self.causal)[None] if self.relative else None
        if at is not None:
            seen = tf.gather(seen, at, batch_dims=1)[:, None] if self.causal else seen
            bias = bias if bias is None else tf.transpose(tf.gather(bias, at, axis=2), (2, 1, 0, 3))
        mixed = tf.transpose(self.mixed(query, key, value, bias, seen, noise), (0, 2, 1, 3))
        mixed = tf.reshape(mixed, (-1, mixed.shape[1], self.heads * self.head_width))  # (batch, from, width)
        return self.out(packed.pack(mixed) if at is None else mixed[:, 0])

    def mixed(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        value: tf.Tensor,
        bias: tf.Tensor | None,
        seen: tf.Tensor,
        noise: Noise | None,
    ) -> tf.Tensor:
        """The mean of the values that each position sees, weighed.

        (batch, heads, from or to, head_width) x 3, (1 or batch, heads, from, to), (batch, from, to) -> as the query
        """
        scores = tf.matmul(query * self.head_width**-0.5, key, transpose_b=True)  # (batch, heads, from, to)
        scores = tf.where(seen[:, None], scores if bias is None else scores + bias, HIDDEN)
        return tf.matmul(self.drop_weights(tf.nn.softmax(scores), noise), value)


def in_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """(batch, length, width) -> (batch, heads, length, width / heads)."""
    parts = tf.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads))
    return tf.transpose(parts, (0, 2, 1, 3))


def depth_rate(model: Model, block: int) -> float:
    """The chance that a step leaves out what a block adds: it rises from the first one to `model.stochastic_depth`."""
    return model.stochastic_depth * (block + 1) / model.blocks


def by_distance(bias: tf.Tensor, length: int, causal: bool) -> tf.Tensor:
    """A bias for each distance back, (distances, heads), as one for each pair: (heads, from, to).

    Row 0 is of distance 0, and where positions look both ways the rows behind the last distance back are of those ahead:
    -1 is the last row.
    """
    distance = tf.range(length)[:, None] - tf.range(length)  # (from, to): above 0, where it looks back
    row = tf.maximum(distance, 0) if causal else distance % bias.shape[0]
    return tf.transpose(tf.gather(bias, row), (2, 0, 1))
