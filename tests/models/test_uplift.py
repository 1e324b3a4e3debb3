"""What a task of two arms says of an effect, beside the class transformation; and an estimate where there is no lot."""

import numpy as np
import pytest

from models.aipw import balance, has_overlap, mean_effect, propensities
from models.answers import Answers
from models.uplift import Arms, class_transformation, inputs_of, outcomes_of, trial_of

NAMES = ["control buys", "control spend", "treated buys", "treated spend"]


def test_an_outcome_is_a_place_of_either_arm():
    assert outcomes_of(NAMES, ["control", "treated"]) == {"buys": Arms(0, 2), "spend": Arms(1, 3)}
    assert outcomes_of(NAMES, ["treated", "control"]) == {"buys": Arms(2, 0), "spend": Arms(3, 1)}
    assert outcomes_of(NAMES[:3], ["control", "treated"]) == {"buys": Arms(0, 2)}


def test_a_trial_has_the_rows_that_were_in_one_arm_with_what_came_there():
    labels = np.array([[1.0, 5, 0, 0], [0, 0, 1, 7], [0, 0, 0, 0], [1, 1, 1, 1]])
    weights = np.array([[2.0, 2, 0, 0], [0, 0, 3, 3], [0, 0, 0, 0], [1, 1, 1, 1]])
    trial = trial_of(labels, weights, Arms(1, 3))
    assert trial.rows.tolist() == [0, 1], "one was asked nothing, and one is in both arms"
    assert trial.treated.tolist() == [False, True]
    assert trial.outcome.tolist() == [5, 7]
    assert trial.weights.tolist() == [2, 3]


def lot(rows: int, share: float, amounts: bool, seed: int = 1):
    """(inputs, effect, trial): who has a high first input gains by it; arms of unequal sizes, weighed to be alike."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 2))
    effect = 0.15 + 0.2 * np.tanh(inputs[:, 0])
    treated = rng.random(rows) < share
    chance = 0.4 + effect * treated
    came = rng.normal(10 * chance, 1) if amounts else (rng.random(rows) < chance).astype(float)
    weights = np.where(treated, 1 / share, 1 / (1 - share))
    labels, of_arms = (
        np.where(np.stack([~treated, treated], axis=1), x[:, None], 0.0) for x in (came, weights)
    )
    return inputs, effect * (10 if amounts else 1), trial_of(labels, of_arms, Arms(0, 1))


@pytest.mark.parametrize("amounts", [False, True])
def test_the_class_transformation_finds_who_gains_and_how_much_in_the_mean(amounts):
    inputs, effect, trial = lot(20_000, 0.25, amounts)
    said = class_transformation(inputs, trial, inputs)
    assert np.corrcoef(said, effect)[0, 1] > 0.9
    assert said.mean() == pytest.approx(effect.mean(), abs=0.2 if amounts else 0.03)


def test_arms_that_all_had_it_tell_the_class_transformation_nothing():
    inputs, _, trial = lot(100, 0.5, amounts=False)
    alike = trial._replace(outcome=np.ones(100), treated=np.ones(100, bool))
    assert class_transformation(inputs, alike, inputs[:3]).tolist() == [1, 1, 1]


def test_inputs_are_features_and_the_number_that_the_baseline_knows():
    told = Answers(np.zeros((2, 2)), np.zeros((2, 2)), np.array([[7.0, 8.0], [9.0, 8.0]]))
    assert inputs_of(np.array([[1.0], [2.0]]), told).tolist() == [[1, 7], [2, 9]]


def observed(rows: int, seed: int):
    """(inputs, treated, outcome, users): who would buy more anyway is sent more; the effect is 2."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(rows, 3))
    chance = 1 / (1 + np.exp(-1.2 * inputs[:, 0] - 0.5 * inputs[:, 1]))
    treated = rng.random(rows) < chance
    outcome = 5 + 3 * inputs[:, 0] + inputs[:, 1] ** 2 + 2 * treated + rng.normal(size=rows)
    return inputs, treated, outcome, np.arange(rows) // 2


def test_aipw_finds_the_effect_that_the_arms_alone_overstate():
    inputs, treated, outcome, users = observed(8000, seed=2)
    propensity = propensities(inputs, treated, users)
    found = mean_effect(inputs, treated, outcome, users, propensity, 0.95, seed=1)
    assert found.low < 2 < found.high
    assert found.high - found.low < 0.4
    assert found.plain > 3.5
    before, after = balance(inputs, treated, propensity)
    assert abs(before[0]) > 0.8
    assert np.abs(after).max() < 0.1


def test_aipw_is_right_where_either_of_its_models_is():
    inputs, treated, outcome, users = observed(8000, seed=3)
    nothing = np.full(len(treated), treated.mean())  # a propensity that knows nothing
    by_outcome = mean_effect(inputs, treated, outcome, users, nothing, 0.95, seed=1)
    right = propensities(inputs, treated, users)
    by_propensity = mean_effect(np.zeros((8000, 1)), treated, outcome, users, right, 0.95, seed=1)
    assert by_outcome.mean == pytest.approx(2, abs=0.3)
    assert by_propensity.mean == pytest.approx(2, abs=0.3)


def test_rows_without_a_chance_to_be_in_the_other_arm_are_left_out():
    assert has_overlap(np.array([0.05, 0.1, 0.5, 0.9, 0.95])).tolist() == [False, True, True, True, False]
    inputs, treated, outcome, users = observed(4000, seed=4)
    always = np.arange(4000) < 500
    treated, outcome = treated | always, outcome + 100 * always
    propensity = np.where(always, 0.99, propensities(inputs, treated, users))
    kept = mean_effect(inputs, treated, outcome, users, propensity, 0.95, seed=1)
    assert kept.plain == pytest.approx(
        outcome[treated & has_overlap(propensity)].mean() - outcome[~treated & has_overlap(propensity)].mean()
    )


def test_the_rows_of_a_user_go_together_in_the_interval():
    inputs, treated, outcome, _ = observed(2000, seed=5)
    twice = [np.concatenate([x, x]) for x in (inputs, treated, outcome, np.full(2000, 0.5))]
    alone, together = np.arange(4000), np.tile(np.arange(2000), 2)
    reach = []
    for users in (alone, together):
        found = mean_effect(*twice[:3], users, twice[3], 0.95, seed=1)
        reach.append(found.high - found.low)
    assert reach[1] > 1.2 * reach[0]
