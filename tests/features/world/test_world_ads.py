"""What is advertised: by which lot, and who clicks."""

import numpy as np
import pytest

from features.world.ads import ADS, FAVOURED, LIKED, LOOKED_AT, MILLIONTHS, appeals, chances, shown_to
from features.world.behaviour import CLICK, IMPRESSION, events_on
from features.world.items import items_of
from features.world.truth import ads_table
from tests.features.world.worlds import a_world, everyone

WORLD = a_world(users=20_000, days=40, items=600, categories=12)
USERS = everyone(WORLD)
MANY = 200_000


@pytest.fixture(scope="module")
def shown():
    row = np.arange(MANY) % len(USERS)
    return row, shown_to(WORLD, USERS, row, np.arange(MANY, dtype=np.uint64))


def test_an_item_of_a_favourite_category_has_three_times_the_chance_of_another():
    chance = chances(WORLD, USERS, np.arange(len(USERS)))
    assert chance.shape == (len(USERS), ADS)
    assert chance.sum(axis=1) == pytest.approx(np.ones(len(USERS)))
    for user in range(20):
        liked = np.isin(items_of(WORLD).category[:ADS], USERS.favourites[user])
        assert chance[user] * (liked.sum() * FAVOURED + (~liked).sum()) == pytest.approx(
            np.where(liked, FAVOURED, 1)
        )


def test_items_are_shown_as_often_as_their_chances_say(shown):
    row, ads = shown
    expected = chances(WORLD, USERS, row)
    assert np.bincount(ads.item, minlength=ADS) / MANY == pytest.approx(expected.mean(axis=0), abs=0.004)
    told = np.rint(expected[np.arange(MANY), ads.item] * MILLIONTHS)
    assert (ads.chance == told).all()
    assert np.bincount(ads.position)[1:] / MANY == pytest.approx(np.full(3, 1 / 3), abs=0.004)


def test_clicks_follow_the_chances_of_the_truth(shown):
    row, ads = shown
    truth = ads_table(WORLD).to_pylist()
    assert [(each["item_id"], each["position"]) for each in truth[:4]] == [
        ("i0", 1),
        ("i0", 2),
        ("i0", 3),
        ("i1", 1),
    ]
    liked = (USERS.favourites[row] == items_of(WORLD).category[ads.item][:, None]).any(axis=1)
    for each in truth:
        there = (ads.item == int(each["item_id"][1:])) & (ads.position == each["position"])
        for of, name in ((~liked, "click"), (liked, "click_favourite")):
            rate, many = ads.clicked[there & of].mean(), np.count_nonzero(there & of)
            assert abs(rate - each[name]) < 4.5 * np.sqrt(each[name] / many), each
    first = truth[0]
    assert first["click"] == pytest.approx(appeals(WORLD)[0])
    assert truth[2]["click_favourite"] == pytest.approx(first["click"] * LIKED * LOOKED_AT[2])


def test_a_click_follows_its_impression_within_ten_seconds():
    events = events_on(WORLD, USERS, 0)[0]
    impressions, clicks = (events.take(events.type == kind) for kind in (IMPRESSION, CLICK))
    of = {int(key) >> 3: place for place, key in enumerate(impressions.key)}
    place = np.array([of[int(key) >> 3] for key in clicks.key])
    assert len(place) > 100
    waits = clicks.ts - impressions.ts[place]
    assert waits.min() > 0
    assert waits.max() <= 10_000
    for name in ("row", "item", "position"):
        assert (getattr(clicks, name) == getattr(impressions, name)[place]).all()
    assert (clicks.chance == -1).all()
