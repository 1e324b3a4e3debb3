"""Metrics of predictions beside what happened: of labels, of probabilities and of numbers.

scikit-learn's own definitions where it has the metric; the calibration error is here.
"""

import numpy as np
from sklearn import metrics as sk

BINS = 15  # of the calibration error


def labels(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Of predicted classes: `accuracy`, and `precision`, `recall`, `f1`, each `_micro` and `_macro`.

    truth, predicted  (rows,) of any labels
    accuracy   share of rows with the right label
    precision  of a class: rows of it among those predicted as it;  recall: predicted as it among rows of it;
               f1: their harmonic mean (van Rijsbergen, 1979). 0 where there is nothing to divide by.
    _macro     the mean over the classes that either has;  _micro: over all decisions together, which is the accuracy where
               each row has one class
    """
    truth, predicted = _beside(truth, predicted)
    found = {"accuracy": float(sk.accuracy_score(truth, predicted))}
    for average in ("micro", "macro"):
        values = sk.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
        found |= {
            f"{n}_{average}": float(v) for n, v in zip(("precision", "recall", "f1"), values, strict=False)
        }
    return found


def probabilities(truth: np.ndarray, predicted: np.ndarray, bins: int = BINS) -> dict[str, float]:
    """Of a probability of something that happened or did not: `roc_auc`, `pr_auc`, `log_loss`, `ece`.

    truth      (rows,) 0 or 1;  predicted  (rows,) in [0, 1]
    roc_auc    probability that one that happened has the higher prediction than one that did not, half for equal ones
               (Fawcett, 2006); NaN where all happened or none
    pr_auc     average precision: precision at each threshold, weighed by the recall it adds, equal predictions one
               threshold (Davis and Goadrich, 2006: a trapezoid would be too kind); NaN where none happened
    log_loss   mean of -log of the probability given to what came, in nats; a prediction of 0 or 1 counts as the next number
    ece        expected calibration error, `expected_calibration_error`
    """
    truth, predicted = _beside(truth, predicted)
    both = 0 < truth.sum() < len(truth)
    return {
        "roc_auc": float(sk.roc_auc_score(truth, predicted)) if both else float("nan"),
        "pr_auc": float(sk.average_precision_score(truth, predicted)) if truth.any() else float("nan"),
        "log_loss": float(sk.log_loss(truth, predicted, labels=[0, 1])),
        "ece": expected_calibration_error(truth, predicted, bins),
    }


def expected_calibration_error(truth: np.ndarray, predicted: np.ndarray, bins: int = BINS) -> float:
    """How far probabilities lie from shares: the mean over `bins` of equal width, weighed by their rows, of
    |mean prediction - share that happened| (Naeini et al., 2015, "Obtaining Well Calibrated Probabilities Using Bayesian
    Binning"). A bin holds its lower edge; the last one holds 1 too.
    """
    truth, predicted = _beside(truth, predicted)
    if bins < 1 or not ((predicted >= 0) & (predicted <= 1)).all():
        raise ValueError(f"expected probabilities in [0, 1] and bins >= 1, got {predicted} and {bins}")
    bin_of = np.minimum((predicted * bins).astype(int), bins - 1)
    surplus = np.bincount(bin_of, predicted - truth, bins)  # (bins,): rows x (mean prediction - share)
    return float(np.abs(surplus).sum() / len(truth))


def numbers(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Of predicted numbers: `mae` and `mse`, the mean of |error| and of error², in the unit of `truth` and its square."""
    truth, predicted = _beside(truth, predicted)
    return {
        "mae": float(sk.mean_absolute_error(truth, predicted)),
        "mse": float(sk.mean_squared_error(truth, predicted)),
    }


def _beside(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape or truth.ndim != 1 or not len(truth):
        raise ValueError(
            f"truth has the shape {truth.shape} and the predictions {predicted.shape}: expected one value a row in both"
        )
    return truth, predicted
