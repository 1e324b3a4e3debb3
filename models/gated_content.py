"""What an item's content adds to its vector, through a gate.

    vector of an item = its own, learnt + sigmoid(gate) * (content @ projection)

Items that a training never saw have no vector of their own: content alone answers for them. So that it learns to, each step
takes the own vectors of a share of the items away (Volkovs, Yu and Poutanen, 2017, "DropoutNet").
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from models.content import Content
from models.dropout import Dropout, Noise


class GatedContent(tf.Module):
    """The content of the items of a vocabulary; `new` is that of others, by their ids `new_ids`.

    share  of the items with content that a step knows by it alone
    """

    def __init__(self, content: Content, width: int, share: float, seed: int):
        super().__init__()
        dimensions = content.known.shape[1]
        start = np.random.default_rng([seed, dimensions]).standard_normal((dimensions, width), np.float32)
        self.values = tf.Variable(content.known, trainable=False, name="content")  # (V, dimensions)
        self.has = tf.Variable(content.has, trainable=False, name="has_content")  # (V,)
        self.project = tf.Variable(start * width**-0.5, name="project")  # (dimensions, width)
        self.gate = tf.Variable(tf.zeros(width), name="gate")
        self.new_ids, self.new = content.new_ids, content.new
        self.drop, self.own = Dropout(share, "content"), None

    def added(self, items: tf.Tensor) -> tf.Tensor:
        """(…) int32 -> (…, width) float32: what the vectors of items have of their content."""
        return self._through(tf.gather(self.values, items))

    def added_to_all(self) -> tf.Tensor:
        """(V, width) float32."""
        return self._through(self.values)

    def added_to_new(self) -> np.ndarray:
        """(new, width) float32."""
        return self._through(tf.constant(self.new)).numpy()

    def kept(self, vectors: tf.Tensor, items: tf.Tensor | None = None) -> tf.Tensor:
        """Own vectors, (…, width) of `items` or of all, but for those that this step has taken away."""
        if self.own is None:
            return vectors
        return vectors * (self.own if items is None else tf.gather(self.own, items))[..., None]

    @contextmanager
    def taken_away(self, noise: Noise | None) -> Iterator[None]:
        """In here the own vectors of some items are taken away, the same on all ranks of a step; without noise none."""
        if noise is not None and self.drop.rate:
            bits = self.drop.bits(Noise(noise.seed, tf.zeros(1, tf.int64)), self.has.shape[0])[0]  # (V,)
            goes = self.has & (bits < tf.constant(round(self.drop.rate * 2**32), tf.uint32))
            self.own = 1.0 - tf.cast(goes, tf.float32)
        try:
            yield
        finally:
            self.own = None

    def _through(self, content: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(self.gate) * tf.tensordot(content, self.project, 1)
