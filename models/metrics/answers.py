"""Metrics of answers to a question: of all rows, and of resamples of them, by how often each row was drawn.

Each takes `Rows` and `counts`, (resamples, rows), and gives (resamples,) float64: what it would be of rows that stand there
as often as they were drawn, without sorting them again. NaN where there is none, such as a ROC-AUC where nothing happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BINS = 10  # of the calibration error
TOP = 0.1  # share of the rows that lift looks at
LEAST = 1e-7  # of a probability
LIKELY = 0.5  # from here on a probability is a yes


class Order:
    """Rows by a value, the lowest first; equal ones are a group."""

    def __init__(self, values: np.ndarray):
        self.rows = np.argsort(values, kind="stable")  # (rows,)
        self.starts = np.flatnonzero(np.diff(values[self.rows], prepend=np.nan) != 0)  # (groups,)

    def sums(self, counts: np.ndarray) -> np.ndarray:
        """(resamples, rows) -> (resamples, groups)."""
        in_order = np.take(counts, self.rows, axis=1)
        return (
            in_order if len(self.starts) == len(self.rows) else np.add.reduceat(in_order, self.starts, axis=1)
        )

    def ranks(self, counts: np.ndarray) -> np.ndarray:
        """The mean rank of each row among all that were drawn, (resamples, rows)."""
        each = self.sums(counts)
        of_group = np.cumsum(each, axis=1) - (each - 1) / 2
        found = np.empty(counts.shape)
        found[:, self.rows] = np.repeat(of_group, np.diff(self.starts, append=len(self.rows)), axis=1)
        return found


@dataclass(frozen=True)
class Rows:
    """What happened, and what a model said of it."""

    labels: np.ndarray  # (rows,): 0 or 1, the number of a class, or an amount
    values: np.ndarray  # (rows,): a probability or an amount; (rows, classes): those of classes

    @cached_property
    def happened(self) -> np.ndarray:
        return (self.labels > 0.5).astype(np.float64)

    @cached_property
    def is_likely(self) -> np.ndarray:
        return (self.values >= LIKELY).astype(np.float64)

    @cached_property
    def by_value(self) -> Order:
        return Order(self.values)

    @cached_property
    def by_label(self) -> Order:
        return Order(self.labels)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The class of the highest value, (rows,)."""
        return self.values.argmax(axis=1)


Metric = Callable[[Rows, np.ndarray], np.ndarray]


