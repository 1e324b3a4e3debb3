"""Which action is taken."""

import numpy as np
import pytest

from models.bandits import WIDTH, LinUCB, best, reranked

ONE = np.ones((1, 2, 1))


def test_one_input_of_ones_is_the_mean_of_what_an_action_came_to_and_its_error():
    rewards = np.array([1.0, 0.0, 1.0, 1.0])
    bandit = LinUCB(np.ones((4, 1)), np.array([0, 0, 0, 1]), rewards, 2)
    spread = WIDTH * rewards.std()
    assert bandit.upper(ONE)[0] == pytest.approx([2 / 4 + spread / 2, 1 / 2 + spread / np.sqrt(2)])


def test_what_was_hardly_tried_is_taken_until_it_is_known_to_be_worse():
    rng = np.random.default_rng(2)
    actions = np.r_[np.zeros(500, int), np.ones(3, int)]
    rewards = (rng.random(503) < 0.5).astype(float)
    rewards[-3:] = [0, 1, 0]
    assert LinUCB(np.ones((503, 1)), actions, rewards, 2).upper(ONE).argmax() == 1
    more = np.r_[actions, np.ones(300, int)]
    worse = np.r_[rewards, np.tile([0.0, 0.0, 1.0], 100)]
    assert LinUCB(np.ones((803, 1)), more, worse, 2).upper(ONE).argmax() == 0


def test_inputs_tell_when_which_action_is_best():
    rng = np.random.default_rng(4)
    inputs = np.stack([np.ones(4000), rng.random(4000)], axis=1)
    actions = rng.integers(2, size=4000)
    chance = np.where(actions == 0, inputs[:, 1], 0.5)
    bandit = LinUCB(inputs, actions, (rng.random(4000) < chance).astype(float), 2)
    asked = np.repeat(np.array([[[1.0, 0.2]], [[1.0, 0.8]]]), 2, axis=1)
    assert bandit.upper(asked).argmax(axis=1).tolist() == [1, 0]


def test_of_equal_values_the_first_is_the_best():
    assert best(np.array([[1.0, 1.0], [0.0, 2.0]])).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_each_period_has_learnt_from_those_before_it_and_not_from_its_own():
    """The model expects nothing of either action; the second one is worth more, but for the last period."""
    answers, actions = np.zeros((600, 2)), np.tile([0, 1], 300)
    periods = np.repeat([0, 1, 2], 200)
    rewards = np.where(periods == 2, actions == 0, actions == 1).astype(float)
    policy = reranked(answers, actions, rewards, periods)
    assert policy[periods == 0].tolist() == [[0.0, 0.0]] * 200
    assert policy[periods > 0].tolist() == [[0.0, 1.0]] * 400
    nothing = reranked(answers[:2], actions[:2], rewards[:2], np.array([1, 1]))
    assert nothing.tolist() == [[1.0, 0.0]] * 2, "where nothing is known, the first"


def test_on_top_of_a_model_that_is_right_for_one_action_alone_the_other_is_taken_by_what_it_came_to():
    """Action 0 comes to what is expected; of action 1 the model expects too much, in the first period as in the second."""
    rng = np.random.default_rng(3)
    answers = np.stack([rng.choice([0.1, 0.6], 4000), np.full(4000, 0.9)], axis=1)
    actions, periods = rng.integers(2, size=4000), np.repeat([0, 1], 2000)
    rewards = (rng.random(4000) < np.where(actions == 0, answers[:, 0], 0.3)).astype(float)
    taken = reranked(answers, actions, rewards, periods)[2000:].argmax(axis=1)
    assert (taken == np.where(answers[2000:, 0] > 0.3, 0, 1)).all()
    assert best(answers)[:, 1].all()
