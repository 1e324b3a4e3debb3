"""Which items a step tells apart from the targets, where telling apart all of them would be too many."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.indices import FIRST_ITEM

POWERS = {"popularity": 0.75, "uniform": 0.0, "batch": 1.0}
"""An item's share of the draws is its count to this power: Mikolov et al., 2013, for 0.75."""


class Sample(NamedTuple):
    """Items that are drawn, each once however often it was."""

    items: tf.Tensor  # (sampled,) int32, ascending
    log_probability: tf.Tensor  # (sampled,) float32: of each to be among them


class Negatives(tf.Module):
    """Draws items with replacement: the same on every rank for the same seed.

    An item whose share of a draw is p is among n draws with probability 1 - (1 - p)^n.

    counts    (vocabulary_size,) int: how often the training saw each item; those with 0 are never drawn
    sampling  `popularity`: frequent items more often; `uniform`: each alike; `batch`: the items of the step's rows,
              of which each event counts as a draw by popularity (Yi et al., 2019, "Sampling-Bias-Corrected Neural
              Modeling"), so that no vector is read that the step does not have anyway
    draws     how many a step; as many as there are items: each of them, for certain
    """

    def __init__(self, counts: np.ndarray, sampling: str, draws: int):
        super().__init__()
        weights = np.where(counts > 0, counts.astype(np.float64) ** POWERS[sampling], 0.0)
        self.from_batch, self.draws = sampling == "batch", draws
        self.everything = None if draws < np.count_nonzero(counts) else np.flatnonzero(counts)
        share = weights / max(weights.sum(), 1.0)
        self.share = tf.Variable(share, dtype=tf.float32, trainable=False, name="share")
        self.up_to = tf.Variable(np.cumsum(share), dtype=tf.float64, trainable=False, name="share_up_to")

    def __call__(self, seed: tf.Tensor, items: tf.Tensor) -> Sample:
        """(2,) int32, and the items of all ranks' rows, as they are read: any shape, int32."""
        if self.from_batch:
            drawn = tf.boolean_mask(items, items >= FIRST_ITEM)
        elif self.everything is not None:
            return Sample(tf.constant(self.everything, tf.int32), tf.zeros(len(self.everything)))
        else:
            at = tf.random.stateless_uniform((self.draws,), seed, dtype=tf.float64) * self.up_to[-1]
            drawn = tf.searchsorted(self.up_to, at, side="right")
        once = tf.sort(tf.unique(drawn).y)
        draws = tf.cast(tf.size(drawn), tf.float32)
        probability = -tf.math.expm1(draws * tf.math.log1p(-tf.gather(self.share, once)))
        return Sample(once, tf.math.log(probability))
