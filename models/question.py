"""A task's question as a model answers it: what its baseline knows, the head, and the calibration of what that says."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from conf.schema import Label
from models.answers import Answers
from models.calibration import Calibration
from models.heads.labels import make_head
from models.known import Known

SUREST = 10.0  # of the logarithm of odds


class Baseline(Protocol):
    """A further baseline of a task, as models/bg_nbd.py has it: a `tf.Module` with this member."""

    def log_odds(self, features: tf.Tensor) -> tf.Tensor:
        """(batch, features) -> (batch, 1): the logarithm of the odds that it gives the one target."""


class Question(tf.Module):
    """The last part of a model with labels, of one task.

    answers   of the training rows, (rows, targets)
    names     how many targets or classes there are
    beside    further baselines of its one target, which it knows what they say of
    features  (rows, features) of the training rows, which these look at
    """

    def __init__(
        self,
        label: Label,
        answers: Answers,
        names: int,
        beside: Sequence[Baseline] = (),
        features: np.ndarray | None = None,
    ):
        super().__init__()
        levels = label.head == "classes" or label.baseline == "table"
        # An amount grows with the exponent of a lognormal's output: a number itself would be one there.
        self.number = Known(answers.naive, levels, plain=label.loss != "lognormal")
        self.beside = list(beside)
        of_training = tf.constant(
            np.zeros((len(answers.labels), 0)) if features is None else features, tf.float32
        )
        if self.beside:
            said = self._said(of_training).numpy().astype(np.float64)
            self.center = tf.constant(said.mean(axis=0), tf.float32)
            self.spread = tf.constant(said.std(axis=0).clip(1e-6), tf.float32)
        known = self.known(tf.constant(answers.naive), of_training).numpy()
        self.head = make_head(label.head, label.loss, label.weight == "balanced", answers, known, names)
        self.slopes = tf.Variable(self.head.slopes, dtype=tf.float32, name="slopes")
        self.targets, self.outputs = answers.labels.shape[1], len(self.head.start)
        self.calibration: Calibration | None = None
        labels, weights = (tf.constant(each) for each in (answers.labels, answers.weights))
        start = tf.tile(tf.constant(self.head.start, tf.float32)[None], [len(answers.labels), 1])
        losses = self.head.loss(start, labels) * weights
        self.plain_loss = float(tf.reduce_sum(losses) / max(float(tf.reduce_sum(weights)), 1e-9))
        """The mean loss of the training rows where nothing but what is known to all is said."""

    @property
    def asked(self) -> np.ndarray:
        """Of which of the targets each output is, (outputs,) int; where there is one, all are its."""
        return np.repeat(np.arange(self.targets), self.outputs // self.targets)

    def known(self, naive: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        """What baselines know: (batch, targets), (batch, features) -> (batch, targets, inputs), see models/known.py."""
        known = self.number(naive)
        if not self.beside:
            return known
        return tf.concat([known, ((self._said(features) - self.center) / self.spread)[:, None]], axis=2)

    def _said(self, features: tf.Tensor) -> tf.Tensor:
        """(batch, features) -> (batch, baselines): near 0, whatever a baseline is sure of."""
        said = tf.concat([each.log_odds(features) for each in self.beside], axis=1)
        return tf.clip_by_value(said, -SUREST, SUREST)

    def line(self, naive: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        """The part of the outputs that is linear in what baselines know: (batch, …) x 2 -> (batch, outputs)."""
        known = self.known(naive, features)
        return tf.reshape(tf.einsum("bqi,qio->bqo", known, self.slopes), (-1, self.outputs))

    def answer(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the head predicts, calibrated where a calibration was fitted: (batch, outputs) -> `value`, maybe more."""
        return (
            self.head.predict(outputs) if self.calibration is None else {"value": self.calibration(outputs)}
        )
