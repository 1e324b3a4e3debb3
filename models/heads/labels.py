"""Heads of tasks with labels: whether something happens, which of several classes, or how much.

A head says how many `outputs` it wants of the layer before it and with which biases these `start`, so that before anything
is learnt each prediction is that of the training rows as a whole.
"""

import numpy as np
import tensorflow as tf

from models.answers import Answers

LOW, HIGH = 0.1, 0.9  # quantiles of an amount's interval
LEAST_SPREAD = 1e-3  # of the logarithm of an amount
FARTHEST = 12.0  # a logarithm of an amount: e^12 is 160,000 of the shop's currency


class Binary(tf.Module):
    """Whether each target happens: the logarithm of its odds. Loss: cross-entropy.

    balanced  what happened weighs as much as what did not, target by target (King and Zeng, 2001)
    """

    def __init__(self, answers: Answers, balanced: bool):
        super().__init__()
        share = _mean(answers.labels, answers.weights).clip(1e-4, 1 - 1e-4)  # (targets,)
        self.outputs = len(share)
        self.start = np.zeros_like(share) if balanced else np.log(share / (1 - share))
        sides = np.stack([0.5 / (1 - share), 0.5 / share]) if balanced else np.ones((2, len(share)))
        self.of_sides = tf.constant(sides, tf.float32)  # (2, targets)

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, targets) x 2 -> (batch, targets)."""
        weight = tf.where(labels > 0.5, self.of_sides[1], self.of_sides[0])
        return weight * tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the probability of each target, (batch, targets)."""
        return {"value": tf.sigmoid(outputs)}


class Classes(tf.Module):
    """Which of `classes` it is: the logarithm of each share, up to a constant. Loss: cross-entropy of the softmax."""

    def __init__(self, answers: Answers, balanced: bool, classes: int):
        super().__init__()
        counts = np.bincount(answers.labels[:, 0].astype(int), answers.weights[:, 0], classes)
        share = counts.clip(0.5) / counts.clip(0.5).sum()  # (classes,)
        self.outputs = classes
        self.start = np.zeros(classes) if balanced else np.log(share)
        self.of_classes = tf.constant(1 / (classes * share) if balanced else np.ones(classes), tf.float32)

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, classes), (batch, 1) -> (batch, 1)."""
        place = tf.cast(labels[:, 0], tf.int32)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(place, outputs)
        return (loss * tf.gather(self.of_classes, place))[:, None]

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the probability of each class, (batch, classes)."""
        return {"value": tf.nn.softmax(outputs)}


class LogNormal(tf.Module):
    """An amount that is zero or lognormal: outputs for whether, for the mean of its logarithm and for the spread of that.

    After Wang, Liu and Miao, 2019, "A Deep Probabilistic Model for Customer Lifetime Value Prediction". One target.
    """

    outputs = 3

    def __init__(self, answers: Answers):
        super().__init__()
        share = float(_mean(answers.labels > 0, answers.weights)[0].clip(1e-4, 1 - 1e-4))
        paid = np.log(answers.labels[(answers.labels > 0) & (answers.weights > 0)])
        mean, spread = (float(paid.mean()), float(paid.std())) if len(paid) else (0.0, 1.0)
        inverse_softplus = np.log(np.expm1(max(spread, 0.1)))
        self.start = np.array([np.log(share / (1 - share)), mean, inverse_softplus])

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, 3), (batch, 1) -> (batch, 1): less the logarithm of the density."""
        paid = tf.cast(labels > 0, tf.float32)  # (batch, 1)
        whether = tf.nn.sigmoid_cross_entropy_with_logits(paid, outputs[:, :1])
        mean, spread = self._of_logarithm(outputs)
        logarithm = tf.math.log(tf.where(labels > 0, labels, 1.0))
        distance = (logarithm - mean) / spread
        much = logarithm + tf.math.log(spread) + 0.5 * (distance**2 + np.log(2 * np.pi))
        return whether + paid * much

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the expected amount; `low`, `high`: its 10% and 90% quantile, each (batch, 1)."""
        chance, (mean, spread) = tf.sigmoid(outputs[:, :1]), self._of_logarithm(outputs)

        def quantile(q: float) -> tf.Tensor:
            inside = (q - (1 - chance)) / chance  # of the amounts that are not zero
            normal = tf.math.ndtri(tf.clip_by_value(inside, 1e-6, 1 - 1e-6))
            return tf.where(inside > 0, tf.exp(tf.minimum(mean + spread * normal, FARTHEST)), 0.0)

        expected = chance * tf.exp(tf.minimum(mean + spread**2 / 2, FARTHEST))
        return {"value": expected, "low": quantile(LOW), "high": quantile(HIGH)}

    @staticmethod
    def _of_logarithm(outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return outputs[:, 1:2], tf.maximum(tf.nn.softplus(outputs[:, 2:3]), LEAST_SPREAD)


class Mean(tf.Module):
    """An amount by its mean: outputs are in spreads of the training rows around their mean. Loss: squared error of these."""

    def __init__(self, answers: Answers):
        super().__init__()
        center = _mean(answers.labels, answers.weights)  # (targets,)
        spread = np.sqrt(_mean((answers.labels - center) ** 2, answers.weights))
        self.outputs, self.start = len(center), np.zeros(len(center))
        self.center = tf.constant(center, tf.float32)
        self.spread = tf.constant(np.where(spread > 0, spread, 1), tf.float32)

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, targets) x 2 -> (batch, targets)."""
        return ((labels - self.center) / self.spread - outputs) ** 2

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the expected amount, never below zero, (batch, targets)."""
        return {"value": tf.maximum(self.center + self.spread * outputs, 0.0)}


Head = Binary | Classes | LogNormal | Mean


def make_head(head: str, loss: str, balanced: bool, answers: Answers, names: int) -> Head:
    """The head of a task, from the answers to its training rows; `names`: how many targets or classes it has."""
    if head == "binary":
        return Binary(answers, balanced)
    if head == "classes":
        return Classes(answers, balanced, names)
    return LogNormal(answers) if loss == "lognormal" else Mean(answers)


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighed by rows: (rows, targets) x 2 -> (targets,) float64."""
    return (values * weights).sum(axis=0, dtype=np.float64) / np.maximum(weights.sum(axis=0), 1e-9)
