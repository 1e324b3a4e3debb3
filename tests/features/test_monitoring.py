"""What is watched of a night: rules on rows that can be counted by hand."""

import math
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as f

from features.items import ITEMS
from features.monitoring import DRIFT, Measure, breached, by_weekday, usual
from features.predictions import PREDICTIONS, to_predictions
from features.sequences import SEQUENCES
from features.sessions import mark_sessions, to_sessions
from features.users import users
from features.watching import (
    by_segment,
    calibration_error,
    came,
    day_counts,
    newest_upto,
    reliability,
    steps,
    with_items,
    with_users,
)
from tests.shop import DAY, at, event, events, rows_of

TODAY, BEFORE = DAY, DAY - timedelta(days=40)


def measure(value: float | None) -> Measure:
    return Measure(DAY, "next_item", "drift_hour", "all", DRIFT, "hours", value)


@pytest.mark.parametrize(
    ("value", "lower", "upper", "is_enough", "passed"),
    [
        (0.5, 0.5, 2, True, True),
        (2.1, 0.5, 2, True, False),
        (0.4, 0.5, None, True, False),
        (2.1, 0.5, 2, False, None),
        (2.1, None, None, True, None),
        (None, 0.5, 2, True, None),
        (math.nan, None, 2, True, False),
    ],
)
def test_a_limit_itself_passes_and_too_few_rows_are_nothing_to_judge(value, lower, upper, is_enough, passed):
    assert measure(value).held(lower, upper, is_enough).passed is passed


def test_a_breach_says_which_measure_what_was_seen_and_what_was_expected():
    (broken,) = breached([measure(0.1).held(upper=0.25), measure(0.31234).held(upper=0.25), measure(None)])
    assert str(broken) == "next_item drift_hour [all] is 0.3123, expected at most 0.25 (hours)"


def test_what_is_usual_is_known_after_enough_nights():
    assert usual([0.2, 0.4], least=2) == pytest.approx(0.3)
    assert usual([0.2, 0.4], least=3) is None


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({1: 100, 8: 300, 14: 7, 15: 150}, (150, 200.0)),
        ({8: 300, 15: 150}, (150, 300.0)),
        ({1: 100, 15: 150}, (150, 50.0)),
        ({8: 300}, (0, 300.0)),
        ({15: 150}, (150, None)),
        ({}, (0, None)),
    ],
    ids=["both weeks", "the log begins later", "a day without rows", "nothing today", "first day", "empty"],
)
def test_a_day_is_compared_with_its_weekday_in_the_weeks_that_the_log_has(counts, expected):
    days = {date(2026, 11, day): rows for day, rows in counts.items()}
    assert by_weekday(days, date(2026, 11, 15), weeks=2) == expected


@pytest.fixture(scope="module")
def seen(spark):
    """Ann, who is known, Bob, who came once, and Eve, who is new, on one day; what had been predicted for two of them."""
    early = [event("ann", at("10:00", BEFORE) + timedelta(days=n), f"a{n}", item_id="milk") for n in range(3)]
    late = [
        event("ann", "10:00", "a9", item_id="tea"),
        event("ann", "10:01", "a10", item_id="jam"),
        event("ann", "15:00", "a11", item_id="milk"),
        event("bob", at("23:00", DAY - timedelta(days=1)), "b0", item_id="milk"),
        event("bob", "11:00", "b1", item_id="milk"),
        event("eve", "12:00", "e1", item_id="milk"),
        event("dan", "12:00", "d1", item_id="milk", event_type="view"),
    ]
    sessions = to_sessions(mark_sessions(events(spark, *early, *late), timedelta(minutes=30)))
    first = {"milk": BEFORE, "tea": DAY, "jam": DAY}
    blank = {column.name: None for column in ITEMS.columns} | {
        "event_count": 1,
        "session_count": 1,
        "attributes": {},
    }
    made = [
        blank | {"item_id": item, "item_index": n, "first_seen": at("00:00", day), "category": "food"}
        for n, (item, day) in enumerate(first.items(), 3)
    ]
    items = spark.createDataFrame([tuple(row.values()) for row in made], ITEMS.schema)
    scored = [("ann", ["milk", "jam"], [0.92, 0.95], None), ("bob", ["milk"], [0.25], "no history")]
    frame = spark.createDataFrame(
        scored, "user_id string, ids array<string>, scores array<float>, reason string"
    )
    told = to_predictions(frame, "2026-11-01", "next_item", "gru", 2, 7).select(
        *(c.name for c in PREDICTIONS.columns)
    )
    start = at("00:00")
    came_today = came(
        sessions, items, told, ["purchase"], start, start + timedelta(days=1), activity=[3, 10], new_days=28
    ).cache()
    return SimpleNamespace(spark=spark, sessions=sessions, items=items, came=came_today)


