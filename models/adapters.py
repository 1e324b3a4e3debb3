"""Low-rank updates of an encoder's projections: W + A B, of which A and B are trained and W is not.

Hu et al., 2021, "LoRA: Low-Rank Adaptation of Large Language Models". B begins as zeros, so that nothing is
changed before anything is learnt; the factor of the paper is 1. Merged into the projections, they leave an
encoder as any other.
"""

from collections.abc import Mapping

import tensorflow as tf

from models.encoders.transformer import MEAN, Transformer

PROJECTIONS = tuple(MEAN)
"""Of a block: query, key, value, out, widen and narrow."""


class Adapted(tf.keras.layers.Layer):
    """A dense layer, and beside its matrix (inputs, outputs) one of `rank`."""

    def __init__(self, dense: tf.keras.layers.Dense, rank: int):
        super().__init__(name=f"{dense.name}_adapted")
        self.dense = dense
        inputs, outputs = dense.kernel.shape
        begin = tf.keras.initializers.RandomNormal(stddev=inputs**-0.5)
        self.down = self.add_weight("down", (inputs, rank), initializer=begin)
        self.up = self.add_weight("up", (rank, outputs), initializer="zeros")

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(…, inputs) -> (…, outputs)."""
        y = tf.matmul(x, self.dense.kernel) + tf.matmul(tf.matmul(x, self.down), self.up)
        y = tf.nn.bias_add(y, self.dense.bias) if self.dense.use_bias else y
        return self.dense.activation(y)

    def merged(self) -> tf.keras.layers.Dense:
        """The dense layer with the sum of both matrices."""
        self.dense.kernel.assign_add(tf.matmul(self.down, self.up))
        return self.dense


def adapt(encoder: Transformer, rank: int) -> None:
    """Puts updates beside all projections."""
    for block in encoder.blocks:
        for name in PROJECTIONS:
            setattr(block, name, Adapted(getattr(block, name), rank))


def merge(encoder: Transformer) -> None:
    """Adds the updates to their projections, which then stand where they stood; without updates it does nothing."""
    for block in getattr(encoder, "blocks", []):
        for name in PROJECTIONS:
            layer = getattr(block, name, None)
            if isinstance(layer, Adapted):
                setattr(block, name, layer.merged())


def without_updates(named: Mapping[str, tf.Variable]) -> dict[str, tf.Variable]:
    """Variables by the names that they have in an encoder without updates; those of updates are left out."""
    kept = {name: named[name] for name in named if not name.endswith((".down", ".up"))}
    return {name.replace(".dense.", "."): variable for name, variable in kept.items()}
