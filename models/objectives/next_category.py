"""The category of each item of the next basket.

Zhou et al., 2020, "S3-Rec: Self-Supervised Learning for Sequential Recommendation with Mutual Information Maximization",
who tell attributes of items beside the items. Items without a category are not asked.
"""

import tensorflow as tf

from models.next_item import NextItemModel
from models.objectives.given import Facts, Given
from models.objectives.next_class import NextClass


class NextCategory(NextClass):
    """Categories as the vocabulary of the examples has them."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__(ranker.vectors.table.shape[1], max(1, int(facts.category_of.max()) + 1))
        self.category_of = tf.Variable(facts.category_of, dtype=tf.int32, trainable=False, name="category_of")

    def __call__(self, given: Given) -> tf.Tensor:
        return self.loss(given, tf.gather(self.category_of, given.events.items))
