"""Which baskets of a history are its user's own, and which were put in their places.

Clark et al., 2020, "ELECTRA: Pre-training Text Encoders as Discriminators Rather Than Generators"; Babaev et al., 2022,
"CoLES: Contrastive Learning for Event Sequences with Self-Supervision", where it stands beside contrast. What is put in is
drawn from all items alike, and not from other rows of a batch: ranks see parts of it.
"""

import numpy as np
import tensorflow as tf

from models.dropout import Dropout
from models.heads.masking import Masking
from models.next_item import NextItemModel
from models.objectives.given import Facts, Given, weighed


class ReplacedItem(tf.Module):
    """Of each position whether it was replaced, by a linear layer on the hidden state: `model.mask_share` of a row's are."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__()
        self.vectors, self.masking = ranker.vectors, Masking(ranker.mask.share, "replaced")
        self.lots = Dropout(0.0, "replacement")
        self.known = tf.constant(np.flatnonzero(ranker.vectors.is_learnt), tf.int32)  # (known,)
        self.last = tf.keras.layers.Dense(1, kernel_initializer="zeros")
        self.last.build((None, ranker.vectors.table.shape[1]))

    def __call__(self, given: Given) -> tf.Tensor:
        shown, replaced = self.replaced(given)
        logits = self.last(given.encode(shown, given.events.count, given.noise))[
            :, :, 0
        ]  # (batch, positions)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(replaced, logits.dtype), logits)
        taken = tf.sequence_mask(given.events.count, shown.shape[1])
        return weighed(losses, taken, given.targets)

    def replaced(self, given: Given) -> tuple[tf.Tensor, tf.Tensor]:
        """Baskets of which some are another item's, (batch, positions, width), and which, (batch, positions) bool.

        One that had the item that was drawn for it is its user's own still.
        """
        positions, events = given.baskets.shape[1], given.events
        chosen = self.masking(events.count, positions, given.noise, last_only=False)
        if given.noise is None:
            return given.baskets, tf.zeros_like(chosen)
        bits = tf.bitwise.right_shift(self.lots.bits(given.noise, positions), tf.constant(1, tf.uint32))
        drawn = tf.gather(self.known, tf.cast(bits, tf.int32) % tf.size(self.known))  # (batch, positions)
        at_events = tf.gather(drawn, tf.maximum(events.positions, 0), batch_dims=1)  # (batch, length)
        has = (events.items == at_events) & (events.positions >= 0)
        own = tf.reduce_any(has[:, :, None] & (events.positions[:, :, None] == tf.range(positions)), axis=1)
        replaced = chosen & ~own
        return tf.where(replaced[:, :, None], self.vectors(drawn), given.baskets), replaced
