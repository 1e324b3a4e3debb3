"""Which of some actions to take, where each has been tried: by what they came to, and how little is known of it."""

import numpy as np

WIDTH = 2.0  # standard errors above the mean
RIDGE = 1.0  # of the regressions: what is known before anything is


class LinUCB:
    """A ridge regression of the reward of each action on its inputs, and the action with the highest upper end.

    Li, Chu, Langford and Schapire, 2010, "A Contextual-Bandit Approach to Personalized News Article Recommendation",
    algorithm 1, whose alpha is here WIDTH times the standard deviation of the rewards.
    """

    def __init__(self, inputs: np.ndarray, actions: np.ndarray, rewards: np.ndarray, count: int):
        """inputs (times, width) of the action that was taken, actions (times,) int below `count`, rewards (times,)."""
        width = inputs.shape[1]
        self.inverse = np.empty((count, width, width))
        self.weights = np.empty((count, width))
        for action in range(count):
            tried = actions == action
            self.inverse[action] = np.linalg.inv(RIDGE * np.eye(width) + inputs[tried].T @ inputs[tried])
            self.weights[action] = self.inverse[action] @ inputs[tried].T @ rewards[tried]
        self.alpha = WIDTH * (float(rewards.std()) if len(rewards) else 1.0)

    def upper(self, inputs: np.ndarray) -> np.ndarray:
        """(times, actions, width) -> (times, actions): what each may well be worth."""
        mean = np.einsum("taw,aw->ta", inputs, self.weights)
        error = np.sqrt(np.einsum("taw,awv,tav->ta", inputs, self.inverse, inputs))
        return mean + self.alpha * error


def reranked(
    answers: np.ndarray, actions: np.ndarray, rewards: np.ndarray, periods: np.ndarray
) -> np.ndarray:
    """What LinUCB takes on top of a model: (times, actions), 1 for the action, 0 in the first period.

    In each period it has learnt from those before it. Its inputs of an action are a one and what the model expects of it.

    answers  (times, actions) what a model expects of each;  periods  (times,) int, from 0
    """
    inputs = np.stack([np.ones_like(answers), answers], axis=2)  # (times, actions, 2)
    taken = inputs[np.arange(len(actions)), actions]  # (times, 2)
    policy = np.zeros_like(answers)
    for period in range(1, periods.max() + 1):
        before, now = periods < period, periods == period
        bandit = LinUCB(taken[before], actions[before], rewards[before], answers.shape[1])
        policy[now] = best(bandit.upper(inputs[now]))
    return policy


def best(values: np.ndarray) -> np.ndarray:
    """(times, actions) -> likewise: 1 for the largest, the first of equal ones."""
    return np.eye(values.shape[1])[values.argmax(axis=1)]
