"""The rules of sessions, as small tables."""

from datetime import timedelta

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from features.sessions import (
    SESSIONS,
    active_days,
    bot_days,
    days_of,
    mark_sessions,
    on_days,
    spans_of,
    to_sessions,
    touched,
    without,
)
from tests.shop import DAY, at, event, events, rows_of

GAP = timedelta(minutes=30)


def sessions_of(spark: SparkSession, *rows: dict) -> list[list[str]]:
    """The event ids of each session, in its order."""
    made = to_sessions(mark_sessions(events(spark, *rows), GAP))
    return sorted(row[0] for row in made.select(f.transform("events", lambda e: e["event_id"])).collect())


@pytest.mark.parametrize(
    ("second", "expected"),
    [("10:29:59", [["a", "b"]]), ("10:30:00", [["a", "b"]]), ("10:30:01", [["a"], ["b"]])],
)
def test_only_a_gap_longer_than_30_minutes_starts_a_session(spark, second, expected):
    assert sessions_of(spark, event("ann", "10:00:00", "a"), event("ann", second, "b")) == expected


def test_a_session_goes_on_over_midnight(spark):
    late, early = at("23:50:00"), at("23:50:00") + timedelta(minutes=20)
    assert sessions_of(spark, event("ann", late, "a"), event("ann", early, "b")) == [["a", "b"]]


def test_users_do_not_share_sessions(spark):
    assert sessions_of(spark, event("ann", "10:00:00", "a"), event("bob", "10:00:01", "b")) == [["a"], ["b"]]


def test_equal_times_are_ordered_by_arrival_then_file_then_position_then_id(spark):
    day_before = at("10:00:00").date() - timedelta(days=1)
    rows = [
        event("ann", "10:00:00", "e", source_file="f2", ingest_seq=1),
        event("ann", "10:00:00", "d", source_file="f2", ingest_seq=1),
        event("ann", "10:00:00", "c", source_file="f2", ingest_seq=0),
        event("ann", "10:00:00", "b", source_file="f1", ingest_seq=9),
        event("ann", "10:00:00", "a", source_file="f9", ingest_seq=9, arrival_date=day_before),
    ]
    assert sessions_of(spark, *rows) == [["a", "b", "c", "d", "e"]]


def test_a_session_id_does_not_depend_on_what_else_is_in_the_batch(spark):
    ann = [event("ann", "10:00:00", "a"), event("ann", "11:00:00", "b")]
    others = [event(f"user{n}", "09:00:00", f"x{n}") for n in range(20)] + [event("ann", "08:00:00", "y")]

    def ids(*rows: dict) -> set[str]:
        made = to_sessions(mark_sessions(events(spark, *rows), GAP))
        return {
            row.session_id
            for row in made.where("user_id = 'ann' and start_ts >= '2026-11-02 10:00:00'").collect()
        }

    assert ids(*ann) == ids(*ann, *others)
    assert len(ids(*ann)) == 2


def test_a_session_holds_its_span_and_its_count(spark):
    made = to_sessions(
        mark_sessions(events(spark, event("ann", "10:00:00", "a"), event("ann", "10:10:00", "b")), GAP)
    )
    assert SESSIONS.conform(made).select("start_ts", "end_ts", "event_count").collect() == [
        (at("10:00:00"), at("10:10:00"), 2)
    ]


def test_more_than_the_allowed_events_make_a_bot_day_as_many_do_not(spark):
    rows = [event("ann", f"10:00:0{n}", f"a{n}") for n in range(2)] + [
        event("bot", f"10:00:0{n}", f"b{n}") for n in range(3)
    ]
    passive = [event("ann", "10:00:05", "p", is_active=False)]
    frame = events(spark, *rows, *passive)
    days = bot_days(active_days(frame), 2)
    assert rows_of(days) == [("bot", at("10:00:00").date())]
    assert {row.user_id for row in without(frame, days).collect()} == {"ann"}


def test_sessions_within_the_gap_of_an_arrival_are_redone_and_no_others(spark):
    stored = to_sessions(
        mark_sessions(
            events(
                spark,
                event("ann", "09:30:00", "ends 30 minutes before"),
                event("ann", "08:00:00", "ends long before"),
                event("ann", "10:30:00", "begins 30 minutes after"),
                event("ann", "11:00:01", "begins 31 minutes after that"),
                event("bob", "10:00:00", "another user"),
            ),
            GAP,
        )
    )
    arrived = events(spark, event("ann", "10:00:00", "new"))
    days = active_days(arrived)
    redone = touched(days, stored, bot_days(days, 10), GAP)
    ids = {row[0] for row in redone.select(f.explode("events.event_id")).collect()}
    assert ids == {"ends 30 minutes before", "begins 30 minutes after"}


def test_what_lies_between_a_late_arrival_and_one_of_today_is_not_redone(spark):
    stored = to_sessions(
        mark_sessions(
            events(
                spark,
                event("ann", at("09:00:00", DAY), "late one's"),
                event("ann", at("10:00:00", DAY + timedelta(days=1)), "between"),
                event("ann", at("11:00:00", DAY + timedelta(days=2)), "today's"),
            ),
            GAP,
        )
    )
    arrived = active_days(
        events(
            spark,
            event("ann", at("09:20:00", DAY), "late"),
            event("ann", at("11:20:00", DAY + timedelta(days=2)), "new"),
        )
    )
    redone = touched(arrived, stored, bot_days(arrived, 10), GAP)
    assert {row.events[0].event_id for row in redone.collect()} == {"late one's", "today's"}


def test_a_session_across_midnight_lies_on_both_days(spark):
    across = [event("ann", "23:50:00", "a"), event("ann", at("00:10:00", DAY + timedelta(days=1)), "b")]
    made = to_sessions(mark_sessions(events(spark, *across), GAP))
    first, second = DAY, DAY + timedelta(days=1)
    assert rows_of(days_of(made)) == [("ann", first), ("ann", second)]
    for days, found in (([first], 1), ([second], 1), ([first - timedelta(days=1)], 0), ([], 0)):
        assert on_days(made, days).count() == found
    assert spans_of([second, first, first, second + timedelta(days=2)]) == [
        (first, second),
        (second + timedelta(days=2), second + timedelta(days=2)),
    ]
