"""The items of baskets that are hidden.

Sun et al., 2019, "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer". An
encoder that looks back only tells a hidden basket from those before it.
"""

import tensorflow as tf

from models.heads.masking import told_at_own
from models.indices import MASK
from models.next_item import NextItemModel
from models.objectives.given import Facts, Given
from models.objectives.next_item import told


class MaskedItem(tf.Module):
    """The softmax over items at positions of which the encoder saw a mask: `model.mask_share` of each row's."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__()
        self.head, self.vectors, self.mask = ranker.head, ranker.vectors, ranker.mask

    def __call__(self, given: Given) -> tf.Tensor:
        positions = given.baskets.shape[1]
        masked = self.mask(given.events.count, positions, given.noise, last_only=False)  # (batch, positions)
        baskets = tf.where(masked[:, :, None], self.vectors(tf.constant(MASK)), given.baskets)
        hidden = given.encode(baskets, given.events.count, given.noise)
        events = told_at_own(given.events, masked)
        asked = tf.reduce_sum(tf.cast(events.positions > 0, tf.float32), axis=1)  # (batch,)
        return told(self.head, given, hidden, events, tf.math.divide_no_nan(given.targets, asked))
