"""The mean effect of a treatment that was not given by lot, as far as what is known of the users explains who got it.

An estimate from observation: what decides who is treated and is not among the inputs biases it, and nothing here can tell.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

FOLDS = 5
TRIM = 0.1
"""Rows are left out whose chance to be treated is nearer to 0 or 1 (Crump et al., 2009, "Dealing with limited overlap")."""


class Effect(NamedTuple):
    """A mean effect on the rows that are kept, in the outcome's unit."""

    mean: float
    low: float
    high: float
    plain: float  # the means of the arms, apart, of the same rows: confounded


class Balance(NamedTuple):
    """How far the arms' means of each input lie apart, in standard deviations: as they are, and weighed; (inputs,) each."""

    before: np.ndarray
    after: np.ndarray


def propensities(inputs: np.ndarray, treated: np.ndarray, users: np.ndarray) -> np.ndarray:
    """The chance of each row to be treated, by a logistic regression of other users' rows: (rows,).

    inputs  (rows, inputs);  treated  (rows,) bool;  users  (rows,) of any ids: a user's rows are in one of FOLDS folds
    """
    found = np.empty(len(treated))
    for known, asked in GroupKFold(FOLDS).split(inputs, groups=users):
        model: Pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        found[asked] = model.fit(inputs[known], treated[known]).predict_proba(inputs[asked])[:, 1]
    return found


def has_overlap(propensity: np.ndarray) -> np.ndarray:
    """Which rows are kept: (rows,) bool."""
    return (propensity >= TRIM) & (propensity <= 1 - TRIM)


def mean_effect(
    inputs: np.ndarray,
    treated: np.ndarray,
    outcome: np.ndarray,
    users: np.ndarray,
    propensity: np.ndarray,
    confidence: float,
    seed: int,
) -> Effect:
    """The mean of m1 - m0 + t (y - m1) / e - (1 - t) (y - m0) / (1 - e), over rows that overlap, and its normal interval.

    Augmented inverse propensity weighting (Robins, Rotnitzky and Zhao, 1994), right where either the propensity e or the
    expected outcomes m are; m0 and m1 by boosted trees, of other users' rows as e (cross-fitting: Chernozhukov et al., 2018,
    "Double/debiased machine learning"). The rows of a user go together in the standard error.

    inputs, treated, users  as in `propensities`;  outcome, propensity  (rows,)
    """
    expected = np.empty((2, len(treated)))  # of those held out, of those treated
    for known, asked in GroupKFold(FOLDS).split(inputs, groups=users):
        for arm in (0, 1):
            of_arm = known[treated[known] == bool(arm)]
            model = HistGradientBoostingRegressor(
                max_iter=100, learning_rate=0.05, max_depth=3, random_state=seed
            )
            # OpenMP's threads wait for each other awake: where others use the cores too, seconds would become minutes.
            with threadpool_limits(1, "openmp"):
                expected[arm, asked] = model.fit(inputs[of_arm], outcome[of_arm]).predict(inputs[asked])
    off = outcome - np.where(treated, expected[1], expected[0])
    over = np.where(treated, 1 / propensity, -1 / (1 - propensity))
    kept = has_overlap(propensity)
    effects = (expected[1] - expected[0] + off * over)[kept]
    mean = float(effects.mean())
    by_user = np.bincount(np.unique(users[kept], return_inverse=True)[1], effects - mean)
    reach = float(norm.ppf((1 + confidence) / 2) * np.sqrt((by_user**2).sum()) / len(effects))
    plain = float(outcome[kept & treated].mean() - outcome[kept & ~treated].mean())
    return Effect(mean, mean - reach, mean + reach, plain)


def balance(inputs: np.ndarray, treated: np.ndarray, propensity: np.ndarray) -> Balance:
    """Of all rows, and of those that overlap, each weighed by one over the chance of its arm.

    Austin, 2011, "An Introduction to Propensity Score Methods for Reducing the Effects of Confounding".
    """
    spread = np.sqrt((inputs[treated].var(axis=0) + inputs[~treated].var(axis=0)) / 2)
    spread = np.where(spread > 0, spread, 1.0)
    weights = np.where(treated, 1 / propensity, 1 / (1 - propensity)) * has_overlap(propensity)

    def apart(each: np.ndarray) -> np.ndarray:
        means = [np.average(inputs[arm], axis=0, weights=each[arm]) for arm in (treated, ~treated)]
        return (means[0] - means[1]) / spread

    return Balance(apart(np.ones(len(treated))), apart(weights))
