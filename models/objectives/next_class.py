"""A class of each event of the next basket, told by a linear layer on the hidden state: what several objectives share."""

import tensorflow as tf

from models.heads.next_item import at_previous
from models.objectives.given import Given, weighed


class NextClass(tf.Module):
    """A softmax over `classes`, which begins as all alike."""

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.last = tf.keras.layers.Dense(classes, kernel_initializer="zeros")
        self.last.build((None, width))

    def loss(self, given: Given, classes: tf.Tensor) -> tf.Tensor:
        """(batch, length) int32 of the events, -1: none, which is not asked -> ()."""
        logits = at_previous(self.last(given.hidden), given.events)  # (batch, length, classes)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(classes, 0), logits)
        return weighed(losses, (classes >= 0) & (given.events.positions > 0), given.targets)
