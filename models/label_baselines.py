"""Baselines of tasks with labels: what the training rows say as a whole, or by the one number `naive` that each has.

prior     the mean label, or the share of each class
naive     the number itself
logistic  a logistic regression of each target on ln(1 + the number), which keeps its order
table     the mean label, or the shares of classes, of the training rows with the same number; few rows lean on the prior
"""

import numpy as np
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from models.answers import Answers

LEANING = 5.0  # rows that the prior counts for in a table


class LabelBaseline(tf.Module):
    """A baseline in the place of a model: it looks at what it knows of each target alone.

    levels  (levels,) rising numbers;  means  (levels + 1, width): of each, and of any other number
    lines   (2, targets): slope and shift; with them `levels` and `means` do not matter
    """

    def __init__(
        self, size: int, levels: np.ndarray, means: np.ndarray, lines: np.ndarray | None, plain: bool
    ):
        super().__init__()
        self.vocabulary_size, self.plain = size, plain
        self.levels, self.means = (_constant(x) for x in (levels, means))
        self.lines = None if lines is None else _constant(lines)

    def predict(
        self, items: tf.Tensor, sessions: tf.Tensor, features: tf.Tensor, naive: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """naive (batch, targets) -> `value` (batch, targets), of classes (batch, classes)."""
        if self.plain:
            return {"value": naive}
        if self.lines is not None:
            return {
                "value": tf.sigmoid(self.lines[0] * tf.math.log1p(tf.maximum(naive, 0.0)) + self.lines[1])
            }
        level = tf.argmax(tf.cast(naive[:, :1] == self.levels, tf.int32), axis=1)  # (batch,)
        is_known = tf.reduce_any(naive[:, :1] == self.levels, axis=1)
        place = tf.where(is_known, level, tf.size(self.levels, tf.int64))
        return {"value": tf.gather(self.means, place)}


def fit(name: str, head: str, size: int, answers: Answers, names: int) -> LabelBaseline:
    """The baseline `name` of a task, from its training rows.

    size   of the vocabulary, which it does not look at;  names  how many targets or classes there are
    """
    told = np.eye(names)[answers.labels[:, 0].astype(int)] if head == "classes" else answers.labels
    weights = np.broadcast_to(answers.weights, told.shape)  # (rows, width)
    prior = (told * weights).sum(axis=0) / np.maximum(weights.sum(axis=0), 1e-9)
    nothing = np.full(1, np.nan), np.stack([prior, prior])  # a level that no number is at
    if name == "logistic":
        lines = np.stack([_line(*column) for column in zip(*(x.T for x in answers), strict=True)], axis=1)
        return LabelBaseline(size, *nothing, lines, plain=False)
    if name != "table":
        return LabelBaseline(size, *nothing, None, plain=name == "naive")
    if answers.naive.shape[1] > 1:
        raise ValueError(
            f"task.label.baseline=table is of one question, this task asks {answers.naive.shape[1]}: set logistic or prior"
        )
    levels = np.unique(answers.naive[:, 0])
    means = []
    for level in levels:
        there = weights * (answers.naive[:, :1] == level)
        means.append(((told * there).sum(axis=0) + LEANING * prior) / (there.sum(axis=0) + LEANING))
    return LabelBaseline(size, levels, np.stack([*means, prior]), None, plain=False)


def _line(labels: np.ndarray, weights: np.ndarray, naive: np.ndarray) -> tuple[float, float]:
    """Slope and shift of one target, each (rows,)."""
    asked = weights > 0
    x, y = np.log1p(np.maximum(naive[asked], 0)).astype(np.float64), labels[asked] > 0.5
    if not 0 < y.sum() < len(y):
        share = np.clip(y.mean() if len(y) else 0.5, 1e-4, 1 - 1e-4)
        return 0.0, float(np.log(share / (1 - share)))
    found = LogisticRegression(C=1e6).fit(x[:, None], y, sample_weight=weights[asked])
    return float(found.coef_[0, 0]), float(found.intercept_[0])


def _constant(values: np.ndarray) -> tf.Variable:
    return tf.Variable(np.asarray(values), dtype=tf.float32, trainable=False)
