"""What a policy would have come to, from the log of another one that chose by lot with chances that are known.

A policy gives each action its chance in a situation; `weight` is the chance of what was done by the policy, over that by
which it was done.

ips    mean of weight * reward: unbiased (Horvitz and Thompson, 1952; Li et al., 2011, "Unbiased Offline Evaluation of
       Contextual-bandit-based News Article Recommendation Algorithms")
snips  the same, divided by the mean weight: hardly biased, and it varies less (Swaminathan and Joachims, 2015, "The
       Self-Normalized Estimator for Counterfactual Learning")
dr     what a model expects of the policy, and the weighted mean of how far the model was off: unbiased where either the
       chances or the model are right (Dudik, Langford and Li, 2011, "Doubly Robust Policy Evaluation and Learning")
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.metrics.intervals import Sampled, sampled_means

ESTIMATORS = ("ips", "snips", "dr")


class Log(NamedTuple):
    """What was done, one element a time."""

    users: np.ndarray  # (times,) whose: a user's times are not drawn apart
    actions: np.ndarray  # (times,) int
    rewards: np.ndarray  # (times,)
    chances: np.ndarray  # (times,) of the action, above 0


def off_policy(
    log: Log, policy: np.ndarray, expected: np.ndarray, resamples: int, seed: int
) -> dict[str, Sampled]:
    """The policy's mean reward by each of the ESTIMATORS, of all users and of each resample of them.

    policy    (times, actions): its chances, 1 in each row;  expected  (times, actions): a model's mean rewards

    policy    expected  action  reward  chance   weight  weight * reward  dr
    0.5 0.5   0.2 0.4   1       1       0.25     2.0     2.0              0.3 + 2.0 * (1 - 0.4) = 1.5
    1.0 0.0   0.2 0.4   1       0       0.25     0.0     0.0              0.2 + 0.0            = 0.2
                                                         ips 1.0          dr 0.85;  snips 2.0 / 2.0 = 1.0
    """
    check(log, policy, expected)
    at = np.arange(len(log.actions)), log.actions
    weight = policy[at] / log.chances
    model = (policy * expected).sum(axis=1)
    columns = (
        weight * log.rewards,
        weight,
        model + weight * (log.rewards - expected[at]),
        np.ones(len(weight)),
    )
    weighted, weights, doubly, times = _by_user(log, columns, resamples, seed)
    return {"ips": _over(weighted, times), "snips": _over(weighted, weights), "dr": _over(doubly, times)}


def on_policy(log: Log, resamples: int, seed: int) -> Sampled:
    """The mean reward of the policy that made the log, paired with `off_policy` of the same log, resamples and seed."""
    return _over(*_by_user(log, (log.rewards, np.ones(len(log.rewards))), resamples, seed))


def effective_times(log: Log, policy: np.ndarray) -> float:
    """As many times of the policy's own as the log is worth (Kish, 1965): 0 where it never did what the policy does."""
    weight = policy[np.arange(len(log.actions)), log.actions] / log.chances
    return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0


def check(log: Log, policy: np.ndarray, expected: np.ndarray) -> None:
    """Refuses chances that are none."""
    if not (log.chances > 0).all() or (log.chances > 1).any():
        raise ValueError(f"chances must lie in (0, 1], got {log.chances.min()} to {log.chances.max()}")
    if policy.shape != expected.shape or not np.allclose(policy.sum(axis=1), 1):
        raise ValueError(
            f"expected chances of a policy, 1 in each row, beside {expected.shape} rewards, got {policy.shape} with sums "
            f"from {policy.sum(axis=1).min()} to {policy.sum(axis=1).max()}"
        )


def _by_user(log: Log, columns: Sequence[np.ndarray], resamples: int, seed: int) -> list[Sampled]:
    """The mean over users of each column, (times,), added up over a user's times."""
    _, user = np.unique(log.users, return_inverse=True)
    return sampled_means(np.stack([np.bincount(user, each) for each in columns], axis=1), resamples, seed)


def _over(one: Sampled, other: Sampled) -> Sampled:
    """The ratio of two sums; NaN where nothing is below."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return Sampled(one.users, float(np.divide(one.value, other.value)), one.drawn / other.drawn)