@pytest.mark.long
def test_users_who_came_stand_beside_what_had_been_predicted_in_their_segments(seen):
    shown = {
        row.entity: (sorted(row.targets), row.ids, row.users, row.activity, row.start)
        for row in seen.came.collect()
    }
    assert shown == {
        "ann": (["jam", "tea"], ["milk", "jam"], "old", "some", "warm"),
        "bob": (["milk"], ["milk"], "new", "few", "cold"),
        "eve": (["milk"], None, "new", "none", "none"),
    }, "the first session of the day alone, of purchases alone"


@pytest.mark.long
def test_means_are_over_those_who_had_a_prediction_and_all_who_came_are_counted(seen):
    values = f.when(f.col("entity") == "ann", 1.0).when(f.col("entity") == "bob", 0.5)
    found = by_segment(seen.came.withColumn("hr@10", values), ["hr@10"], ["users"])
    assert {tuple(row) for row in found.collect()} == {
        ("all", 3, 2, 0.75),
        ("users: old", 1, 1, 1.0),
        ("users: new", 2, 1, 0.5),
    }


@pytest.mark.long
def test_probabilities_are_calibrated_where_as_many_come_true_as_were_told(seen):
    bins = [row.asDict() for row in reliability(seen.came).collect()]
    assert sorted((each["pairs"], round(each["told"], 2), each["true"]) for each in bins) == [
        (1, 0.25, 1.0),
        (2, 1.87, 1.0),
    ]
    assert calibration_error(bins) == pytest.approx((0.75 + 0.87) / 3, abs=1e-6)
    assert calibration_error([]) is None


@pytest.mark.long
def test_tenure_and_age_are_those_at_the_event_so_that_days_can_be_compared(seen):
    known = users(seen.sessions, None, 1)
    tenure = {(row.user_id, row.start_date): row.tenure for row in with_users(seen.sessions, known).collect()}
    assert tenure[("ann", BEFORE)] == 0
    assert tenure[("ann", TODAY)] == 40
    assert tenure[("bob", TODAY)] == 1
    one = seen.sessions.select(f.inline("events"))
    ages = {(row.event_id, row.category, row.item_age) for row in with_items(one, seen.items).collect()}
    assert {("a0", "food", 0), ("a11", "food", 40), ("a9", "food", 0)} <= ages


@pytest.mark.long
def test_the_newest_record_is_the_last_one_up_to_the_end_of_the_night(seen):
    ends = [at("23:00"), at("10:30"), at("00:00", BEFORE)]
    newest = [newest_upto(seen.sessions, f.col("end_ts"), end).collect()[0].newest for end in ends]
    assert newest == [at("15:00"), at("10:01"), None]


@pytest.mark.long
def test_rows_are_counted_of_the_day_and_of_its_weekday_and_the_log_s_first_day_is_known(seen):
    found = day_counts(seen.sessions, f.col("start_date"), DAY, weeks=4)
    assert {row.day: row.rows for row in found.collect()} == {TODAY: 5, BEFORE: 1}
    empty = day_counts(seen.sessions.limit(0), f.col("start_date"), DAY, weeks=4)
    assert empty.collect() == []


@pytest.mark.long
def test_a_sequence_s_behaviours_are_rows_but_for_letters(seen):
    when = [datetime(2026, 11, day) for day in (1, 2, 2)]
    row = ("ann", 0, 2, 3, [3, 0, 4], ["buy", "mail", "buy"], when, [1, 0, 2], when, [1.0] * 3, [1.0] * 3)
    found = steps(seen.spark.createDataFrame([row], SEQUENCES.schema))
    assert rows_of(found) == [(date(2026, 11, 1), "buy", 1), (date(2026, 11, 2), "buy", 2)]
