"""A task's question as a model answers it: what its baseline knows, the head, and the calibration of what that says."""

import numpy as np
import tensorflow as tf

from conf.schema import Label
from models.answers import Answers
from models.calibration import Calibration
from models.heads.labels import make_head
from models.known import Known


class Question(tf.Module):
    """The last part of a model with labels, of one task.

    answers  of the training rows, (rows, targets)
    names    how many targets or classes there are
    """

    def __init__(self, label: Label, answers: Answers, names: int):
        super().__init__()
        levels = label.head == "classes" or label.baseline == "table"
        # An amount grows with the exponent of a lognormal's output: a number itself would be one there.
        self.known = Known(answers.naive, levels, plain=label.loss != "lognormal")
        known = self.known(tf.constant(answers.naive)).numpy()
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

    def line(self, naive: tf.Tensor) -> tf.Tensor:
        """The part of the outputs that is linear in what the baseline knows: (batch, targets) -> (batch, outputs)."""
        return tf.reshape(tf.einsum("bqi,qio->bqo", self.known(naive), self.slopes), (-1, self.outputs))

    def answer(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """What the head predicts, calibrated where a calibration was fitted: (batch, outputs) -> `value`, maybe more."""
        return (
            self.head.predict(outputs) if self.calibration is None else {"value": self.calibration(outputs)}
        )
