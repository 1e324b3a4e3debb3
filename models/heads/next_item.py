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

from conf.schema import Model
from models.baskets import Events, ItemVectors
from models.encoders.members import parts
from models.heads.negatives import Sample
from models.indices import FIRST_ITEM, UNKNOWN

LEAST = 1e-30
NOTHING = -1e9  # the logarithm of a weight of nothing, finite for the gradient's sake


class Loss(NamedTuple):
    """A loss as a sum, so that ranks can be added before dividing."""

    total: tf.Tensor  # () float32: the weighted sum over targets
    weight: tf.Tensor  # () float32: the sum of their weights


class NextItem(tf.Module):
    """The head; it shares the encoder's item vectors.

    counts     (vocabulary_size,) int: how often the training saw each item; the bias starts as the logarithm of
               its share, or at 0 where `model.start` is `normal`
    model      `label_smoothing`: the share of each target that is spread over all items alike (Szegedy et al., 2016);
               `consistency`: the weight of how far two dropouts of a row disagree (Liang et al., 2021, "R-Drop"); both in
               `softmax` alone;
               `temperature`: in place of products, cosines over this (Gupta et al., 2019, "NISER": an item's norm would
               carry how popular it is);
               `members`: so many parts of the vectors learn apart, each by the loss of its own products; scores are the mean
    """

    def __init__(self, vectors: ItemVectors, counts: np.ndarray, model: Model):
        super().__init__()
        self.vectors, self.smoothing, self.consistency = vectors, model.label_smoothing, model.consistency
        self.temperature, self.members = model.temperature, model.members
        share = np.maximum(counts, 0.5) / max(counts.sum(), 1)
        self.bias = tf.Variable(
            np.log(share) * (model.start == "mean"), dtype=tf.float32, name="item_bias"
        )  # (vocabulary_size,)
        ranked = (counts > 0) & (np.arange(len(counts)) >= FIRST_ITEM)
        self.seen = tf.Variable(ranked, dtype=tf.bool, trainable=False, name="seen")

    def softmax(
        self,
        hidden: tf.Tensor,
        events: Events,
        event_vectors: tf.Tensor,
        rows: tf.Tensor,
        is_twice: bool = False,
    ) -> Loss:
        """The loss over all items that the training saw.

        hidden         (batch, positions, width): the encoder's output
        event_vectors  (batch, length, width): the vectors of `events.items`
        rows           (batch,): the weight of each row, 0 for one that fills a batch up; or of each event, (batch, length)
        is_twice       with `consistency`: the second half of the batch are the rows of the first, of which other values are
                       dropped
        """
        told = is_told(events, hidden.shape[1])
        given = self.asking(hidden), self.asked(event_vectors), self.item_vectors()
        losses = [
            self._softmax(own, vectors, table, events, told, is_twice)
            for own, vectors, table in zip(*(parts(each, self.members) for each in given), strict=True)
        ]
        return summed(tf.add_n(losses) / self.members, events, rows)

    def _softmax(
        self,
        hidden: tf.Tensor,
        event_vectors: tf.Tensor,
        table: tf.Tensor,
        events: Events,
        told: tf.Tensor,
        is_twice: bool,
    ) -> tf.Tensor:
        """The loss of each event, (batch, length), by one member's part of all vectors."""
        asking = tf.boolean_mask(
            hidden, told
        )  # (asking, width): most positions are padding, and each costs all items
        bias = tf.where(self.seen, self.bias, NOTHING)
        logits = tf.matmul(asking, table, transpose_b=True) + bias  # (asking, vocabulary)
        everything = logsumexp(logits)  # (asking,)
        if self.consistency and is_twice:
            everything += tf.tile(self.consistency * disagreement(*tf.split(logits, 2)), [2])
        everything = at_told(everything, told)
        target = self.targets(hidden, events, event_vectors)  # (batch, length)
        if self.smoothing:
            target += self.smoothing * (at_previous(self._mean_scores(hidden, table), events) - target)
        return at_previous(everything, events) - target

    def sampled_softmax(
        self,
        hidden: tf.Tensor,
        events: Events,
        event_vectors: tf.Tensor,
        rows: tf.Tensor,
        sample: Sample,
    ) -> Loss:
        """The same, estimated by a sample of the items."""
        told = is_told(events, hidden.shape[1])
        bias = tf.gather(self.bias, sample.items) - sample.log_probability  # (sampled,)
        targets = targets_in(events, sample.items, told)

        def losses(hidden: tf.Tensor, event_vectors: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
            """Of each event, (batch, length), by one member's part of all vectors."""
            logits = without(products(tf.boolean_mask(hidden, told), vectors, bias), targets)
            others = at_told(logsumexp(logits), told)
            target = self.targets(hidden, events, event_vectors)
            return tf.nn.softplus(at_previous(others, events) - target)

        given = self.asking(hidden), self.asked(event_vectors), self.asked(self.vectors(sample.items))
        apart = zip(*(parts(each, self.members) for each in given), strict=True)
        return summed(tf.add_n([losses(*part) for part in apart]) / self.members, events, rows)

    def scores(self, last: tf.Tensor) -> tf.Tensor:
        """(batch, width) -> (batch, vocabulary_size); -inf for padding, unknown and mask."""
        scores = tf.matmul(self.query(last), self.item_vectors(), transpose_b=True) + self.bias
        # All items are read as themselves or as unknown: a choice between two scores, not a table of other vectors.
        scores = tf.where(self.vectors.is_known, scores, scores[:, UNKNOWN : UNKNOWN + 1])
        return tf.concat([tf.fill((tf.shape(last)[0], FIRST_ITEM), -np.inf), scores[:, FIRST_ITEM:]], axis=1)

    def item_vectors(self) -> tf.Tensor:
        """What `asking` is multiplied with: (vocabulary_size, width)."""
        return self.asked(self.vectors.matrix())

    def query(self, last: tf.Tensor) -> tf.Tensor:
        """What item vectors are multiplied with, so that products are the mean of the members': (batch, width), twice."""
        return self.asking(last) / self.members if self.members > 1 else self.asking(last)

    def asking(self, hidden: tf.Tensor) -> tf.Tensor:
        """(…, width) -> of the same shape: what each member multiplies with its part of item vectors."""
        return tf.math.l2_normalize(hidden, axis=-1) / self.temperature if self.temperature else hidden

    def asked(self, vectors: tf.Tensor) -> tf.Tensor:
        """Vectors of items as what they are multiplied with is: (…, width) -> of the same shape."""
        return tf.math.l2_normalize(vectors, axis=-1) if self.temperature else vectors

    def _mean_scores(self, hidden: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
        """The mean score of all items that the training saw: (batch, positions, width) -> (batch, positions)."""
        share = tf.cast(self.seen, tf.float32) / tf.reduce_sum(tf.cast(self.seen, tf.float32))
        mean = tf.linalg.matvec(table, share, transpose_a=True)  # (width,)
        return tf.linalg.matvec(hidden, mean) + tf.reduce_sum(self.bias * share)

    def targets(self, hidden: tf.Tensor, events: Events, event_vectors: tf.Tensor) -> tf.Tensor:
        """The score of each event at the position before its own: (batch, length)."""
        before = at_previous(hidden, events)  # (batch, length, width)
        return tf.reduce_sum(before * event_vectors, axis=-1) + tf.gather(self.bias, events.items)


def disagreement(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """The mean of the two divergences (Kullback and Leibler, 1951) of softmaxes: logits (rows, items), twice -> (rows,)."""
    apart = tf.nn.softmax(one) - tf.nn.softmax(other)  # adds up to 0: what logits are divided by falls out
    return tf.reduce_sum(apart * (one - other), axis=-1) / 2


def is_told(events: Events, positions: int) -> tf.Tensor:
    """Which positions have a target behind them: (batch, positions) bool."""
    behind = tf.one_hot(
        events.positions - 1, positions, True, False, dtype=tf.bool
    )  # (batch, length, positions)
    return tf.reduce_any(behind, axis=1)


def number_of(told: tf.Tensor) -> tf.Tensor:
    """Which of the positions told each one is: (batch, positions) bool -> int32; of others nothing is said."""
    return tf.reshape(tf.cumsum(tf.cast(tf.reshape(told, [-1]), tf.int32)) - 1, tf.shape(told))


def at_told(values: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    """Values of the positions told, (asking,), where these are: (batch, positions), 0 elsewhere."""
    return tf.scatter_nd(tf.where(told), values, tf.shape(told, tf.int64))


def without(logits: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Takes items out of a softmax: (asking, items), (some, 2) -> as the first."""
    return tf.tensor_scatter_nd_update(logits, where, tf.fill(tf.shape(where)[:1], NOTHING))


def targets_in(events: Events, sampled: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    """Where an item of a sample, (sampled,) ascending, is a target: (hits, 2), which of the positions told, which item."""
    hit, row, which = sampled_at(events.items, sampled)
    where = tf.stack([row, events.positions - 1, which], axis=-1)[hit & (events.positions > 0)]  # (hits, 3)
    return tf.stack([tf.gather_nd(number_of(told), where[:, :2]), where[:, 2]], axis=1)


def sampled_at(items: tf.Tensor, sampled: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Whether items are in a sample, (sampled,) ascending; their rows; which of the sample they are: (batch, length) x 3."""
    shape, flat = tf.shape(items), tf.reshape(items, [-1])
    which = tf.searchsorted(sampled, flat)  # (batch * length,): behind the last one, where all are smaller
    hit = tf.gather(tf.concat([sampled, [items.dtype.max]], axis=0), which) == flat
    row = tf.broadcast_to(tf.range(shape[0])[:, None], shape)
    return tf.reshape(hit, shape), row, tf.reshape(which, shape)


def products(asking: tf.Tensor, vectors: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """asking (rows, width), vectors (items, width), bias (items,) -> (rows, items): the bias by the product, too."""
    ones = tf.ones_like(asking[:, :1])
    with_bias = tf.concat([vectors, bias[:, None]], axis=1)
    return tf.matmul(tf.concat([asking, ones], axis=1), with_bias, transpose_b=True)


@tf.custom_gradient
def logsumexp(logits: tf.Tensor) -> tf.Tensor:
    """`tf.reduce_logsumexp` of rows in half of the time: (rows, items) -> (rows,). Its gradient is the softmax, made once.

    The largest share is e^(largest - sum): its logarithm, of a number that is at least one by the items, is exact.
    """
    shares = tf.nn.softmax(logits)
    largest = tf.maximum(tf.reduce_max(shares, axis=1), LEAST)  # so that the sum over no items is -inf
    sums = tf.reduce_max(logits, axis=1) - tf.math.log(largest)
    return sums, lambda upstream: upstream[:, None] * shares


def at_previous(values: tf.Tensor, events: Events) -> tf.Tensor:
    """What the position before its own has, for each event: (batch, positions, …) -> (batch, length, …)."""
    shape, places = tf.shape(values), tf.maximum(events.positions - 1, 0)
    index = (
        places + tf.range(shape[0])[:, None] * shape[1]
    )  # a flat gather: its gradient is much the cheaper one
    return tf.gather(tf.reshape(values, tf.concat([[-1], shape[2:]], axis=0)), index)


def summed(losses: tf.Tensor, events: Events, rows: tf.Tensor) -> Loss:
    """Adds the losses of targets: events of every position but the first. rows: (batch,) or (batch, length)."""
    rows = rows if rows.shape.rank == 2 else rows[:, None]
    weights = tf.cast(events.positions > 0, tf.float32) * rows  # (batch, length)
    return Loss(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))
