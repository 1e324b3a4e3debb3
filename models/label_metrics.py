"""Metrics of tasks with labels, and how far a model's lie from its baseline's, with bootstrap intervals.

Values are what models predict: of a binary task the probability of each target, of classes that of each class, else amounts.
A metric of several targets is the mean over those for which there is one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from models.metrics import Interval, Sampled

BINS = 10  # of the calibration error
TOP = 0.1  # share of the users that lift looks at
LEAST = 1e-7  # of a probability
LEAST_IS_BEST = ("log_loss", "calibration_error", "mae", "mse")


def roc_auc(labels: np.ndarray, values: np.ndarray) -> float:
    """The chance that one that happened has the higher value than one that did not; half for equal ones."""
    happened = labels > 0.5
    ones, zeros = happened.sum(), (~happened).sum()
    if not ones or not zeros:
        return np.nan
    return (rankdata(values)[happened].sum() - ones * (ones + 1) / 2) / (ones * zeros)


def pr_auc(labels: np.ndarray, values: np.ndarray) -> float:
    """Average precision; equal values are one threshold."""
    happened = labels > 0.5
    if not happened.any():
        return np.nan
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)  # of equal values
    hits = np.cumsum(happened[order])[last]
    precision = hits / (np.flatnonzero(last) + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def log_loss(labels: np.ndarray, values: np.ndarray) -> float:
    """Mean of less the logarithm of the probability of what came; of classes too."""
    if values.ndim == 2:
        came = values[np.arange(len(labels)), labels.astype(int)]
    else:
        came = np.where(labels > 0.5, values, 1 - values)
    return float(-np.log(np.clip(came, LEAST, 1)).mean())


def calibration_error(labels: np.ndarray, values: np.ndarray) -> float:
    """How far, in the mean over tenths of the rows by value, what was predicted lies from what happened."""
    parts = np.array_split(np.argsort(values, kind="stable"), BINS)
    return float(sum(abs((labels[part] - values[part]).sum()) for part in parts) / len(labels))


def lift(labels: np.ndarray, values: np.ndarray) -> float:
    """How many times as often it happened among the tenth of the highest values; equal ones count with their mean."""
    if not labels.sum():
        return np.nan
    most = max(1, round(TOP * len(labels)))
    edge = np.partition(values, -most)[-most]
    above, level = values > edge, values == edge
    found = labels[above].sum() + labels[level].mean() * (most - above.sum())
    return float(found / most / labels.mean())


def accuracy(labels: np.ndarray, values: np.ndarray) -> float:
    """The share of rows whose class has the highest value."""
    return float((values.argmax(axis=1) == labels).mean())


def f1_macro(labels: np.ndarray, values: np.ndarray) -> float:
    """The mean over the classes, of those that came or were predicted, of the harmonic mean of precision and recall."""
    predicted, labels, classes = values.argmax(axis=1), labels.astype(int), values.shape[1]
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    both = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    return float((2 * hits / np.maximum(both, 1))[both > 0].mean())


def mae(labels: np.ndarray, values: np.ndarray) -> float:
    return float(np.abs(labels - values).mean())


def mse(labels: np.ndarray, values: np.ndarray) -> float:
    return float(((labels - values) ** 2).mean())


def spearman(labels: np.ndarray, values: np.ndarray) -> float:
    """The correlation of ranks; 0 where all values are equal."""
    ranks = [rankdata(x) for x in (labels, values)]
    if np.ptp(ranks[0]) == 0 or np.ptp(ranks[1]) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


METRICS = {
    each.__name__: each
    for each in (
        roc_auc,
        pr_auc,
        log_loss,
        calibration_error,
        lift,
        accuracy,
        f1_macro,
        mae,
        mse,
        spearman,
    )
}


def measured(
    names: Sequence[str],
    labels: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    absent: float = 0.0,
) -> dict[str, float]:
    """Each metric of a task's rows; `absent` where it has none at all.

    labels, weights  (rows, targets);  values  likewise, or (rows, classes). A weight of 0: there is no answer.
    """
    is_classes = labels.shape[1] == 1 < values.shape[1]
    columns = []
    for target in range(labels.shape[1]):
        asked = weights[:, target] > 0
        if asked.any():
            columns.append((labels[asked, target], values[asked] if is_classes else values[asked, target]))
    found = {}
    for name in names:
        each = np.array([METRICS[name](*column) for column in columns])
        found[name] = float(each[~np.isnan(each)].mean()) if (~np.isnan(each)).any() else absent
    return found


def aligned(values: np.ndarray, own: Sequence[str], names: Sequence[str], head: str) -> np.ndarray:
    """What a model says of its `own` targets or classes, (rows, own), as of others by their `names`: (rows, names).

    own tea jam   names jam milk       (classes)
    0.7 0.3                        ->  0.3 0.0     NaN in place of 0.0 where these are targets: nothing is said

    A model cannot predict a class that it does not know.
    """
    absent = 0.0 if head == "classes" else np.nan
    found: np.ndarray = np.full((len(values), len(names)), absent, values.dtype)
    for place, name in enumerate(names):
        if name in own:
            found[:, place] = values[:, list(own).index(name)]
    return found


def sampled(
    names: Sequence[str],
    labels: np.ndarray,
    weights: np.ndarray,
    values: Mapping[str, np.ndarray],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, Sampled]]:
    """Of each model each metric, of all users and of each resample of them.

    labels, weights, values  as in `measured`; values by model
    A resample draws users, each with all answers and with what every model said of them, so that models are paired.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[dict[str, float]]] = {model: [] for model in values}
    for _ in range(resamples):
        users = rng.integers(len(labels), size=len(labels))
        for model, each in values.items():
            drawn[model].append(measured(names, labels[users], each[users], weights[users]))
    found = {}
    for model, each in values.items():
        whole = measured(names, labels, each, weights)
        found[model] = {
            name: Sampled(len(labels), whole[name], np.array([of[name] for of in drawn[model]]))
            for name in names
        }
    return found


def compared(
    names: Sequence[str],
    labels: np.ndarray,
    weights: np.ndarray,
    values: Mapping[str, np.ndarray],
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Of each model each metric's `value` and its `difference` to that of the first model, the baseline: see `sampled`."""
    (baseline, *_), found = values, sampled(names, labels, weights, values, resamples, seed)
    return {
        model: {
            name: {
                "value": each.interval(confidence),
                "difference": (each - found[baseline][name]).interval(confidence),
            }
            for name, each in of_model.items()
        }
        for model, of_model in found.items()
    }