def roc_auc(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The chance that one that happened has the higher value than one that did not; half for equal ones."""
    ones = rows.by_value.sums(counts * rows.happened)
    zeros = rows.by_value.sums(counts) - ones
    beaten = np.cumsum(zeros, axis=1) - zeros / 2
    return _divided((ones * beaten).sum(axis=1), ones.sum(axis=1) * zeros.sum(axis=1))


def pr_auc(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """Average precision; equal values are one threshold."""
    ones = rows.by_value.sums(counts * rows.happened)[:, ::-1]
    drawn = np.cumsum(rows.by_value.sums(counts)[:, ::-1], axis=1)
    hits = np.cumsum(ones, axis=1)
    precision = np.divide(hits, drawn, out=np.zeros_like(hits), where=drawn > 0)
    return _divided((ones * precision).sum(axis=1), hits[:, -1])


def log_loss(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """Mean of less the logarithm of the probability of what came; of classes too."""
    if rows.values.ndim == 2:
        came = rows.values[np.arange(len(rows.labels)), rows.labels.astype(int)]
    else:
        came = np.where(rows.labels > 0.5, rows.values, 1 - rows.values)
    return _mean(-np.log(np.clip(came, LEAST, 1)), counts)


def calibration_error(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """How far, in the mean over tenths of the rows by value, what was predicted lies from what happened."""
    order = rows.by_value.rows
    missed, in_order = (rows.labels - rows.values)[order], np.take(counts, order, axis=1)
    drawn, so_far = np.cumsum(in_order, axis=1), np.cumsum(in_order * missed, axis=1)
    size, more = np.divmod(drawn[:, -1:].astype(int), BINS)  # the first `more` tenths have one row more
    ends = np.arange(1, BINS + 1) * size + np.minimum(np.arange(1, BINS + 1), more)  # (resamples, BINS)
    # The tenth ends among the copies of this row, of which it has some.
    last = np.stack([np.searchsorted(each, end) for each, end in zip(drawn, ends, strict=True)])
    lacking = np.take_along_axis(drawn, last, axis=1) - ends
    at_ends = np.take_along_axis(so_far, last, axis=1) - lacking * missed[last]
    return _divided(np.abs(np.diff(at_ends, axis=1, prepend=0)).sum(axis=1), counts.sum(axis=1))


def lift(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """How many times as often it happened among the tenth of the highest values; equal ones count with their mean."""
    ones = np.cumsum(rows.by_value.sums(counts * rows.labels)[:, ::-1], axis=1)
    drawn = np.cumsum(rows.by_value.sums(counts)[:, ::-1], axis=1)
    found = np.empty(len(counts))
    for resample, (hits, upto) in enumerate(zip(ones, drawn, strict=True)):
        most = max(1, round(TOP * upto[-1]))
        found[resample] = np.interp(most, np.append(0, upto), np.append(0, hits)) / most
    return _divided(found * drawn[:, -1], ones[:, -1])


def accuracy(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The share of rows whose class has the highest value."""
    return _mean(rows.predicted == rows.labels, counts)


def precision(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The share that happened among the rows with a probability of at least LIKELY; NaN where there is none."""
    return _divided(counts @ (rows.happened * rows.is_likely), counts @ rows.is_likely)


def recall(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The share with a probability of at least LIKELY among the rows where it happened; NaN where it never did."""
    return _divided(counts @ (rows.happened * rows.is_likely), counts @ rows.happened)


def f1(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The harmonic mean of these two (van Rijsbergen, 1979); NaN where nothing happened and nothing is likely."""
    return _divided(
        2 * (counts @ (rows.happened * rows.is_likely)), counts @ (rows.happened + rows.is_likely)
    )


def precision_macro(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The mean over the classes, of those that came or were predicted, of the share that came where it was predicted.

    0 of a class that was never predicted.
    """
    hits, came, said = _by_class(rows, counts)
    return _mean_of_classes(hits, said, came + said)


def recall_macro(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """Likewise of the share that was predicted where it came; 0 of a class that never came."""
    hits, came, said = _by_class(rows, counts)
    return _mean_of_classes(hits, came, came + said)


def f1_macro(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """Likewise of the harmonic mean of precision and recall."""
    hits, came, said = _by_class(rows, counts)
    return _mean_of_classes(2 * hits, came + said, came + said)


def mae(rows: Rows, counts: np.ndarray) -> np.ndarray:
    return _mean(np.abs(rows.labels - rows.values), counts)


def mse(rows: Rows, counts: np.ndarray) -> np.ndarray:
    return _mean((rows.labels - rows.values) ** 2, counts)


def r2(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The share of the labels' variance that is explained; NaN where all are equal."""
    middle = _mean(rows.labels, counts)
    variance = _mean(rows.labels.astype(np.float64) ** 2, counts) - middle**2
    return 1 - _divided(mse(rows, counts), np.where(variance > 1e-12, variance, 0.0))


def spearman(rows: Rows, counts: np.ndarray) -> np.ndarray:
    """The correlation of ranks; 0 where all values, or all labels, are equal."""
    total = counts.sum(axis=1)
    middle = (total[:, None] + 1) / 2
    labels, values = (order.ranks(counts) - middle for order in (rows.by_label, rows.by_value))
    spread = np.sqrt((counts * labels**2).sum(axis=1) * (counts * values**2).sum(axis=1))
    both = (counts * labels * values).sum(axis=1)
    return np.where(total > 0, np.divide(both, spread, out=np.zeros_like(both), where=spread > 0), np.nan)


METRICS: dict[str, Metric] = {
    each.__name__: each
    for each in (
        roc_auc,
        pr_auc,
        log_loss,
        calibration_error,
        lift,
        precision,
        recall,
        f1,
        accuracy,
        precision_macro,
        recall_macro,
        f1_macro,
        mae,
        mse,
        r2,
        spearman,
    )
}


def of_all(metric: Metric, labels: np.ndarray, values: np.ndarray) -> float:
    """A metric of rows as they are: labels (rows,), values (rows,) or (rows, classes)."""
    return float(metric(Rows(labels, values), np.ones((1, len(labels))))[0])


def _by_class(rows: Rows, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of each class that were predicted and came, that came, and that were predicted: (resamples, classes)."""
    each = np.eye(rows.values.shape[1])
    came, said = each[rows.labels.astype(int)], each[rows.predicted]  # (rows, classes)
    return counts @ (came * said), counts @ came, counts @ said


def _mean_of_classes(sums: np.ndarray, by: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The mean of sums / by, 0 where by is, over the classes that are there: (resamples, classes) x 3 -> (resamples,)."""
    return _divided((sums / np.maximum(by, 1)).sum(axis=1), (there > 0).sum(axis=1))


def _mean(of_rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return _divided(counts @ of_rows.astype(np.float64), counts.sum(axis=1))


def _divided(sums: np.ndarray, by: np.ndarray) -> np.ndarray:
    """sums / by, NaN where there is nothing to divide by."""
    return np.divide(sums, by, out=np.full(len(sums), np.nan), where=by > 0)
