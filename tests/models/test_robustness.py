"""Histories that are worse, each in its way."""

from collections import Counter

import numpy as np
import pytest

from models.robustness import WAYS, worse

HISTORIES = [np.arange(200, dtype=np.int32) + start for start in range(0, 1000, 10)]
MOST = 5000


def items_of(way: str, rate: float) -> list[np.ndarray]:
    return worse(HISTORIES, way, rate, MOST, seed=3)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_changes_at_a_rate_of_nothing_and_the_same_seed_does_the_same(way):
    for made, given in zip(items_of(way, 0.0), HISTORIES, strict=True):
        np.testing.assert_array_equal(made, given)
    for one, other in zip(items_of(way, 0.2), items_of(way, 0.2), strict=True):
        np.testing.assert_array_equal(one, other)


def test_items_are_dropped_in_their_order_and_one_is_left():
    made = items_of("dropped", 0.2)
    assert all(np.all(np.diff(row) > 0) for row in made)
    assert 1 - np.mean([len(row) for row in made]) / 200 == pytest.approx(0.2, abs=0.01)
    assert worse([np.array([7])], "dropped", 0.999, MOST, 1)[0].tolist() == [7]


def test_the_same_items_stand_elsewhere():
    made = items_of("shuffled", 0.2)
    assert all(
        Counter(row.tolist()) == Counter(given.tolist()) for row, given in zip(made, HISTORIES, strict=True)
    )
    moved = np.mean([np.mean(row != given) for row, given in zip(made, HISTORIES, strict=True)])
    assert moved == pytest.approx(0.2, abs=0.02)


def test_items_come_twice_beside_each_other():
    made = items_of("duplicated", 0.1)
    assert all(
        np.array_equal(np.unique(row), given) and np.all(np.diff(row) >= 0)
        for row, given in zip(made, HISTORIES, strict=True)
    )
    assert np.mean([len(row) for row in made]) / 200 == pytest.approx(1.1, abs=0.01)


def test_items_are_others():
    made = items_of("replaced", 0.1)
    changed = np.mean([np.mean(row != given) for row, given in zip(made, HISTORIES, strict=True)])
    assert changed == pytest.approx(0.1, abs=0.01)
    assert all(row.dtype == np.int32 and row.min() >= 0 and row.max() < MOST for row in made)
