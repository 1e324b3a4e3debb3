"""The catalogue: popularity, launches, and what is on the shelf of a day."""

import numpy as np
import pytest

from features.world.draws import uniform
from features.world.items import FRESHNESS, Items, any_category, items_of, shelf_of
from tests.features.world.worlds import a_world

WORLD = a_world(items=1200, categories=6, days=100)


def picked(day: int, category: int, many: int = 100_000) -> np.ndarray:
    """How often each item of a category is picked on a day."""
    chosen = shelf_of(WORLD, day).pick(np.full(many, category), uniform(1, "pick", np.arange(many)))
    return np.bincount(chosen, minlength=len(items_of(WORLD)))


@pytest.fixture(scope="module")
def items() -> Items:
    return items_of(WORLD)


def test_an_item_is_picked_from_its_category(items):
    assert set(items.category[np.flatnonzero(picked(5, 4))]) == {4}


def test_no_item_is_picked_before_its_launch(items):
    later = items.launch > 5
    assert later.sum() > 100
    assert all(picked(5, category)[later].sum() == 0 for category in range(6))


def test_a_pick_at_either_end_of_the_unit_is_an_item_on_the_shelf(items):
    shelf, categories = shelf_of(WORLD, 0), np.arange(6)
    for u in (0.0, np.nextafter(1.0, 0)):
        chosen = shelf.pick(categories, np.full(6, u))
        assert (items.category[chosen] == categories).all()
        assert (items.launch[chosen] <= 0).all()


def test_popularity_falls_with_one_over_the_rank(items):
    """Of the items that were there from the start: rank 0 is picked about ten times as often as rank 9."""
    old = np.flatnonzero((items.category == 2) & (items.launch < 0))
    rank = old // 6
    share = picked(99, 2)[old] * (rank + 1)
    assert share[:10] == pytest.approx(share[0], rel=0.15)


def test_an_item_is_looked_at_more_often_while_it_is_new(items):
    new = np.flatnonzero((items.launch >= 0) & (items.launch < 60))
    item = new[np.argmax(items.weight[new])]
    day, category = int(items.launch[item]), int(items.category[item])
    fresh, old = picked(day, category)[item], picked(day + 30, category)[item]
    assert fresh / old == pytest.approx(FRESHNESS, rel=0.25)


def test_some_categories_sell_more_than_others():
    share = np.bincount(any_category(WORLD, uniform(1, "c", np.arange(60_000))), minlength=6) / 60_000
    assert (np.diff(share) < 0).all()
    assert share[0] / share[5] == pytest.approx(6**0.6, rel=0.1)
