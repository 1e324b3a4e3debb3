"""What objectives are made of, and what each is given of a step's rows.

A row's targets are the events behind its first session, which the next item has to tell. Each objective takes the mean
over what it asks of a row, whatever it counts, and gives the row the weight of these targets: so the objectives of a row
add up by their weights alone, next_item by itself is the loss of models/next_item.py, and ranks add up what they found.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from conf.schema import Pretrain
from models.baskets import Events
from models.dropout import Noise
from models.heads.negatives import Sample
from models.trainable import Batch

Encode = Callable[[tf.Tensor, tf.Tensor, Noise | None], tf.Tensor]
"""(batch, positions, width) baskets, (batch,) int32 how many are taken, noise -> hidden states as the first."""


class Facts(NamedTuple):
    """What objectives are made of, beside the model that ranks items."""

    settings: Pretrain
    category_of: np.ndarray  # (vocabulary_size,) int: the place of each item's category; -1: none
    types: int  # of events


class Given(NamedTuple):
    """Rows, and what the encoder made of them."""

    batch: Batch
    events: Events
    vectors: tf.Tensor  # (batch, length, width): of the events' items
    baskets: tf.Tensor  # (batch, positions, width): what is encoded
    hidden: tf.Tensor  # (batch, positions, width): what that became
    targets: tf.Tensor  # (batch,) float32: events of a row that are targets; 0 for one that fills a batch up
    encode: Encode  # for objectives that look at the rows in another way
    sample: Sample | None
    noise: Noise | None


Objective = Callable[[Given], tf.Tensor]
"""The mean loss of each row, times its targets, added up: ()."""


def weighed(losses: tf.Tensor, told: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Of each row the mean loss of what it is to tell, times its targets, added up.

    (batch, length) float32, (batch, length) bool, (batch,) -> ()
    """
    said = tf.cast(told, losses.dtype)
    means = tf.math.divide_no_nan(
        tf.reduce_sum(losses * said, axis=1), tf.reduce_sum(said, axis=1)
    )  # (batch,)
    return tf.reduce_sum(means * targets)
