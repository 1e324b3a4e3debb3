"""What a campaign does to each user of a made-up shop, beside what its users do."""

from dataclasses import replace

import numpy as np
import pytest

from features.world.behaviour import PURCHASE, arms_of, events_on
from features.world.offers import CONTROL, TREATED, campaign_days
from features.world.potential import potential_outcomes, twins_of
from features.world.users import Users
from tests.features.world.worlds import a_world, everyone

WEEK = 7
SHOP = {
    "campaign_every_days": WEEK,
    "campaign_days": WEEK - 1,
    "campaign_discount": 0.25,
    "anonymous_share": 0,
}
CAMPAIGN = 1


def in_campaign(world) -> tuple[Users, np.ndarray]:
    users = everyone(world)
    arm = arms_of(world, users, CAMPAIGN)
    return users.take(arm > 0), arm[arm > 0]


def test_whom_a_campaign_leaves_unmoved_buys_as_often_and_pays_less():
    world = a_world(**SHOP)
    users, _ = in_campaign(world)
    users = replace(users, effect=np.zeros(len(users)))
    found = potential_outcomes(world, users, CAMPAIGN, WEEK, twins=3)
    np.testing.assert_allclose(found["buys"].effect, 0)
    np.testing.assert_allclose(found["orders"].effect, 0)
    assert found["spend"].effect.sum() / found["spend"].without.sum() == pytest.approx(-0.25, abs=0.05)


def test_it_has_the_sign_of_the_user_s_own_effect():
    world = a_world(**SHOP)
    users, _ = in_campaign(world)
    found = potential_outcomes(world, users, CAMPAIGN, WEEK, twins=10)
    won, lost = users.effect > 0, users.effect < 0
    for outcome in ("buys", "orders"):
        effect = found[outcome].effect
        assert (effect[won] >= 0).all() and (effect[lost] <= 0).all()
        assert effect[won].mean() > 0.02 and effect[lost].mean() < -0.005
        np.testing.assert_allclose(effect[users.effect == 0], 0)


def test_what_is_expected_of_either_arm_is_about_what_its_users_do():
    world = a_world(users=8000, **SHOP)
    users, arm = in_campaign(world)
    found = potential_outcomes(world, users, CAMPAIGN, WEEK, twins=2)
    sent, spent, buys = campaign_days(world)[CAMPAIGN], np.zeros(len(users)), np.zeros(len(users), bool)
    for day in range(sent, sent + WEEK):
        events = events_on(world, users, day)[0]
        paid = events.take(events.type == PURCHASE)
        np.add.at(spent, paid.row, paid.quantity * paid.cents / 100)
        buys[paid.row] = True
    for of_arm, side in ((TREATED, "with_it"), (CONTROL, "without")):
        inside = arm == of_arm
        assert getattr(found["buys"], side)[inside].mean() == pytest.approx(buys[inside].mean(), abs=0.03)
        assert getattr(found["spend"], side)[inside].mean() == pytest.approx(spent[inside].mean(), rel=0.15)


def test_twins_are_alike_but_for_their_days():
    world = a_world(**SHOP)
    users = everyone(world)
    twins = twins_of(world, users, np.array([0, 0]), np.array([1, 2]))
    assert len({0, *twins.index}) == 3
    assert twins.effect.tolist() == [users.effect[0]] * 2
    one, again = (potential_outcomes(world, users, CAMPAIGN, WEEK, twins=2)["orders"] for _ in range(2))
    np.testing.assert_array_equal(one.without, again.without)
