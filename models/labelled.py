"""The model of a task with labels: an encoder of baskets, a tower of features, what the baseline knows, and a head."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from conf.schema import Label, Model, Task
from models.answers import Answers
from models.baskets import ItemVectors, basket_means, filled, last_events, number_positions
from models.calibration import Calibration
from models.dropout import Noise
from models.encoders import make_encoder
from models.heads.labels import make_head
from models.heads.next_item import Loss
from models.known import Known
from models.sharing import Uncertainty, make_sharing
from models.tower import FeatureTower

CROSSES = 2


class LabelledModel(tf.Module):
    """Predicts the answers to a task's questions from a user's last sessions and features, and what the baseline knows.

    An output is linear in the latter, as the baseline is, plus what the rest says (Cheng et al., 2016, "Wide & Deep
    Learning for Recommender Systems"). The linear part begins where a regression puts it, the rest at nothing.

    counts    (vocabulary_size,) int: sessions with each item that the training sees; 0: reads as unknown
    answers   of the training rows
    names     how many targets or classes there are
    features  how many numbers a user has
    room      sessions that the encoder has room for; none: as many as `task.positions`
    """

    samples_batch = False

    def __init__(
        self,
        model: Model,
        task: Task,
        counts: np.ndarray,
        answers: Answers,
        names: int,
        features: int,
        seed: int,
        room: int | None = None,
    ):
        super().__init__()
        assert task.label is not None
        if model.name == "hstu":
            raise ValueError(
                "model=hstu wants the ages of sessions, which tasks with labels do not give: take another"
            )
        label: Label = task.label
        tf.keras.utils.set_random_seed(seed)
        self.vocabulary_size = len(counts)
        self._kept: frozenset[Any] = frozenset()
        room = room or task.positions
        self.length, self.positions = task.length, min(task.positions, room)
        self.vectors = ItemVectors(counts, model.width, seed)
        self.encoder = make_encoder(model, room)
        self.tower = FeatureTower(model.width, CROSSES, model.dropout)
        levels = label.head == "classes" or label.baseline == "table"
        # An amount grows with the exponent of a lognormal's output: a number itself would be one there.
        self.known = Known(answers.naive, levels, plain=label.loss != "lognormal")
        balanced, known = label.weight == "balanced", self.known(tf.constant(answers.naive)).numpy()
        self.head = make_head(label.head, label.loss, balanced, answers, known, names)
        self.slopes = tf.Variable(self.head.slopes, dtype=tf.float32, name="slopes")
        questions = answers.labels.shape[1]
        self.last = make_sharing(label.sharing, questions, self.head.start, model.width, label.experts)
        self.balance = Uncertainty(questions) if label.balance == "uncertainty" else None
        self.calibration: Calibration | None = None
        nobody = tf.zeros((1, task.length), tf.int32)
        self.outputs(nobody, nobody, tf.zeros((1, features)), tf.zeros((1, questions)), None)  # makes weights

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """Its weights, but for those that are kept."""
        return tuple(each for each in super().trainable_variables if each.ref() not in self._kept)

    def keep(self, variables: Iterable[tf.Variable]) -> None:
        """From now on these stay as they are, whatever is trained."""
        self._kept = frozenset(each.ref() for each in variables)

    @property
    def tables(self) -> tuple[tf.Variable, ...]:
        """The weights with a row an item."""
        return (self.vectors.table,)

    def sample(self, items: tf.Tensor, seed: tf.Tensor) -> None:
        """Nothing is drawn for a step."""
        return None  # AutoGraph cannot read a function without a statement

    def batch_loss(self, batch: Mapping[str, tf.Tensor], sample: None, noise: Noise | None) -> Loss:
        """The loss of each answer that there is, by its weight."""
        outputs = self.outputs_of(batch, noise)
        weights = batch["label_weights"] * batch["weights"][:, None]  # (batch, targets)
        losses = self.head.loss(outputs, batch["labels"])  # (batch, targets)
        losses = self.balance(losses) if self.balance else losses
        return Loss(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))

    def outputs_of(self, batch: Mapping[str, tf.Tensor], noise: Noise | None = None) -> tf.Tensor:
        """The outputs of a batch of an example set, see `outputs`."""
        items, sessions, features, naive = (batch[n] for n in ("items", "sessions", "features", "naive"))
        return self.outputs(items, sessions, features, naive, noise)

    def outputs(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        noise: Noise | None,
        presence: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """(batch, any length) int32 x 2, (batch, features), (batch, questions) -> (batch, the head's outputs).

        presence  (batch, any length) float32: what the vector of each event is multiplied by; none: 1
        """
        is_whole = presence is None
        presence = tf.zeros_like(items, tf.float32) if is_whole else presence
        items, sessions, presence = last_events(items, sessions, presence, self.length)
        events = number_positions(self.vectors.read(items), sessions, self.positions)
        vectors = self.vectors(events.items)  # (batch, length, width)
        vectors = vectors if is_whole else vectors * presence[:, :, None]
        baskets = basket_means(vectors, events.positions, self.positions)
        states = self.encoder(baskets, filled(events.count, self.positions), noise=noise)
        state = tf.gather(states, tf.maximum(events.count - 1, 0), batch_dims=1)  # (batch, width)
        known = self.known(naive)  # (batch, questions, inputs)
        questions, inputs, outputs = self.slopes.shape
        numbers = self.tower(features, tf.reshape(known, (-1, questions * inputs)), noise)
        line = tf.einsum("bqi,qio->bqo", known, self.slopes)
        return tf.reshape(line, (-1, questions * outputs)) + self.last(tf.concat([state, numbers], axis=1))

    def predict(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        presence: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """What the head predicts, calibrated where a calibration was fitted.

        presence  as in `outputs`
        """
        outputs = self.outputs(items, sessions, features, naive, None, presence)
        if self.calibration is None:
            return self.head.predict(outputs)
        return {"value": self.calibration(outputs)}
