"""A Transformer: blocks of self-attention and a forward layer, over positions that look back only, or both ways.

After Kang and McAuley, 2018, "Self-Attentive Sequential Recommendation"; with a frequency filter beside attention after
Shin et al., 2024, "An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention" (BSARec).
"""

from functools import partial

import tensorflow as tf

from conf.schema import Model
from models.dropout import Dropout, Noise
from models.encoders.filter import FrequencyFilter

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

    def __init__(self, model: Model, positions: int, causal: bool = True):
        super().__init__(name=model.name)
        self.positions, self.causal = positions, causal
        self.post, self.counts_back = model.norm == "post", model.places == "back"
        self.drop = Dropout(model.dropout, model.name)
        self.blocks = [Block(model, positions, causal, name=f"block_{i}") for i in range(model.blocks)]
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
        x = self.drop(self.norm(x) if self.post else x, noise)
        seen = taken[:, None, :]  # (batch, from, to)
        if self.causal:
            seen &= tf.linalg.band_part(tf.ones((length, length), tf.bool), -1, 0)
        for block in self.blocks[:-1]:
            x = block(x, seen, noise)  # (batch, length, width)
        x = self.blocks[-1](x, seen, noise, at)
        x = (x if self.post else self.norm(x)) * tf.cast(_at(taken, at), x.dtype)[:, :, None]
        return x if at is None else x[:, 0]


class Block(tf.keras.layers.Layer):
    """Attention, with a filter beside it, then a forward layer, each added to its input.

    Each is given its input normalised (`pre`), or what it added is normalised (`post`).
    """

    def __init__(self, model: Model, positions: int, causal: bool, name: str):
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
        if self.share:
            self.filter = FrequencyFilter(positions, model.filter_frequencies, causal)
            self.norm_filter = tf.keras.layers.LayerNormalization(epsilon=1e-6)

    def build(self, shape: tf.TensorShape) -> None:
        if self.relative:
            distances = self.positions if self.causal else 2 * self.positions - 1
            self.bias = self.add_weight("bias", (distances, self.heads), initializer="zeros")

    def call(
        self, x: tf.Tensor, seen: tf.Tensor, noise: Noise | None = None, at: tf.Tensor | None = None
    ) -> tf.Tensor:
        """(batch, length, width), (batch, from, to) bool -> (batch, length, width); of positions `at` (batch, 1, width)."""
        if not self.post:
            normed = self.norm_attention(x)
            added = self.drop_attended(self.attend(normed, seen, noise, at), noise)
            if self.share:
                filtered = self.drop_filtered(self.filter(self.norm_filter(x), at), noise)
                added = self.share * filtered + (1 - self.share) * added
            x = _at(x, at) + added
            return x + self.feed(self.norm_forward(x), noise)
        own = _at(x, at)
        y = self.norm_attention(own + self.drop_attended(self.attend(x, seen, noise, at), noise))
        if self.share:
            filtered = self.norm_filter(own + self.drop_filtered(self.filter(x, at), noise))
            y = self.share * filtered + (1 - self.share) * y
        return self.norm_forward(y + self.feed(y, noise))

    def feed(self, x: tf.Tensor, noise: Noise | None) -> tf.Tensor:
        return self.drop_fed(self.narrow(self.widen(x)), noise)

    def attend(self, x: tf.Tensor, seen: tf.Tensor, noise: Noise | None, at: tf.Tensor | None) -> tf.Tensor:
        asking = _at(x, at)  # (batch, from, width)
        query, key, value = self.split(self.query(asking)), self.split(self.key(x)), self.split(self.value(x))
        scores = tf.matmul(query, key, transpose_b=True) * self.head_width**-0.5  # (batch, heads, from, to)
        if self.relative:
            bias = by_distance(self.bias, x.shape[1], self.causal)  # (heads, from, to)
            scores += bias if at is None else tf.transpose(tf.gather(bias, at, axis=1), (1, 0, 2))[:, :, None]
        seen = _at(seen, at) if self.causal else seen
        scores = tf.where(seen[:, None], scores, HIDDEN)
        weights = self.drop_weights(tf.nn.softmax(scores), noise)
        mixed = tf.transpose(tf.matmul(weights, value), (0, 2, 1, 3))  # (batch, from, heads, head_width)
        return self.out(tf.reshape(mixed, tf.shape(asking)))

    def split(self, x: tf.Tensor) -> tf.Tensor:
        """(batch, length, width) -> (batch, heads, length, head_width)."""
        parts = tf.reshape(x, (-1, x.shape[1], self.heads, self.head_width))
        return tf.transpose(parts, (0, 2, 1, 3))


def _at(x: tf.Tensor, at: tf.Tensor | None) -> tf.Tensor:
    """(batch, length, …) -> alike, or of one position a row (batch, 1, …)."""
    return x if at is None else tf.gather(x, at, batch_dims=1)[:, None]


def by_distance(bias: tf.Tensor, length: int, causal: bool) -> tf.Tensor:
    """A bias for each distance back, (distances, heads), as one for each pair: (heads, from, to).

    Row 0 is of distance 0, and where positions look both ways the rows behind the last distance back are of those ahead:
    -1 is the last row.
    """
    distance = tf.range(length)[:, None] - tf.range(length)  # (from, to): above 0, where it looks back
    row = tf.maximum(distance, 0) if causal else distance % bias.shape[0]
    return tf.transpose(tf.gather(bias, row), (2, 0, 1))
