"""The effect of a treatment, told from a task that asks what comes of the held out and of the treated: `task.label.arms`.

A target is an arm and an outcome, as `treated spend`; a user has an answer to those of one arm. A model of all targets is
two-headed: one network with an end for each arm, of which a row trains its own (TARNet: Shalit, Johansson and Sontag, 2017,
"Estimating individual treatment effect"). The effect is by how much its predictions for both arms differ. The propensity of
the lot is in the weights of answers: one over the share of the arm.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LinearRegression, LogisticRegression

from models.answers import Answers


class Arms(NamedTuple):
    """Where an outcome stands among the targets: of those held out, and of those treated."""

    held_out: int
    treated: int


class Trial(NamedTuple):
    """One outcome of users, each in one arm."""

    rows: np.ndarray  # (users,) int: their places among the answers
    treated: np.ndarray  # (users,) bool
    outcome: np.ndarray  # (users,) float32
    weights: np.ndarray  # (users,) float32: one over the share of the arm, up to a factor


def outcomes_of(names: Sequence[str], arms: Sequence[str]) -> dict[str, Arms]:
    """outcome -> its places, of those that both arms have: (control a, control b, treated a) gives a: (0, 2)."""
    held_out, treated = (
        {
            name.removeprefix(f"{arm} "): place
            for place, name in enumerate(names)
            if name.startswith(f"{arm} ")
        }
        for arm in arms
    )
    return {
        outcome: Arms(place, treated[outcome]) for outcome, place in held_out.items() if outcome in treated
    }


def trial_of(labels: np.ndarray, weights: np.ndarray, arms: Arms) -> Trial:
    """labels, weights (rows, targets): the rows that have an answer, and in which arm."""
    of_arms = weights[:, list(arms)] > 0  # (rows, 2)
    rows = np.flatnonzero(of_arms.sum(axis=1) == 1)
    treated = of_arms[rows, 1]
    place = np.where(treated, arms.treated, arms.held_out)
    return Trial(rows, treated, labels[rows, place], weights[rows, place])


def class_transformation(inputs: np.ndarray, trial: Trial, asked: np.ndarray) -> np.ndarray:
    """The effect that one regression says of users: (rows, inputs), their trial, (asked, inputs) -> (asked,).

    Of what happens or does not: 2 P(z) - 1 of a logistic regression of z, that a treated user had it or a held-out one had
    not, where arms weigh alike (Jaskowski and Jaroszewicz, 2012, "Uplift modeling for clinical trial data"). Of amounts a
    linear regression of the outcome over the propensity of its arm, negative where it is held out, whose mean is the effect
    (Athey and Imbens, 2016, "Recursive partitioning for heterogeneous causal effects").
    """
    known, weights = inputs[trial.rows], trial.weights.astype(np.float64)
    if set(np.unique(trial.outcome)) <= {0.0, 1.0}:
        z = trial.treated == (trial.outcome > 0.5)
        if z.all() or not z.any():
            return np.full(len(asked), 2.0 * z.mean() - 1.0)
        fitted = LogisticRegression(max_iter=1000).fit(known, z, sample_weight=weights)
        return 2 * fitted.predict_proba(asked)[:, 1] - 1
    propensity = trial.treated.mean()
    over = np.where(trial.treated, 1 / propensity, -1 / (1 - propensity))
    return LinearRegression().fit(known, over * trial.outcome).predict(asked)


def inputs_of(features: np.ndarray, answers: Answers) -> np.ndarray:
    """What regressions look at: a user's features and what the task's baseline knows, (rows, features + 1)."""
    return np.concatenate([features, answers.naive[:, :1]], axis=1)
