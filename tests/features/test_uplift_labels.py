"""Arms and outcomes as the SQL of the tasks of an effect tells them."""

from datetime import timedelta

import pytest

from conf.load import load
from features.labels import labels, naive, views
from features.sessions import mark_sessions, to_sessions
from tests.shop import at, event, events, rows_of

NOON, DAY = at("12:00:00"), timedelta(days=1)
ITEMS = "item_id string, category string, attributes map<string,string>"


def sent(user: str, when, number: str, kind: str, **attributes: str) -> dict:
    return event(user, when, number, event_type=kind, is_active=False, amount=None, attributes=attributes)


def told(spark, source: str, task: str, *rows: dict):
    """What the task's SQL makes of it as of noon: labels, and what the baseline knows."""
    conf = load([f"source={source}", f"task={task}"])
    everything = events(spark, *rows)
    sessions = to_sessions(mark_sessions(everything.where("is_active"), timedelta(minutes=30)))
    items = spark.createDataFrame([], ITEMS)
    made = views(sessions, everything.where("not is_active"), items, NOON, conf)
    known = naive(made, conf.task.label)
    return rows_of(labels(made, conf.task.label)), None if known is None else rows_of(known)


def bought_before(*users: str) -> list[dict]:
    return [event(user, NOON - 2 * DAY, f"{user}0") for user in users]


def test_of_a_lot_each_user_answers_for_the_arm_that_they_were_drawn_for(spark):
    kind = "campaign_send"
    rows, known = told(
        spark,
        "simulated",
        "uplift",
        *bought_before("ann", "bob", "cy", "dan"),
        sent("ann", NOON, "a1", kind, arm="treated"),
        event("ann", NOON + DAY, "a2", amount=3.0),
        event("ann", NOON + DAY, "a3", amount=4.0),
        event("ann", NOON + 2 * DAY, "a4", amount=5.0),
        event("ann", NOON + 14 * DAY, "a5", amount=50.0),  # behind the horizon
        sent("bob", NOON, "b1", kind, arm="control"),
        sent("cy", NOON - DAY, "c1", kind, arm="treated"),  # an earlier campaign's
        event("cy", NOON + DAY, "c2"),
        sent("dan", NOON, "d1", kind, arm="control"),
        sent("eve", NOON, "e1", kind, arm="treated"),  # whom nothing is known of
    )
    assert [row[:3] for row in rows] == [
        ("ann", "treated buys", 1.0),
        ("ann", "treated orders", 2.0),
        ("ann", "treated spend", 12.0),
        ("bob", "control buys", 0.0),
        ("bob", "control orders", 0.0),
        ("bob", "control spend", 0.0),
        ("dan", "control buys", 0.0),
        ("dan", "control orders", 0.0),
        ("dan", "control spend", 0.0),
    ]
    assert {row[3] for row in rows} == {1.0}, "half of those who were drawn are in either arm"
    assert known is None


def test_the_smaller_arm_of_a_lot_weighs_as_much_as_the_larger(spark):
    kind, users = "campaign_send", ["ann", "bob", "cy", "dan"]
    lot = [sent(u, NOON, f"{u}1", kind, arm="treated" if u == "ann" else "control") for u in users]
    rows, _ = told(spark, "simulated", "uplift", *bought_before(*users), *lot)
    weights = {row[0]: row[3] for row in rows}
    assert weights == {"ann": pytest.approx(2.0), **dict.fromkeys(users[1:], pytest.approx(2 / 3))}


def test_where_none_was_drawn_whoever_was_not_sent_a_campaign_is_the_other_arm(spark):
    kind = "campaign_receive"
    rows, known = told(
        spark,
        "complete_journey",
        "uplift_observed",
        *bought_before("ann", "bob"),
        sent("ann", NOON - DAY, "a1", kind),
        sent("ann", NOON, "a2", kind),
        event("ann", NOON + DAY, "a3", amount=3.0),
        event("ann", NOON + DAY + timedelta(hours=2), "a4", amount=4.0),
        event("ann", NOON + 5 * DAY, "a5", amount=5.0),
        sent("bob", NOON + 28 * DAY, "b1", kind),  # behind the horizon
    )
    assert rows == [
        ("ann", "treated buying_days", 2.0, 1.0),
        ("ann", "treated spend", 12.0, 1.0),
        ("bob", "control buying_days", 0.0, 1.0),
        ("bob", "control spend", 0.0, 1.0),
    ]
    assert known == [("ann", "", 1.0)]
