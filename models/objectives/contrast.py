"""Which view is another one of the same row, among the views of all rows of a step.

Chen et al., 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR); van den Oord et al.,
2018, for the loss (InfoNCE). Views differ by what dropout takes (Gao et al., 2021, "SimCSE"), or by more
(models/objectives/views.py). The views of all ranks are gathered, so that many
ranks learn what one rank with the whole batch does.
"""

from collections.abc import Callable

import horovod.tensorflow as hvd
import tensorflow as tf

from models.dropout import Noise
from models.next_item import NextItemModel
from models.objectives.given import Facts, Given
from models.objectives.views import Views

NOTHING = -1e9


class Contrast(tf.Module):
    """Cosines of projections of the last hidden state, divided by the temperature, as the logits of a softmax."""

    def __init__(self, ranker: NextItemModel, facts: Facts):
        super().__init__()
        width = ranker.vectors.table.shape[1]
        self.temperature = facts.settings.temperature
        self.views = Views(facts.settings.views, facts.settings.view_share, ranker.vectors)
        self.widen = tf.keras.layers.Dense(width, activation="relu")
        self.narrow = tf.keras.layers.Dense(width)
        for layer in (self.widen, self.narrow):
            layer.build((None, width))

    def __call__(self, given: Given) -> tf.Tensor:
        noise = given.noise
        other = None if noise is None else Noise(noise.seed, ~noise.rows)
        pair = tf.stack([self._view(given, noise), self._view(given, other)], axis=1)  # (batch, 2, width)
        everyone, real = gathered(pair), gathered(given.targets) > 0  # of all ranks
        first = hvd.rank() * tf.shape(pair)[0]
        losses = info_nce(pair, everyone, real, first, self.temperature)  # (batch,)
        return tf.reduce_sum(losses * given.targets)

    def _view(self, given: Given, noise: Noise | None) -> tf.Tensor:
        """(batch, width), of length 1."""
        baskets, count = self.views(given.baskets, given.events.count, noise)
        hidden = given.encode(baskets, count, noise)
        last = tf.gather(hidden, tf.maximum(count - 1, 0), batch_dims=1)
        return tf.math.l2_normalize(self.narrow(self.widen(last)), axis=-1)


@tf.custom_gradient
def gathered(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The rows of all ranks, each of which has as many: (rows, …) -> (all, …).

    Horovod 0.28 takes the mean over ranks as its gradient: here it is the sum, as of what ranks add up.
    """

    def gradient(of_all: tf.Tensor) -> tf.Tensor:
        first = hvd.rank() * tf.shape(x)[0]
        return hvd.allreduce(of_all, op=hvd.Sum)[first : first + tf.shape(x)[0]]

    return hvd.allgather(x), gradient


def info_nce(
    own: tf.Tensor, everyone: tf.Tensor, real: tf.Tensor, first: tf.Tensor, temperature: float
) -> tf.Tensor:
    """The mean over both views of a row of less the logarithm of the other one's share: (rows,).

    own       (rows, 2, width): of this rank
    everyone  (all, 2, width): those of all ranks, in which its own begin at row `first`
    real      (all,) bool: rows that are more than filling
    """
    rows = tf.shape(own)[0]
    logits = tf.einsum("riw,ajw->riaj", own, everyone) / temperature  # (rows, 2, all, 2)
    mine = first + tf.range(rows) == tf.range(tf.shape(everyone)[0])[:, None]  # (all, rows)
    is_itself = tf.transpose(mine)[:, None, :, None] & tf.eye(2, dtype=tf.bool)[None, :, None, :]
    logits = tf.where(real[None, None, :, None] & ~is_itself, logits, NOTHING)
    positive = tf.reduce_sum(own[:, 0] * own[:, 1], axis=-1) / temperature  # (rows,): of both views
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=[2, 3]), axis=1) - positive
