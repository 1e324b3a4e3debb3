"""How long it is until the next basket.

Du et al., 2016, "Recurrent Marked Temporal Point Processes: Embedding Event History to Vector", who tell the time of the
next event beside its mark. Here a gap is one of the kinds of models/gaps.py, each half as long again as the one before, so
that no form of its distribution is assumed.
"""

import tensorflow as tf

from models.baskets import basket_means
from models.gaps import KINDS, kinds_of
from models.next_item import NextItemModel
from models.objectives.given import Facts, Given
from models.objectives.next_class import NextClass


class NextGap(NextClass):
    """The kind of the gap before the basket of each event."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__(ranker.vectors.table.shape[1], KINDS)

    def __call__(self, given: Given) -> tf.Tensor:
        positions, ages = given.events.positions, given.batch["ages"]
        aged = basket_means(ages[:, :, None], positions, given.baskets.shape[1])[:, :, 0]
        kinds = kinds_of(
            aged[:, :-1] - aged[:, 1:]
        )  # (batch, positions - 1): before the second, the third, …
        place = tf.maximum(positions - 1, 0)
        return self.loss(given, tf.gather(kinds, place, batch_dims=1))
