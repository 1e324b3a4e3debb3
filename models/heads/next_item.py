"""Predicts the items of the next basket: an item scores its vector times the position's, and a bias.

At each position the items of the next one are targets, each event of it with the same weight. The loss of a
target is the negative logarithm of its share in a softmax over the items, either all of them or, much
cheaper, a sample.

In the sample's case the sum over all items is estimated: the target itself, and each sampled item that is no
target weighed by the inverse of its probability to be sampled (the "logQ correction": Bengio and Senécal,
2008; the target is there for certain and so is not corrected). The scores of sampled items are made once a
position, not once an event.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.baskets import FIRST_ITEM, Events, ItemVectors

NOTHING = -1e9  # the logarithm of a weight of nothing, finite for the gradient's sake


class Loss(NamedTuple):
    """A loss as a sum, so that ranks can be added before dividing."""

    total: tf.Tensor  # () float32: the weighted sum over targets
    weight: tf.Tensor  # () float32: the sum of their weights


class Negatives(tf.Module):
    """Samples `number` different items, frequent ones more often; the same on every rank for the same seed.

    Item i arrives first at an exponential time of rate counts[i]^power; the first `number` to arrive are
    taken (successive sampling: Rosén, 1997). Item i is among them with probability 1 - exp(-t rate_i) very
    nearly, where t is such that these add up to `number`.

    counts  (vocabulary_size,) int: items with 0 are never sampled
    """

    def __init__(self, counts: np.ndarray, number: int, power: float = 0.75):
        super().__init__()
        items = np.flatnonzero(counts)
        self.number = min(number, len(items))
        rate = counts[items].astype(np.float64) ** power
        probability = _inclusion(rate, self.number)
        log_probability = np.zeros(len(counts))
        log_probability[items] = np.log(probability)
        self.items = tf.Variable(items, dtype=tf.int32, trainable=False, name="sampled_items")
        self.log_rate = tf.Variable(np.log(rate), dtype=tf.float32, trainable=False, name="log_rate")
        self.log_probability = tf.Variable(
            log_probability, dtype=tf.float32, trainable=False, name="log_probability"
        )

    def __call__(self, seed: tf.Tensor) -> tf.Tensor:
        """(2,) int32 -> (number,) int32, all different."""
        # The order of arrival is that of -(log rate + Gumbel noise).
        uniform = tf.random.stateless_uniform(self.log_rate.shape, seed, minval=1e-30)
        first = tf.math.top_k(self.log_rate - tf.math.log(-tf.math.log(uniform)), self.number, sorted=False)
        return tf.gather(self.items, first.indices)


def _inclusion(rate: np.ndarray, number: int) -> np.ndarray:
    """The probability 1 - exp(-t rate) of each item, t chosen so that they add up to `number`."""
    if number == len(rate):
        return np.ones(len(rate))
    low, high = 0.0, 1.0 / rate.min()
    while -np.expm1(-high * rate).sum() < number:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if -np.expm1(-middle * rate).sum() < number else (low, middle)
    return -np.expm1(-high * rate)


class NextItem(tf.Module):
    """The head; it shares the encoder's item vectors.

    counts  (vocabulary_size,) int: how often the training saw each item; the bias starts as the logarithm of
            its share
    """

    def __init__(self, vectors: ItemVectors, counts: np.ndarray):
        super().__init__()
        self.vectors = vectors
        share = np.maximum(counts, 0.5) / max(counts.sum(), 1)
        self.bias = tf.Variable(np.log(share), dtype=tf.float32, name="item_bias")  # (vocabulary_size,)
        ranked = (counts > 0) & (np.arange(len(counts)) >= FIRST_ITEM)
        self.seen = tf.Variable(ranked, dtype=tf.bool, trainable=False, name="seen")

    def softmax(self, hidden: tf.Tensor, events: Events, event_vectors: tf.Tensor, rows: tf.Tensor) -> Loss:
        """The loss over all items that the training saw.

        hidden         (batch, positions, width): the encoder's output
        event_vectors  (batch, length, width): the vectors of `events.items`
        rows           (batch,): the weight of each row; 0 for one that fills a batch up
        """
        logits = (
            tf.matmul(hidden, self.vectors.table, transpose_b=True) + self.bias
        )  # (batch, positions, vocabulary)
        logits = tf.where(self.seen, logits, NOTHING)
        everything = tf.reduce_logsumexp(logits, axis=-1)  # (batch, positions)
        target = self._targets(hidden, events, event_vectors)  # (batch, length)
        return _sum(_at_previous(everything, events) - target, events, rows)

    def sampled_softmax(
        self,
        hidden: tf.Tensor,
        events: Events,
        event_vectors: tf.Tensor,
        rows: tf.Tensor,
        sample: tf.Tensor,
        log_probability: tf.Tensor,
    ) -> Loss:
        """The same, estimated.

        sample           (sampled,) int32: different items
        log_probability  (vocabulary_size,): of each item to be in the sample
        """
        logits = tf.matmul(hidden, self.vectors(sample), transpose_b=True)  # (batch, positions, sampled)
        logits += tf.gather(self.bias, sample) - tf.gather(log_probability, sample)
        logits = tf.where(self._is_target(events, sample, hidden.shape[1]), NOTHING, logits)
        others = tf.reduce_logsumexp(logits, axis=-1)  # (batch, positions)
        target = self._targets(hidden, events, event_vectors)  # (batch, length)
        return _sum(tf.nn.softplus(_at_previous(others, events) - target), events, rows)

    def scores(self, last: tf.Tensor) -> tf.Tensor:
        """(batch, width) -> (batch, vocabulary_size); -inf for padding, unknown and mask."""
        vectors = self.vectors(self.vectors.reads_as)  # (vocabulary_size, width)
        scores = tf.matmul(last, vectors, transpose_b=True) + tf.gather(self.bias, self.vectors.reads_as)
        return tf.concat([tf.fill((tf.shape(last)[0], FIRST_ITEM), -np.inf), scores[:, FIRST_ITEM:]], axis=1)

    def _targets(self, hidden: tf.Tensor, events: Events, event_vectors: tf.Tensor) -> tf.Tensor:
        """The score of each event at the position before its own: (batch, length)."""
        at_previous = _at_previous(hidden, events)  # (batch, length, width)
        return tf.reduce_sum(at_previous * event_vectors, axis=-1) + tf.gather(self.bias, events.items)

    def _is_target(self, events: Events, sample: tf.Tensor, positions: int) -> tf.Tensor:
        """Whether a sampled item is among the next position's: (batch, positions, sampled) bool."""
        sampled = sample.shape[0]
        slots = tf.tensor_scatter_nd_update(
            tf.fill(self.bias.shape, -1), sample[:, None], tf.range(sampled)
        )  # (vocabulary_size,): where an item is in the sample
        slot = tf.gather(slots, events.items)  # (batch, length)
        hit = (slot >= 0) & (events.positions > 0)
        row = tf.broadcast_to(tf.range(tf.shape(slot)[0])[:, None], tf.shape(slot))
        where = tf.stack([row, tf.maximum(events.positions - 1, 0), tf.maximum(slot, 0)], axis=-1)
        hits = tf.scatter_nd(where, tf.cast(hit, tf.int32), (tf.shape(slot)[0], positions, sampled))
        return hits > 0


def _at_previous(values: tf.Tensor, events: Events) -> tf.Tensor:
    """What the position before its own has, for each event: (batch, positions, …) -> (batch, length, …)."""
    shape, places = tf.shape(values), tf.maximum(events.positions - 1, 0)
    index = (
        places + tf.range(shape[0])[:, None] * shape[1]
    )  # a flat gather: its gradient is much the cheaper one
    return tf.gather(tf.reshape(values, tf.concat([[-1], shape[2:]], axis=0)), index)


def _sum(losses: tf.Tensor, events: Events, rows: tf.Tensor) -> Loss:
    """Adds the losses of events that are targets: those of every position but the first."""
    weights = tf.cast(events.positions > 0, tf.float32) * rows[:, None]  # (batch, length)
    return Loss(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))
