"""Whose an event is: the rules by which the histories of visitors who log in are joined."""

from datetime import datetime

from features.identities import IDENTITIES
from features.owners import chained, changed, followed, handed_over, moved, owned, spans, users_of
from jobs.job import settled
from tests.shop import DAY, at, event, events, rows_of

COLUMNS = ("anonymous_id", "user_id", "since", "until")


def map_of(spark, *logins: tuple[str, str, str]):
    """`identities`, in the order of their arrival."""
    rows = [
        (anonymous, user, at(clock), DAY, "file", n, 1) for n, (anonymous, user, clock) in enumerate(logins)
    ]
    return spark.createDataFrame(rows, IDENTITIES.schema)


def resolved(spark, *logins: tuple[str, str, str]):
    found = settled(spans(map_of(spark, *logins)))
    while not chained(found).isEmpty():
        found = settled(followed(found))
    return found


def whose(spark, logins: tuple[tuple[str, str, str], ...], *visits: tuple[str, str]) -> list[str]:
    """Whose the events of some ids at some clocks are."""
    made = events(spark, *(event(who, clock, str(n)) for n, (who, clock) in enumerate(visits)))
    return [row.user_id for row in owned(made, resolved(spark, *logins)).orderBy("event_id").collect()]


def shown(frame) -> list[tuple]:
    def clock(time: datetime | None) -> str | None:
        return time and f"{time:%H:%M}"

    return [(*row[:2], clock(row[2]), clock(row[3])) for row in rows_of(frame, *COLUMNS)]


def test_all_that_was_done_before_the_first_login_is_that_user_s_too(spark):
    logins = (("tab", "ann", "10:00:00"),)
    visits = ("tab", "09:00:00"), ("tab", "11:00:00"), ("phone", "11:00:00")
    assert whose(spark, logins, *visits) == ["ann", "ann", "phone"], "nobody logged in with the phone"


def test_on_a_shared_device_the_next_user_has_what_happens_from_the_next_login_on(spark):
    logins = ("tab", "ann", "10:00:00"), ("tab", "bob", "12:00:00")
    visits = ("tab", "09:00:00"), ("tab", "11:59:59"), ("tab", "12:00:00")
    assert whose(spark, logins, *visits) == ["ann", "ann", "bob"]
    assert shown(spans(map_of(spark, *logins, ("tab", "bob", "13:00:00"), ("tab", "ann", "14:00:00")))) == [
        ("tab", "ann", None, "12:00"),
        ("tab", "ann", "14:00", None),
        ("tab", "bob", "12:00", "14:00"),
    ]


def test_the_order_in_which_logins_arrive_says_nothing_but_for_the_same_moment(spark):
    assert shown(spans(map_of(spark, ("tab", "bob", "12:00:00"), ("tab", "ann", "10:00:00")))) == [
        ("tab", "ann", None, "12:00"),
        ("tab", "bob", "12:00", None),
    ]
    assert shown(spans(map_of(spark, ("tab", "bob", "12:00:00"), ("tab", "ann", "12:00:00")))) == [
        ("tab", "ann", None, None)
    ], "the last word holds"


def test_who_logs_in_as_one_who_logs_in_as_another_is_the_last(spark):
    logins = [("a", "b", "10:00:00"), ("b", "c", "11:00:00"), ("c", "d", "12:00:00"), ("d", "e", "13:00:00")]
    assert {user for _, user, *_ in rows_of(resolved(spark, *logins), *COLUMNS)} == {"e"}


def test_a_chain_is_followed_for_each_part_of_the_time(spark):
    found = resolved(
        spark, ("tab", "ann", "10:00:00"), ("ann", "eve", "09:00:00"), ("ann", "kim", "11:00:00")
    )
    assert shown(found) == [
        ("ann", "eve", None, "11:00"),
        ("ann", "kim", "11:00", None),
        ("tab", "eve", None, "11:00"),
        ("tab", "kim", "11:00", None),
    ]
    apart = resolved(
        spark, ("tab", "ann", "10:00:00"), ("tab", "bob", "12:00:00"), ("bob", "eve", "12:30:00")
    )
    assert shown(apart) == [
        ("bob", "eve", None, None),
        ("tab", "ann", None, "12:00"),
        ("tab", "eve", "12:00", None),
    ]


def test_an_event_has_moved_where_another_user_has_it_now(spark):
    before = spans(map_of(spark, ("tab", "ann", "10:00:00")))
    now = spans(
        map_of(spark, ("tab", "ann", "10:00:00"), ("tab", "bob", "12:00:00"), ("phone", "ann", "12:00:00"))
    )
    of_both = events(
        spark,
        event("tab", "09:00:00", "a"),
        event("tab", "12:00:00", "b"),
        event("phone", "09:00:00", "c"),
        event("eve", "12:00:00", "d"),
    )
    found = moved(of_both, before, now)
    assert rows_of(found, "event_id", "was", "user_id") == [("b", "ann", "bob"), ("c", "phone", "ann")]
    ids = changed(before, now)
    assert rows_of(ids) == [("phone",), ("tab",)]
    assert rows_of(users_of(ids, before), "anonymous_id", "user_id") == [("phone", "phone"), ("tab", "ann")]
    stored = events(
        spark, event("ann", "09:00:00", "a"), event("ann", "12:00:00", "b"), event("phone", "09:00:00", "c")
    )
    assert rows_of(handed_over(stored, found), "event_id", "user_id") == [
        ("a", "ann"),
        ("b", "bob"),
        ("c", "ann"),
    ]


def test_an_event_is_told_by_its_id_and_its_day(spark):
    before, now = spans(map_of(spark)), spans(map_of(spark, ("tab", "ann", "10:00:00")))
    found = moved(events(spark, event("tab", "09:00:00", "a")), before, now)
    stored = events(
        spark, event("tab", "09:00:00", "a"), event("tab", at("09:00:00", DAY.replace(day=3)), "a")
    )
    assert rows_of(handed_over(stored, found), "user_id") == [("ann",), ("tab",)]
