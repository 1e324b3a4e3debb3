"""What is done on a visit, and what campaigns, price cuts and bots do to it."""

import numpy as np
import pytest

from features.world import behaviour
from features.world.behaviour import (
    BUYS,
    CAMPAIGN_SEND,
    CART,
    IMPRESSION,
    PURCHASE,
    SUPPORT,
    TOPICS,
    VIEW,
    Events,
    events_on,
    joined,
)
from features.world.items import items_of
from features.world.offers import CONTROL, TREATED, arms, campaign_in_force, promotion_on, promotions_of
from features.world.shape import DAY, MOST_PER_DAY
from features.world.visits import visits_on
from tests.features.world.worlds import a_world, everyone

WORLD = a_world(users=20_000, days=40, items=600, bots=14, bot_views_per_day=1000)
USERS = everyone(WORLD)
DAY_OF_NONE = 0  # no campaign is in force


@pytest.fixture(scope="module")
def a_day() -> Events:
    return events_on(WORLD, USERS, DAY_OF_NONE)[0]


def of_type(events: Events, kind: int) -> Events:
    return events.take(events.type == kind)


def test_a_users_day_is_the_same_alone_and_in_company(a_day):
    rows = np.arange(100, 200)
    alone = events_on(WORLD, USERS.take(rows), DAY_OF_NONE)[0]
    together = a_day.take(np.isin(a_day.row, rows))
    order = np.argsort(together.key), np.argsort(alone.key)
    for name in vars(alone):
        moved = rows[alone.row] if name == "row" else getattr(alone, name)
        assert (getattr(together, name)[order[0]] == moved[order[1]]).all(), name


def test_no_two_events_have_one_key():
    days = joined([events_on(WORLD, USERS, day)[0] for day in range(3)])
    assert len(np.unique(days.key)) == len(days)


def test_a_cart_follows_its_view_and_a_purchase_its_cart(a_day):
    """Their keys differ in the last three bits."""
    views, carts, bought = (of_type(a_day, kind) for kind in (VIEW, CART, PURCHASE))
    views = views.take(~USERS.is_bot[views.row])
    at = {int(key) >> 3: (ts, item) for key, ts, item in zip(views.key, views.ts, views.item, strict=True)}
    for of, before in ((carts, at), (bought, at)):
        assert len(of) > 300
        for key, ts, item in zip(of.key, of.ts, of.item, strict=True):
            viewed, same = before[int(key) >> 3]
            assert viewed < ts
            assert item == same


def test_the_funnel_narrows_at_known_rates(a_day):
    people = a_day.take(~USERS.is_bot[a_day.row])
    views, carts, bought, shown = (
        np.count_nonzero(people.type == kind) for kind in (VIEW, CART, PURCHASE, IMPRESSION)
    )
    visits = len(visits_on(WORLD, USERS, DAY_OF_NONE).row)
    assert views / visits == pytest.approx(1 + behaviour.MORE_VIEWS, rel=0.05)
    assert 0.10 < carts / views < 0.18
    assert BUYS < bought / carts < 0.55
    assert shown / views == pytest.approx(behaviour.IMPRESSIONS, rel=0.05)


def test_most_views_are_of_favourite_categories(a_day):
    views = of_type(a_day, VIEW)
    views = views.take(~USERS.is_bot[views.row])
    category = items_of(WORLD).category[views.item]
    liked = (USERS.favourites[views.row] == category[:, None]).any(axis=1)
    elsewhere = (1 - USERS.focus[views.row]).mean()
    assert 1 - elsewhere < liked.mean() < 1 - elsewhere * 0.4


def test_nothing_is_looked_at_before_its_launch():
    launch = items_of(WORLD).launch
    for day in (0, 20):
        events = events_on(WORLD, USERS, day)[0]
        assert (launch[events.item[events.item >= 0]] <= day).all()
    assert (launch > 20).sum() > 20


