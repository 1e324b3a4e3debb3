"""The items of the next basket.

Kang and McAuley, 2018, "Self-Attentive Sequential Recommendation". The head is that of the model that ranks items
(models/heads/next_item.py), and is all that is needed to rank with what was pretrained.
"""

import tensorflow as tf

from models.baskets import Events
from models.heads.next_item import NextItem
from models.next_item import NextItemModel
from models.objectives.given import Facts, Given


class NextItems(tf.Module):
    """The softmax, or its sample, over items behind each position."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__()
        self.head = ranker.head

    def __call__(self, given: Given) -> tf.Tensor:
        return told(self.head, given, given.hidden, given.events, given.batch["weights"])


def told(head: NextItem, given: Given, hidden: tf.Tensor, events: Events, rows: tf.Tensor) -> tf.Tensor:
    """What the head loses on events that it is to tell, those of a row by its weight, (batch,): ()."""
    if given.sample is None:
        return head.softmax(hidden, events, given.vectors, rows).total
    return head.sampled_softmax(hidden, events, given.vectors, rows, given.sample).total
