"""Heads of tasks with labels: whether something happens, which of several classes, or how much.

A head says how many `outputs` it wants of the layers before it, and from where these begin: at `start` (outputs,), and by
`slopes` (questions, inputs, outputs of a question) on what is known of each question (models/known.py). Both are fitted to
the training rows, so that before anything is learnt a prediction is what a regression on the baseline's knowledge says, or
where nothing is known, that of the training rows as a whole.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression, QuantileRegressor, Ridge

from models.answers import Answers

LOW, HIGH = 0.1, 0.9  # quantiles of an amount's interval
QUANTILES = (LOW, 0.5, HIGH)
LEAST_SPREAD = 1e-3  # of the logarithm of an amount
FARTHEST = 12.0  # a logarithm of an amount: e^12 is 160,000 of the shop's currency
LEANING = 5.0  # rows that all rows together count for among those of a level
FEWEST = 10  # rows of each side that a slope is fitted to
MOST = 5000  # rows that a quantile regression, a linear program, looks at


class Line(NamedTuple):
    """A linear guess of one output."""

    slopes: np.ndarray  # (inputs,)
    start: float


class Binary(tf.Module):
    """Whether each target happens: the logarithm of its odds. Loss: cross-entropy.

    known     (rows, targets, inputs) of the training rows: see the module
    balanced  what happened weighs as much as what did not, target by target (King and Zeng, 2001)
    """

    def __init__(self, answers: Answers, known: np.ndarray, balanced: bool):
        super().__init__()
        share = _mean(answers.labels, answers.weights).clip(1e-4, 1 - 1e-4)  # (targets,)
        self.outputs = len(share)
        sides = np.stack([0.5 / (1 - share), 0.5 / share]) if balanced else np.ones((2, len(share)))
        self.of_sides = tf.constant(sides, tf.float32)  # (2, targets)
        happened = answers.labels > 0.5
        weights = answers.weights * np.where(happened, sides[1], sides[0])
        lines = [_odds(known[:, n], happened[:, n], weights[:, n]) for n in range(self.outputs)]
        self.start = np.array([line.start for line in lines])
        self.slopes = np.stack([line.slopes for line in lines])[:, :, None]

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, targets) x 2 -> (batch, targets)."""
        weight = tf.where(labels > 0.5, self.of_sides[1], self.of_sides[0])
        return weight * tf.nn.sigmoid_cross_entropy_with_logits(labels, outputs)

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the probability of each target, (batch, targets)."""
        return {"value": tf.sigmoid(outputs)}


class Classes(tf.Module):
    """Which of `classes` it is: the logarithm of each share, up to a constant. Loss: cross-entropy of the softmax.

    known  (rows, 1, levels) of the training rows: see the module
    """

    def __init__(self, answers: Answers, known: np.ndarray, balanced: bool, classes: int):
        super().__init__()
        came, weights = answers.labels[:, 0].astype(int), answers.weights[:, 0]
        counts = np.bincount(came, weights, classes)
        share = counts.clip(0.5) / counts.clip(0.5).sum()  # (classes,)
        self.outputs = classes
        self.start = np.zeros(classes) if balanced else np.log(share)
        at_levels = (known[:, 0] * weights[:, None]).T @ np.eye(classes)[came]  # (levels, classes)
        leaning = at_levels + LEANING * share
        self.slopes = np.log(leaning / leaning.sum(axis=1, keepdims=True) / share)[None]
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

    def __init__(self, answers: Answers, known: np.ndarray):
        super().__init__()
        amount, weights, known = answers.labels[:, 0], answers.weights[:, 0], known[:, 0]
        paid = (amount > 0) & (weights > 0)
        logarithm = np.log(np.where(paid, amount, 1.0))
        whether, much = (
            _odds(known, amount > 0, weights),
            _fitted(known[paid], logarithm[paid], weights[paid]),
        )
        missed = logarithm[paid] - much.start - known[paid] @ much.slopes
        inverse_softplus = np.log(np.expm1(max(float(missed.std()) if len(missed) else 1.0, 0.1)))
        self.start = np.array([whether.start, much.start, inverse_softplus])
        self.slopes = np.stack([whether.slopes, much.slopes, np.zeros(known.shape[1])], axis=1)[None]

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

    def __init__(self, answers: Answers, known: np.ndarray):
        super().__init__()
        center = _mean(answers.labels, answers.weights)  # (targets,)
        spread = np.sqrt(_mean((answers.labels - center) ** 2, answers.weights))
        spread = np.where(spread > 0, spread, 1)
        self.outputs = len(center)
        self.center, self.spread = tf.constant(center, tf.float32), tf.constant(spread, tf.float32)
        distance = (answers.labels - center) / spread
        lines = [_fitted(known[:, n], distance[:, n], answers.weights[:, n]) for n in range(self.outputs)]
        self.start = np.array([line.start for line in lines])
        self.slopes = np.stack([line.slopes for line in lines])[:, :, None]

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, targets) x 2 -> (batch, targets)."""
        return ((labels - self.center) / self.spread - outputs) ** 2

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the expected amount, never below zero, (batch, targets)."""
        return {"value": tf.maximum(self.center + self.spread * outputs, 0.0)}


class Quantiles(tf.Module):
    """An amount by its 10%, 50% and 90% quantile, whatever its distribution: outputs are in spreads of the training rows.

    The loss of each is the pinball loss (Koenker and Bassett, 1978, "Regression Quantiles"), of the median half the absolute
    error; added up. One target.

    known  (rows, 1, inputs) of the training rows: see the module
    """

    outputs = 3

    def __init__(self, answers: Answers, known: np.ndarray):
        super().__init__()
        amount, weights, known = answers.labels[:, 0], answers.weights[:, 0], known[:, 0]
        self.spread = max(float(amount[weights > 0].std()), 1e-6) if weights.any() else 1.0
        lines = [_quantile(known, amount / self.spread, weights, q) for q in QUANTILES]
        self.start = np.array([line.start for line in lines])
        self.slopes = np.stack([line.slopes for line in lines], axis=1)[None]

    def loss(self, outputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """(batch, 3), (batch, 1) -> (batch, 1)."""
        missed, quantiles = labels / self.spread - outputs, tf.constant(QUANTILES)
        return tf.reduce_sum(tf.maximum(quantiles * missed, (quantiles - 1) * missed), axis=1, keepdims=True)

    def predict(self, outputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """`value`: the median amount; `low`, `high`: its 10% and 90% quantile, each (batch, 1), never below zero."""
        low, value, high = tf.split(tf.maximum(self.spread * tf.sort(outputs, axis=1), 0.0), 3, axis=1)
        return {"value": value, "low": low, "high": high}


Head = Binary | Classes | LogNormal | Mean | Quantiles


AMOUNTS: dict[str, type[LogNormal | Mean | Quantiles]] = {
    "lognormal": LogNormal,
    "mse": Mean,
    "pinball": Quantiles,
}


def make_head(head: str, loss: str, balanced: bool, answers: Answers, known: np.ndarray, names: int) -> Head:
    """The head of a task, from the answers to its training rows and what is known of these (rows, questions, inputs).

    names  how many targets or classes it has
    """
    if head == "binary":
        return Binary(answers, known, balanced)
    if head == "classes":
        return Classes(answers, known, balanced, names)
    return AMOUNTS[loss](answers, known)


def _odds(known: np.ndarray, happened: np.ndarray, weights: np.ndarray) -> Line:
    """The logarithm of the odds: a logistic regression, with slopes where enough rows tell of both sides."""
    asked = weights > 0
    sides = np.bincount(happened[asked], minlength=2)
    if known.shape[1] == 0 or sides.min() < FEWEST:
        share = (happened * weights).sum(dtype=np.float64) / max(weights.sum(dtype=np.float64), 1e-9)
        share = np.clip(share, 1e-4, 1 - 1e-4)
        return Line(np.zeros(known.shape[1]), float(np.log(share / (1 - share))))
    scale = weights[asked] / weights[asked].mean()  # so that the penalty weighs alike
    found = LogisticRegression().fit(known[asked], happened[asked], sample_weight=scale)
    return Line(found.coef_[0], float(found.intercept_[0]))


def _fitted(known: np.ndarray, values: np.ndarray, weights: np.ndarray) -> Line:
    """The mean: a ridge regression, with slopes where there are enough rows."""
    asked = weights > 0
    if known.shape[1] == 0 or asked.sum() < FEWEST:
        mean = (values * weights).sum(dtype=np.float64) / max(weights.sum(dtype=np.float64), 1e-9)
        return Line(np.zeros(known.shape[1]), float(mean))
    found = Ridge().fit(known[asked], values[asked], sample_weight=weights[asked])
    return Line(found.coef_, float(found.intercept_))


def _quantile(known: np.ndarray, values: np.ndarray, weights: np.ndarray, q: float) -> Line:
    """A quantile: a linear quantile regression of some of the rows, with slopes where there are enough."""
    asked = np.flatnonzero(weights > 0)
    if known.shape[1] == 0 or len(asked) < FEWEST:
        return Line(np.zeros(known.shape[1]), float(np.quantile(values[asked], q)) if len(asked) else 0.0)
    some = np.random.default_rng(0).permutation(asked)[:MOST]
    found = QuantileRegressor(quantile=q, alpha=0).fit(known[some], values[some], sample_weight=weights[some])
    return Line(found.coef_, float(found.intercept_))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighed by rows: (rows, targets) x 2 -> (targets,) float64."""
    return (values * weights).sum(axis=0, dtype=np.float64) / np.maximum(weights.sum(axis=0), 1e-9)