def test_pauses_come_to_exactly_a_gap_and_to_a_millisecond_more():
    pauses = behaviour.pauses(WORLD, np.arange(100_000, dtype=np.uint64))
    exactly, more = (pauses == WORLD.gap).mean(), (pauses == WORLD.gap + 1).mean()
    assert (exactly, more) == pytest.approx((0.001, 0.001), abs=0.0004)
    assert np.median(pauses) == pytest.approx(25_000, rel=0.05)
    assert (pauses > WORLD.gap + 1).mean() == pytest.approx(0.003, abs=0.001)


def test_a_users_day_ends_before_a_gap_is_left_until_the_next(a_day):
    people = a_day.take(~USERS.is_bot[a_day.row])
    assert people.ts.min() >= WORLD.midnight(0) + 4 * 3_600_000
    assert people.ts.max() < WORLD.dusk(0)
    bots = a_day.take(USERS.is_bot[a_day.row])
    assert bots.ts.max() < WORLD.midnight(1) - WORLD.gap


def test_no_person_comes_near_what_makes_a_bot():
    active = [events_on(WORLD, USERS, day)[0] for day in range(5)]
    most = max(np.bincount(of.row[behaviour.ACTIVE[of.type] & ~USERS.is_bot[of.row]]).max() for of in active)
    assert most <= MOST_PER_DAY / 2, "half: two days of a user share a UTC day"


def test_bots_look_at_everything_on_one_day_a_week(a_day):
    bots = a_day.take(USERS.is_bot[a_day.row])
    assert set(USERS.index[bots.row]) == {WORLD.people, WORLD.people + 7}
    assert set(bots.type) == {VIEW}
    seven = [np.count_nonzero(USERS.is_bot[events_on(WORLD, USERS, day)[0].row]) for day in range(7)]
    assert min(seven) > 200
    assert np.median(seven) == pytest.approx(2000, rel=0.6)


def test_a_price_cut_lowers_the_price_and_raises_the_carts():
    day = int(promotions_of(WORLD).first[3])
    number, cut = promotion_on(WORLD, day)
    category = int(promotions_of(WORLD).category[3])
    assert (number[category], cut[category]) == (3, promotions_of(WORLD).cut[3])
    events = events_on(WORLD, USERS, day)[0]
    of = items_of(WORLD).category[events.item] == category
    views = events.take(of & (events.type == VIEW) & ~USERS.is_bot[events.row])
    full = items_of(WORLD).cents[views.item]
    assert views.cents == pytest.approx(np.rint(full * (1 - cut[category])))
    assert set(views.promotion) == {3}

    def rate(of_day: Events, kind: int) -> float:
        inside = (items_of(WORLD).category[of_day.item] == category) & ~USERS.is_bot[of_day.row]
        return np.count_nonzero(inside & (of_day.type == kind)) / np.count_nonzero(
            inside & (of_day.type == VIEW)
        )

    quiet = next(d for d in range(40) if promotion_on(WORLD, d)[0][category] < 0)
    assert rate(events, CART) > 1.2 * rate(events_on(WORLD, USERS, quiet)[0], CART)


def test_a_campaign_is_sent_to_known_users_by_lot():
    sent = of_type(events_on(WORLD, USERS, 1)[0], CAMPAIGN_SEND)
    treated = sent.arm == TREATED
    assert np.count_nonzero(treated) / len(sent) == pytest.approx(0.5, abs=0.02)
    assert (USERS.login[sent.row] < 1).all()
    assert not USERS.is_bot[sent.row].any()
    assert not sent.anonymous.any()
    for trait in (USERS.visits_per_week, USERS.effect, USERS.thrift):
        of = trait[sent.row]
        assert of[treated].mean() == pytest.approx(of[~treated].mean(), rel=0.08, abs=0.02)


@pytest.mark.parametrize(("day", "campaign"), [(1, None), (2, 0), (15, 0), (16, None), (29, None), (30, 1)])
def test_a_campaign_is_in_force_for_14_days_from_the_day_after(day, campaign):
    assert campaign_in_force(WORLD, day) == campaign


def test_who_is_in_no_campaign_is_in_no_arm():
    assert set(arms(WORLD, 0, np.arange(1000), np.zeros(1000, bool))) == {0}
    assert set(arms(WORLD, 0, np.arange(1000), np.ones(1000, bool))) == {CONTROL, TREATED}


