"""Makes probabilities of a head's outputs that come true as often as they say, by rows that no weight was trained on.

temperature  outputs divided by one number (Guo et al., 2017, "On Calibration of Modern Neural Networks"); of a binary head
             the line of a logistic regression (Platt, 1999), which also takes back what class weights put in
isotonic     a rising curve of the probability, straight between its points (Zadrozny and Elkan, 2002); binary heads only
"""

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

LEAST = 1e-6  # of a probability


class Line(tf.Module):
    """sigmoid(slope * output + shift)."""

    def __init__(self, slope: float, shift: float):
        super().__init__()
        self.line = tf.Variable([slope, shift], dtype=tf.float32, trainable=False)

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(self.line[0] * outputs + self.line[1])


class Curve(tf.Module):
    """The probability `there` where sigmoid(output) is `at`, straight between; both (points,), `at` rising."""

    def __init__(self, at: np.ndarray, there: np.ndarray):
        super().__init__()
        if len(at) == 1:  # one level
            at, there = np.append(at, at + 1), np.append(there, there)
        self.at, self.there = (tf.Variable(x, dtype=tf.float32, trainable=False) for x in (at, there))

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(tf.sigmoid(outputs), [-1])
        right = tf.clip_by_value(tf.searchsorted(self.at, x), 1, tf.size(self.at) - 1)
        low, high = tf.gather(self.at, right - 1), tf.gather(self.at, right)
        share = tf.clip_by_value(tf.math.divide_no_nan(x - low, high - low), 0.0, 1.0)
        value = (1 - share) * tf.gather(self.there, right - 1) + share * tf.gather(self.there, right)
        return tf.reshape(value, tf.shape(outputs))


class Temperature(tf.Module):
    """softmax(outputs / temperature)."""

    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = tf.Variable(temperature, dtype=tf.float32, trainable=False)

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(outputs / self.temperature)


Calibration = Line | Curve | Temperature


def fit(
    kind: str, head: str, outputs: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> Calibration | None:
    """The calibration of this kind by some rows; none where there is nothing to fit it by, or nothing is asked for.

    outputs  (rows, targets), of classes (rows, classes);  labels, weights  (rows, targets)
    """
    if kind == "none":
        return None
    if head == "classes":
        return _temperature(outputs[weights[:, 0] > 0], labels[weights[:, 0] > 0, 0].astype(int))
    asked = weights > 0
    x, y, w = outputs[asked].astype(np.float64), labels[asked] > 0.5, weights[asked]
    if not 0 < y.sum() < len(y):
        return None
    if kind == "isotonic":
        curve = IsotonicRegression(y_min=LEAST, y_max=1 - LEAST, out_of_bounds="clip")
        curve.fit(1 / (1 + np.exp(-x)), y, sample_weight=w)
        return Curve(curve.X_thresholds_, curve.y_thresholds_)
    line = LogisticRegression(C=1e6).fit(x[:, None], y, sample_weight=w)
    slope, shift = float(line.coef_[0, 0]), float(line.intercept_[0])
    return Line(slope, shift) if slope > 0 else None  # it must not turn an order round


def _temperature(outputs: np.ndarray, places: np.ndarray) -> Temperature | None:
    """(rows, classes), (rows,) int."""
    if not len(places):
        return None

    def loss(logarithm: float) -> float:
        scaled = outputs.astype(np.float64) / np.exp(logarithm)
        top = scaled.max(axis=1)
        total = np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top
        return float((total - scaled[np.arange(len(places)), places]).mean())

    found = minimize_scalar(loss, bounds=(-3.0, 3.0), method="bounded")
    return Temperature(float(np.exp(found.x)))
