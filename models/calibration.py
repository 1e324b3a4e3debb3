"""Makes probabilities of a head's outputs that come true as often as they say, by rows that no weight was trained on.

temperature  outputs divided by one number and, against what class weights put in, moved by one of each class (Guo et al.,
             2017, "On Calibration of Modern Neural Networks"; Alexandari, Kundaje and Shrikumar, 2020, "Maximum Likelihood
             with Bias-Corrected Calibration"); of a binary head the line of a logistic regression (Platt, 1999)
isotonic     a rising curve of the probability, straight between its points (Zadrozny and Elkan, 2002); binary heads only
macro_f1     of classes, as `temperature`, and then each moved so that the class with the highest value has the highest macro
             F1: for who wants to be told of rare classes. The values no longer come true as often as they say
"""

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from models.metrics.answers import Rows, f1_macro

LEAST = 1e-6  # of a probability
LEANING = 1.0  # rows that pull the shift of a class to 0: of one that never came nothing else would hold it
STEPS = np.linspace(-6.0, 6.0, 49)  # shifts that are tried for the macro F1
ROUNDS = 3  # through all classes


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
    """softmax(outputs / temperature + shifts); shifts (classes,)."""

    def __init__(self, temperature: float, shifts: np.ndarray):
        super().__init__()
        self.temperature = tf.Variable(temperature, dtype=tf.float32, trainable=False)
        self.shifts = tf.Variable(shifts, dtype=tf.float32, trainable=False)

    def __call__(self, outputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(outputs / self.temperature + self.shifts)


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
        return _of_classes(kind, outputs[weights[:, 0] > 0], labels[weights[:, 0] > 0, 0].astype(int))
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


def _of_classes(kind: str, outputs: np.ndarray, places: np.ndarray) -> Temperature | None:
    """(rows, classes), (rows,) int."""
    if not len(places):
        return None
    wide, rows = outputs.astype(np.float64), np.arange(len(places))
    came = np.bincount(places, minlength=wide.shape[1]) / len(places)

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        """The mean loss at (logarithm of 1 / temperature, shifts), and its gradient."""
        slope, shifts = np.exp(at[0]), at[1:]
        logs = log_softmax(slope * wide + shifts, axis=1)
        off = np.exp(logs)
        off[rows, places] -= 1  # of the loss by the outputs
        pull = LEANING / len(places) * shifts
        gradient = np.append(slope * (off * wide).sum(axis=1).mean(), off.mean(axis=0) + pull)
        return float(-logs[rows, places].mean() + 0.5 * pull @ shifts), gradient

    bounds = [(-3.0, 3.0)] + [(-12.0, 12.0)] * len(came)
    found = minimize(loss, np.zeros(1 + len(came)), jac=True, method="L-BFGS-B", bounds=bounds).x
    slope, shifts = np.exp(found[0]), found[1:]
    if kind == "macro_f1":
        shifts = shifts + _deciding(slope * wide + shifts, places)
    return Temperature(float(1 / slope), shifts)


def _deciding(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """What each class is moved by, (classes,), for the highest macro F1; one after the other, of equals the least."""
    moved: np.ndarray = np.zeros(values.shape[1])
    once = np.ones((1, len(places)))
    for _ in range(ROUNDS):
        before = moved.copy()
        for each in range(len(moved)):
            tried = []
            for step in sorted(STEPS, key=abs):
                moved[each] = before[each] + step
                tried.append((float(f1_macro(Rows(places, values + moved), once)[0]), moved[each]))
            moved[each] = max(tried, key=lambda one: one[0])[1]
        if (moved == before).all():
            break
    return moved