@pytest.fixture(scope="module")
def fortnight() -> dict[str, int]:
    """What the first campaign came to in its 14 days."""
    outcomes = [events_on(WORLD, USERS, day)[1] for day in range(2, 16)]
    return {name: sum(getattr(o, name) for o in outcomes) for name in vars(outcomes[0]) if name != "campaign"}


def test_a_campaign_raises_purchases_by_what_the_users_effects_say(fortnight):
    """A visit with a cart buys with 0.35; effects of 0.8, 0 and -0.3 by 0.35, 0.55 and 0.1: 0.25 more in the mean.

    Less than that in all, since what is bought again and again hardly depends on a campaign.
    """
    lift = fortnight["treated_purchases"] / fortnight["without_purchases"] - 1
    assert 0.10 < lift < 0.25


def test_the_lot_finds_the_same_uplift_as_the_truth(fortnight):
    """Per user of an arm, and within what the lot can tell apart."""
    arm = behaviour.arms_of(WORLD, USERS, 0)
    treated, control = (np.count_nonzero(arm == which) for which in (TREATED, CONTROL))
    true = (fortnight["treated_purchases"] - fortnight["without_purchases"]) / treated
    found = fortnight["treated_purchases"] / treated - fortnight["control_purchases"] / control
    assert true > 0
    assert found == pytest.approx(true, abs=0.35 * fortnight["control_purchases"] / control)


def test_a_users_effect_is_the_effect_on_their_purchases():
    won, put_off = (USERS.take(USERS.effect == effect) for effect in (0.8, -0.3))

    def lift(users) -> float:
        both = [events_on(WORLD, users, day)[1] for day in range(2, 16)]
        return sum(o.treated_purchases for o in both) / sum(o.without_purchases for o in both) - 1

    assert 0.4 < lift(won) < 0.8
    assert -0.3 < lift(put_off) < -0.1


def test_the_treated_pay_less_while_the_campaign_is_in_force():
    events = events_on(WORLD, USERS, 5)[0]
    arm, cut = behaviour.arms_on(WORLD, USERS, 5), promotion_on(WORLD, 5)[1]
    bought = of_type(events, PURCHASE)
    items = items_of(WORLD)
    share = bought.cents / (items.cents[bought.item] * (1 - cut[items.category[bought.item]]))
    treated = arm[bought.row] == TREATED
    assert share[treated].mean() == pytest.approx(0.9, abs=0.01)
    assert share[~treated].mean() == pytest.approx(1.0, abs=0.01)


def test_those_about_to_leave_call_the_support_more_often():
    world = a_world(users=40_000, days=30, churn_per_week=0.1)
    users = everyone(world)
    calls = joined([of_type(events_on(world, users, day)[0], SUPPORT) for day in range(10, 13)])
    leaving = users.churned < 20
    alive_then = (users.joined <= 11) & (users.churned > 11)
    per_user = [
        np.isin(calls.row, np.flatnonzero(of)).sum() / (of & alive_then).sum() for of in (leaving, ~leaving)
    ]
    assert per_user[0] > 1.5 * per_user[1]
    hour = (calls.ts % DAY) // 3_600_000
    assert (hour.min(), hour.max()) == (8, 19)


def test_what_they_call_about_has_to_do_with_who_they_are():
    world = a_world(users=60_000, days=40, churn_per_week=0.1)
    users = everyone(world)
    calls = joined([of_type(events_on(world, users, day)[0], SUPPORT) for day in range(30, 36)])
    share = {
        name: np.bincount(calls.topic[of[calls.row]], minlength=len(TOPICS)) / of[calls.row].sum()
        for name, of in {
            "all": np.ones(len(users), bool),
            "often": users.visits_per_week > 4,
            "leaving": users.churned < 40,
            "thrifty": users.thrift > 1.5,
            "new": users.joined > 15,
        }.items()
    }
    for name, topic in {
        "often": "delivery",
        "leaving": "refund",
        "thrifty": "product",
        "new": "account",
    }.items():
        place = TOPICS.index(topic)
        assert share[name][place] > 1.3 * share["all"][place], name
    assert share["all"].min() > 0.05
