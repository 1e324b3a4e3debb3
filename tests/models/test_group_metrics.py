"""Groups of users against their definitions and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from models.metrics.groups import adjusted_rand, carried_on, explained, fifths


def table_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    table = np.zeros((one.max() + 1, other.max() + 1), int)
    np.add.at(table, (one, other), 1)
    return table


def test_agreement_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    one = rng.integers(0, 4, 300)
    for moved in (0.0, 0.2, 1.0):
        other = np.where(rng.random(300) < moved, rng.integers(0, 5, 300), one)
        assert adjusted_rand(table_of(one, other)) == pytest.approx(adjusted_rand_score(one, other))


def test_groups_that_nobody_is_in_or_that_are_one_agree():
    assert adjusted_rand(np.array([[7]])) == 1
    assert adjusted_rand(np.zeros((2, 2), int)) == 1


def test_a_group_carries_on_the_number_of_the_one_with_its_users():
    # New group 0 has the users of the old 2, 1 those of the old 0; 2 has none of anybody, 3 fewer of the old 0 than 1 has.
    table = np.array([[0, 1, 9], [8, 0, 0], [0, 0, 0], [3, 0, 0]])
    assert carried_on(table).tolist() == [2, 0, 3, 4]


def test_fifths_hold_a_fifth_each_and_equal_values_stay_together():
    assert fifths(np.arange(10)).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert fifths(np.array([5, 5, 5, 5, 9])).tolist() == [0, 0, 0, 0, 4]


def test_groups_explain_what_their_means_tell_of_others():
    groups = np.array([0, 0, 1, 1, 0, 1, 2])
    amount = np.array([1.0, 3.0, 10.0, 14.0, 4.0, 10.0, 7.0])
    held = np.array([False] * 4 + [True] * 3)
    found = explained(groups, amount, held)
    mean = 7.0  # of the four; the means of their groups are 2 and 12, and of group 2 there is nobody
    assert found.errors.tolist() == [4.0, 4.0, 0.0]
    assert found.variance == pytest.approx(np.mean([(4 - mean) ** 2, (10 - mean) ** 2, 0]))
    assert found.share == pytest.approx(1 - (8 / 3) / found.variance)
