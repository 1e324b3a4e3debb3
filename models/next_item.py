"""The next-item model: item vectors, baskets, an encoder and the next-item head. It is a Ranker."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from conf.schema import Model, Task
from models.baskets import ItemVectors, basket_means, filled, last_events, number_positions
from models.dropout import Noise
from models.encoders import make_encoder
from models.heads.negatives import Negatives, Sample
from models.heads.next_item import Loss, NextItem


class NextItemModel(tf.Module):
    """Predicts a user's next basket from the last `task.positions` sessions of the last `task.length` events.

    counts  (vocabulary_size,) int: sessions with each item that the training sees; 0: reads as unknown
    """

    def __init__(self, model: Model, task: Task, counts: np.ndarray, seed: int):
        super().__init__()
        tf.keras.utils.set_random_seed(seed)
        self.vocabulary_size = len(counts)
        self.length, self.positions = task.length, task.positions
        self.full = model.loss == "softmax"
        self.vectors = ItemVectors(counts, model.width, seed)
        self.encoder = make_encoder(model, task.positions)
        self.head = NextItem(self.vectors, counts)
        self.samples_batch = not self.full and model.sampling == "batch"
        self.negatives = None if self.full else Negatives(counts, model.sampling, model.negatives)
        self.encoder(
            tf.zeros((1, task.positions, model.width)), tf.ones((1, task.positions), tf.bool)
        )  # makes weights

    @property
    def tables(self) -> tuple[tf.Variable, ...]:
        """The weights with a row an item."""
        return self.vectors.table, self.head.bias

    def sample(self, items: tf.Tensor, seed: tf.Tensor) -> Sample | None:
        """The items that a step tells its targets from; none: all.

        items  (batch, length) int32 of the rows of all ranks;  seed  (2,) int32, of the step
        """
        return self.negatives and self.negatives(seed, self.vectors.read(items))

    def batch_loss(self, batch: Mapping[str, tf.Tensor], sample: Sample | None, noise: Noise | None) -> Loss:
        """`loss` of the rows of an example set."""
        return self.loss(batch["items"], batch["sessions"], batch["weights"], sample, noise)

    def loss(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        weights: tf.Tensor,
        sample: Sample | None,
        noise: Noise | None,
    ) -> Loss:
        """(batch, length) int32 x 2, weights (batch,) -> sums over targets."""
        events = number_positions(self.vectors.read(items), sessions, self.positions)
        vectors = self.vectors(events.items)  # (batch, length, width): as inputs and as targets
        hidden = self._encode(vectors, events.positions, events.count, noise)
        if sample is None:
            return self.head.softmax(hidden, events, vectors, weights)
        return self.head.sampled_softmax(hidden, events, vectors, weights, sample)

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """The Ranker's scores: (batch, any length) x 3 -> (batch, vocabulary_size). Ages do not matter."""
        items, sessions = last_events(items, sessions, self.length)
        events = number_positions(self.vectors.read(items), sessions, self.positions)
        hidden = self._encode(self.vectors(events.items), events.positions, events.count, None)
        last = tf.gather(hidden, tf.maximum(events.count - 1, 0), batch_dims=1)  # (batch, width)
        return self.head.scores(last)

    def _encode(
        self, vectors: tf.Tensor, positions: tf.Tensor, count: tf.Tensor, noise: Noise | None
    ) -> tf.Tensor:
        baskets = basket_means(vectors, positions, self.positions)  # (batch, positions, width)
        return self.encoder(baskets, filled(count, self.positions), noise=noise)
