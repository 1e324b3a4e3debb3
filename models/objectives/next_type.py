"""The type of each event of the next basket: a view, a purchase.

Du et al., 2016, "Recurrent Marked Temporal Point Processes: Embedding Event History to Vector": the type is the mark of an
event.
"""

import tensorflow as tf

from models.next_item import NextItemModel
from models.objectives.given import Facts, Given
from models.objectives.next_class import NextClass
from models.side_inputs import told


class NextType(NextClass):
    """Rows have `contexts`, (batch, length) int32, which tell the place of each event's type, from 1."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__(ranker.vectors.table.shape[1], facts.types)

    def __call__(self, given: Given) -> tf.Tensor:
        return self.loss(given, told(given.batch["contexts"], "type") - 1)
