"""What is told as the truth, and how large a shop is."""

import json

import numpy as np
import pytest

from conf.load import load
from features.world import truth
from features.world.behaviour import events_on
from features.world.disorder import ACCEPTED, send
from features.world.part import arrivals, block_of, make_part
from features.world.shape import DAY
from features.world.size import world_of
from features.world.users import ALWAYS, NEVER
from tests.features.world.worlds import a_world, everyone

MINUTES = 60_000


def sessions(*events: tuple[int, float], gap: int = 30) -> list[tuple[int, ...]]:
    """(who, first, last, events) of (who, minute)."""
    who, ts = (np.array(column) for column in zip(*events, strict=True))
    return list(zip(*(column.tolist() for column in truth.sessions_of(who, ts, gap)), strict=True))


def test_only_a_longer_gap_starts_a_session():
    assert sessions((1, 0), (1, 30), (1, 61)) == [(1, 0, 30, 2), (1, 61, 61, 1)]


def test_sessions_are_of_one_user_whatever_the_order():
    assert sessions((2, 5), (1, 9), (2, 0), (1, 3)) == [(1, 3, 9, 2), (2, 0, 5, 2)]


def test_no_events_are_no_sessions():
    none = np.zeros(0, np.int64)
    assert [len(column) for column in truth.sessions_of(none, none, 30)] == [0, 0, 0, 0]


def test_a_bots_day_over_the_limit_makes_no_sessions():
    world = a_world("features.max_events_per_user_day=500", bots=2, bot_views_per_day=500, malformed_share=0)
    users = everyone(world)
    of_bots = {}
    for day in (0, 1):
        today = send(world, users, events_on(world, users, day)[0], day)
        counts, capped = truth.counted_in_sessions(world, users, today)
        many = np.count_nonzero(users.is_bot[today.events.row])
        of_bots[many > 500] = (
            capped == many,
            np.count_nonzero(users.is_bot[today.events.row[counts]]) == many,
        )
    assert of_bots == {True: (True, False), False: (False, True)}, "one bot over the limit and one under it"


def test_what_arrives_after_the_last_day_is_in_no_session():
    world = a_world(days=3, held_back_share=0.5, users=500)
    users = everyone(world)
    today = send(world, users, events_on(world, users, 2)[0], 2)
    counts, _ = truth.counted_in_sessions(world, users, today)
    assert (today.arrival[today.outcome == ACCEPTED] > 2).any()
    assert (today.arrival[counts] <= 2).all()


@pytest.fixture(scope="module")
def users_told():
    world = a_world(users=2000, days=40)
    users = everyone(world)
    return world, users, truth.users_table(world, users).to_pylist()


def test_what_is_not_so_within_the_shops_days_is_null(users_told):
    world, users, told = users_told
    for row, user in enumerate(told):
        assert (user["anonymous_id"] is None) == (users.login[row] == ALWAYS)
        assert (user["login_ts"] is None) == (users.login[row] in (ALWAYS, NEVER))
        assert (user["staple_days"] is None) == (users.staple[row] < 0) == (user["staple_item"] is None)
        churned = int(users.churned[row])
        assert user["churn_date"] == (world.date(churned) if churned < 40 else None)
    assert 5 < sum(user["churn_date"] is not None for user in told) < 500


def test_a_users_arms_are_those_of_the_campaigns_they_are_in(users_told):
    world, _, told = users_told
    arms = [dict(user["arms"]) for user in told]
    assert {arm for of in arms for arm in of.values()} == {"treated", "control"}
    assert {campaign for of in arms for campaign in of} == {"k0", "k1"}
    sent = [
        json.loads(text) for text in make_part(world, 0, 1).lines.to_pylist() if '"campaign_send"' in text
    ]
    assert len(sent) > 500
    whole = [record for record in sent if record["visitor_id"] and record["type"] == "campaign_send"]
    assert all(arms[int(r["visitor_id"][1:])]["k0"] == r["arm"] for r in whole)


def test_every_record_of_a_day_arrives_once():
    """Whatever way it takes to its file: each accepted event of the shop is accepted once, in one file."""
    world = a_world("features.late_days=2", users=400, days=8, held_back_share=0.3, sent_again_share=0.2)
    users = everyone(world)
    sent, arrived = [], []
    for day in range(8):
        today = send(world, users, events_on(world, users, day)[0], day)
        sent.append(today.events.key[(today.outcome == ACCEPTED) & (today.arrival < 8)])
        came = arrivals(world, users, day, today)
        assert set(came.arrival) == {day}
        assert (np.diff(came.sent) >= 0).all()
        arrived.append(came.events.key[came.outcome == ACCEPTED])
    assert sorted(np.concatenate(sent)) == sorted(np.concatenate(arrived))


def test_records_do_not_depend_on_the_blocks():
    """Users in one file or in several: the same records, and the same truth."""
    one = a_world(users=200, days=4, bots=3, bot_views_per_day=50)
    several = a_world(users=200, days=4, bots=3, bot_views_per_day=50, lines_per_file=100)
    assert (one.blocks, several.blocks > 2) == (1, True)
    for day in range(4):
        whole = make_part(one, 0, day)
        parts = [make_part(several, block, day) for block in range(several.blocks)]
        assert sorted(whole.lines.to_pylist()) == sorted(
            line for part in parts for line in part.lines.to_pylist()
        )
        rows = [row for part in parts for row in part.sessions.to_pylist()]
        assert sorted(whole.sessions.to_pylist(), key=str) == sorted(rows, key=str)


def test_logins_are_told_on_their_day():
    world = a_world(users=3000, days=10)
    users = block_of(world, 0).users
    logins = [make_part(world, 0, day).logins for day in range(10)]
    for day, told in enumerate(logins):
        assert {login["from"][:10] for login in told} == {world.date(day).isoformat()}
    told_of = {login["user_id"] for of_day in logins for login in of_day}
    assert told_of == {f"u{n}" for n in users.index[(users.login >= 0) & (users.login < 10)]}
    assert len(told_of) == sum(map(len, logins)) > 100


def test_a_shop_has_about_as_many_records_as_asked_for():
    conf = load(
        ["simulate.events=100000", "simulate.days=30", "simulate.bots=2", "simulate.bot_views_per_day=500"]
    )
    world = world_of(conf.simulate, conf.features)
    records = sum(len(make_part(world, 0, day).lines) for day in range(30))
    assert records == pytest.approx(100_000, rel=0.05)


def test_a_file_of_a_usual_day_is_not_too_long():
    conf = load(["simulate.events=200000", "simulate.days=10", "simulate.lines_per_file=5000"])
    world = world_of(conf.simulate, conf.features)
    lines = [len(make_part(world, 0, day).lines) for day in (3, 6, 9)]
    assert max(lines) < 1.2 * 5000
    assert world.blocks >= 4


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("features.session_gap_minutes=300", "features.session_gap_minutes <= 240, got 300"),
        ("features.max_events_per_user_day=100", "features.max_events_per_user_day >= 450"),
        ("simulate.events=100000000000", "fewer than 134,217,728 users"),
    ],
)
def test_rules_under_which_a_day_cannot_be_told_alone_are_refused(key, words):
    conf = load([key, "simulate.days=5"])
    with pytest.raises(ValueError, match=words):
        world_of(conf.simulate, conf.features)


def test_a_day_ends_so_early_that_no_session_reaches_the_next():
    world = a_world("features.session_gap_minutes=240")
    assert world.dusk(3) + 50 * MINUTES + world.gap < world.midnight(4) + 4 * 60 * MINUTES
    assert world.dusk(3) - world.midnight(3) > 0.9 * DAY
