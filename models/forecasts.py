"""Forecasts of how much of each of many series comes in the next week: three ways to a number, and one to its quantiles.

A forecast is made at each of several origins, a week apart, from what lies before that origin alone.

last_week  the seasonal naive: what the same days of the week before had
smoothing  simple exponential smoothing (Hyndman and Athanasopoulos, 2021, "Forecasting: Principles and Practice", 8.1)
of_buyers  buyers that are expected of all users, times what a buyer takes

Quantiles are those of the errors at earlier origins, in the scale of each series: split conformal prediction with errors
that are normalised (Romano, Patterson and Candès, 2019, "Conformalized Quantile Regression", both ends apart; Lei et al.,
2018, "Distribution-Free Predictive Inference for Regression", 5.2).
"""

import warnings
from collections.abc import Sequence

import numpy as np

LEVELS = (0.1, 0.5, 0.9)
LEANING = 20.0  # buyers that what a buyer took in earlier weeks counts for
LEAST_SCALE = 1.0  # units


def last_week(units: np.ndarray, origins: int) -> np.ndarray:
    """(weeks, series) -> (origins, series): the last of them lies behind the last week."""
    return units[len(units) - origins :]


def smoothing(units: np.ndarray, origins: int) -> np.ndarray:
    """(weeks, series) -> (origins, series): how fast a series forgets is fitted before the first origin, by statsmodels."""
    from statsmodels.tools.sm_exceptions import ConvergenceWarning
    from statsmodels.tsa.holtwinters import SimpleExpSmoothing

    first = len(units) - origins + 1  # weeks before the first origin
    rate, level = np.empty(units.shape[1]), np.empty(units.shape[1])
    with warnings.catch_warnings(), np.errstate(divide="ignore"):  # of series that are all the same
        warnings.simplefilter("ignore", ConvergenceWarning)
        for series, values in enumerate(units[:first].T):
            fitted = SimpleExpSmoothing(values, initialization_method="estimated").fit()
            rate[series], level[series] = fitted.params["smoothing_level"], fitted.level[-1]
    found = [level]
    for week in units[first:]:
        found.append(found[-1] + rate * (week - found[-1]))
    return np.stack(found)


def of_buyers(expected: np.ndarray, units: np.ndarray, per_buyer: np.ndarray) -> np.ndarray:
    """Expected buyers as units: by those that each came to at earlier origins, leaning on what was before the first.

    expected   (origins, series), of which the first has nothing to learn from
    units      (origins - 1, series) what was then sold in the week behind each but the last
    per_buyer  (series,) units that a buyer took in a week before the first origin

    expected  units  per_buyer       after
    10        24     2.0             20
    10        12                     10 * (24 + 20 * 2) / (10 + 20) = 21.3
    """
    nothing: np.ndarray = np.zeros((1, expected.shape[1]))
    came = np.concatenate([nothing, np.cumsum(units, axis=0)])
    said = np.concatenate([nothing, np.cumsum(expected[:-1], axis=0)])
    return expected * (came + LEANING * per_buyer) / (said + LEANING)


def scales(units: np.ndarray) -> np.ndarray:
    """(weeks, series) -> (series,): the mean absolute step from week to week (Hyndman and Koehler, 2006)."""
    return np.maximum(np.abs(np.diff(units, axis=0)).mean(axis=0), LEAST_SCALE)


def quantiles(
    points: np.ndarray,
    units: np.ndarray,
    scale: np.ndarray,
    groups: np.ndarray,
    first: int,
    levels: Sequence[float] = LEVELS,
) -> np.ndarray:
    """Quantiles at each origin from number `first` on: (origins - first, series, levels), none below zero.

    points  (origins, series) forecasts;  units  (origins - 1, series) what came
    scale   (series,) of the errors;  groups  (series,) labels: errors of a group are pooled
    """
    errors = (units - points[:-1]) / scale
    found = np.empty((len(points) - first, points.shape[1], len(levels)))
    for group in np.unique(groups):
        inside = groups == group
        for row, origin in enumerate(range(first, len(points))):
            ends = np.array([conformal(errors[:origin, inside].ravel(), level) for level in levels])
            found[row, inside] = points[origin, inside, None] + scale[inside, None] * ends
    return np.maximum(found, 0.0)


def conformal(errors: np.ndarray, level: float) -> float:
    """The quantile of errors below which the next one lies with the chance `level` at least; above a half at most.

    Errors at 1, 2, ... 9 (level 0.9): 9, for the next one is the largest of ten once in ten times.
    """
    if level < 0.5:
        return -conformal(-errors, 1 - level)
    share = min(1.0, level * (len(errors) + 1) / len(errors))
    return float(np.quantile(errors, share, method="inverted_cdf"))
