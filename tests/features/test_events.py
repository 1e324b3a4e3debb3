"""How a raw record becomes an event, and for what it is refused."""

import json
from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest

from conf.load import load
from features.events import (
    EVENTS,
    in_utc,
    judge_times,
    mark_duplicates,
    number_identical_rows,
    parse,
    repeated_ids,
    to_events,
)
from features.formats import SourceError, with_fields
from tests.shop import DAY, at, line

LINES = "source_file string, arrival_date date, ingest_seq bigint, text string"
PLAIN = load(["source=plain"]).source
NEW_YORK = replace(PLAIN, timezone="America/New_York")
NO_IDS = replace(PLAIN, event_id=None)


def lines_of(spark, *texts: str | dict, file: str = "file", arrived: date = DAY, source=PLAIN):
    rows = [(file, arrived, n, t if isinstance(t, str) else json.dumps(t)) for n, t in enumerate(texts)]
    return with_fields(spark.createDataFrame(rows, LINES), source)


def parsed(spark, *texts: str | dict, source=PLAIN) -> list:
    return parse(lines_of(spark, *texts, source=source), source).orderBy("ingest_seq").collect()


GOOD = line("ann", "2026-11-02T10:00:00Z", "a")
REFUSED = [
    ("{", "not_a_record"),
    (json.dumps(GOOD)[:-9], "not_a_record"),
    ("", "not_a_record"),
    (" \t", "not_a_record"),
    ("5", "not_a_record"),
    ("null", "not_a_record"),
    ('"text"', "not_a_record"),
    (json.dumps([GOOD]), "not_a_record"),
    (json.dumps([GOOD, GOOD]), "not_a_record"),
    (json.dumps(GOOD) + json.dumps(GOOD | {"event_id": "b"}), "not_a_record"),  # a newline is lacking
    (json.dumps(GOOD) + ", " + json.dumps(GOOD | {"event_id": "b"}), "not_a_record"),
    (json.dumps(GOOD) + " and more", "not_a_record"),
    (GOOD | {"quantity": "two"}, "not_a_record"),
    (GOOD | {"attributes": 5}, "not_a_record"),
    ({}, "no_id"),
    (GOOD | {"event_id": None}, "no_id"),
    (GOOD | {"event_id": " "}, "no_id"),
    (GOOD | {"user_id": None}, "no_user"),
    (GOOD | {"user_id": ""}, "no_user"),
    (GOOD | {"user_id": "  "}, "no_user"),
    (GOOD | {"event_ts": None}, "no_time"),
    (GOOD | {"event_ts": "yesterday"}, "no_time"),
    (GOOD | {"event_ts": "2026-02-30T10:00:00Z"}, "no_time"),
    (GOOD | {"event_ts": "10:00:00"}, "no_time"),  # of no day: not of the day on which it is read
    (GOOD | {"event_ts": "T10:00Z"}, "no_time"),
    (GOOD | {"event_ts": "2026"}, "no_time"),
    (GOOD | {"event_type": None}, "unknown_type"),
    (GOOD | {"event_type": "Purchase"}, "unknown_type"),
]


def test_a_record_is_refused_for_its_first_fault_and_its_text_is_kept(spark):
    texts = [text if isinstance(text, str) else json.dumps(text) for text, _ in REFUSED]
    rows = parsed(spark, *texts, GOOD)
    assert [(row.text, row.reason) for row in rows[:-1]] == list(
        zip(texts, (reason for _, reason in REFUSED), strict=True)
    )
    assert rows[-1].reason is None


def test_a_record_may_lack_what_an_event_may_lack_and_have_what_nobody_asked_for(spark):
    rich = GOOD | {"item_id": "7", "quantity": 2, "amount": 3.5, "attributes": {"shop": "1"}, "more": [1]}
    poor, full = parsed(spark, GOOD, rich)
    assert (poor.item_id, poor.quantity, poor.amount, poor.attributes) == (None, None, None, {})
    assert (full.item_id, full.quantity, full.amount, full.attributes) == ("7", 2.0, 3.5, {"shop": "1"})
    assert (poor.event_id, poor.user_id, poor.source, poor.arrival_date) == ("a", "ann", "plain", DAY)


@pytest.mark.parametrize("source", [PLAIN, NEW_YORK], ids=["UTC", "New York"])
def test_an_offset_or_a_zone_in_the_text_is_kept_whatever_the_zone_of_the_shop(spark, source):
    same = [
        "2026-11-02T10:00:00Z",
        "2026-11-02T12:00:00+02:00",
        "2026-11-02T05:00:00-05",
        "2026-11-02 05:00:00 America/New_York",
        "2026-11-02T10:00:00.000000 UTC",
    ]
    rows = parsed(spark, *(line("ann", time, "a") for time in same), source=source)
    assert [row.event_ts for row in rows] == [at("10:00:00")] * len(same)


def test_a_time_without_an_offset_is_of_the_shop_s_zone_in_winter_and_in_summer(spark):
    local = ["2026-01-15 12:00:00", "2026-07-15T12:00:00", "2026-11-01 01:30:00", "2026-03-08", "2026-03-09"]
    rows = parsed(spark, *(line("ann", time, "a") for time in local), source=NEW_YORK)
    assert [str(row.event_ts) for row in rows] == [
        "2026-01-15 17:00:00",
        "2026-07-15 16:00:00",
        "2026-11-01 05:30:00",  # the hour that comes twice: the first
        "2026-03-08 05:00:00",
        "2026-03-09 04:00:00",
    ]


NUMBERS = [
    ("s", "bigint", 1793613600, "2026-11-02 10:00:00"),
    ("ms", "bigint", 1793613600025, "2026-11-02 10:00:00.025000"),
    ("us", "bigint", 1793613600000025, "2026-11-02 10:00:00.000025"),
    ("ns", "bigint", 1793613600000025999, "2026-11-02 10:00:00.000025"),
    ("s", "int", 1793613600, "2026-11-02 10:00:00"),
    ("s", "double", 1793613600.25, "2026-11-02 10:00:00.250000"),
    ("ms", "decimal(20,4)", 1793613600000.0255, "2026-11-02 10:00:00.000025"),
    ("s", "bigint", -1, "1969-12-31 23:59:59"),
    ("s", "bigint", 9223372036854775807, None),  # too large for microseconds
    ("s", "double", 1e300, None),
    ("s", "bigint", None, None),
]


@pytest.mark.parametrize(("unit", "kind", "value", "time"), NUMBERS)
def test_a_number_is_a_time_since_1970_in_the_unit_of_the_source(spark, unit, kind, value, time):
    fields = spark.createDataFrame([(value,)], "n " + ("double" if isinstance(value, float) else "bigint"))
    typed = fields.selectExpr(f"cast(n as {kind}) as event_ts")
    [row] = typed.select(in_utc(typed, replace(NEW_YORK, time_unit=unit), "event_ts").alias("at")).collect()
    assert row.at == (time and datetime.fromisoformat(time))


def test_a_number_without_a_unit_and_what_is_no_time_are_refused_before_anything_is_read(spark):
    for sql, words in (
        ("1", "int.*say source.time_unit: s, ms, us or ns"),
        ("array(1)", "array<int>.*change source"),
    ):
        with pytest.raises(SourceError, match=rf"source.event_ts gives a {words}"):
            in_utc(spark.sql(f"select {sql} as event_ts"), PLAIN, "event_ts")


@pytest.mark.parametrize(
    ("form", "text", "time"),
    [
        ("dd/MM/yyyy HH:mm", "02/11/2026 05:00", "10:00:00"),  # of New York
        ("dd/MMM/yyyy:HH:mm:ss Z", "02/Nov/2026:12:00:00 +0200", "10:00:00"),
        ("yyyyMMdd'Z'HHmmss", "20261102Z050000", "10:00:00"),  # a letter in quotes is no zone
        ("dd/MM/yyyy HH:mm", "2026-11-02 05:00", None),
    ],
)
def test_a_text_is_a_time_in_the_format_of_the_source(spark, form, text, time):
    source = replace(NEW_YORK, time_format=form)
    [row] = parsed(spark, line("ann", text, "a"), source=source)
    assert (row.event_ts, row.reason) == ((at(time), None) if time else (None, "no_time"))


def test_a_date_and_a_time_without_a_zone_are_of_the_shop_s_zone(spark):
    times = (
        spark.sql("select date'2026-11-02' as event_ts"),
        spark.sql("select timestamp_ntz'2026-11-02' as event_ts"),
    )
    assert [frame.select(in_utc(frame, NEW_YORK, "event_ts")).first()[0] for frame in times] == [
        at("05:00:00")
    ] * 2


@pytest.mark.parametrize(
    ("key", "sql", "words"),
    [
        ("user_id", "usr", r"source\.user_id: .*usr.* It is: usr$"),
        ("quantity", "1 +", r"source\.quantity: "),
        ("attributes", "item_id", r"source\.attributes: .*cast"),
        ("event_id", "nosuch(user_id)", r"source\.event_id: .*nosuch"),
        ("time_format", "yyyy-foo", r"source\.time_format: Unknown pattern letter: f It is: yyyy-foo"),
    ],
)
def test_an_expression_that_does_not_fit_the_fields_is_refused_with_its_key(spark, key, sql, words):
    with pytest.raises(SourceError, match=words):
        parsed(spark, GOOD, source=replace(PLAIN, **{key: sql}))


def test_a_field_of_the_log_may_be_called_as_a_column_of_the_reader(spark):
    source = replace(PLAIN, schema=f"{PLAIN.schema}, text string, ingest_seq bigint", item_id="text")
    (row,) = parsed(spark, GOOD | {"text": "7", "ingest_seq": 9}, source=source)
    assert (row.reason, row.item_id, row.ingest_seq) == (None, "7", 0)


def test_the_arrival_date_bounds_a_time_on_both_sides(spark):
    lines = lines_of(
        spark,
        line("ann", "2026-10-03T00:00:00Z", "30 days before"),
        line("ann", "2026-10-02T23:59:59.999999Z", "earlier"),
        line("ann", "2026-11-03T01:00:00Z", "an hour after its end"),
        line("ann", "2026-11-03T01:00:00.000001Z", "later"),
        line("ann", "0001-01-01T00:00:00Z", "year 1"),
        line("ann", "9999-12-31T23:59:59.999999Z", "year 9999"),
        line("ann", "+294247-01-10T00:00:00Z", "the last that fits"),
        line(None, "0001-01-01T00:00:00Z", "another fault"),
    )
    judged = judge_times(parse(lines, PLAIN), late_days=30)
    assert {row.event_id: row.reason for row in judged.select("event_id", "reason").collect()} == {
        "30 days before": None,
        "earlier": "too_late",
        "an hour after its end": None,
        "later": "from_future",
        "year 1": "too_late",
        "year 9999": "from_future",
        "the last that fits": "from_future",
        "another fault": "no_user",
    }


def test_without_ids_rows_alike_are_one_event_or_as_many_as_the_source_says(spark):
    alike = {"user_id": "ann", "event_ts": "2026-11-02T10:00:00Z", "event_type": "view"}
    other = alike | {"item_id": "7"}
    one_file = parse(lines_of(spark, alike, other, alike, alike, source=NO_IDS), NO_IDS)
    ids = [row.event_id for row in one_file.orderBy("ingest_seq").collect()]
    assert ids[0] == ids[2] == ids[3] != ids[1]

    again = parse(lines_of(spark, alike, alike, file="sent again", source=NO_IDS), NO_IDS)
    numbered = number_identical_rows(one_file.unionByName(again)).orderBy("source_file", "ingest_seq")
    first, second = ids[0], [row.event_id for row in numbered.collect()]
    assert second[0] == first
    assert len(set(second[:4])) == 4
    assert second[4:] == [second[0], second[2]], "the n-th of another file is the n-th of this one"


def test_of_the_same_event_the_first_to_arrive_stays_and_a_refused_one_never_counts(spark):
    early, late = at("00:00:00").date(), at("00:00:00").date() + timedelta(days=1)
    faulty = line(None, "2026-11-02T10:00:00Z", "a")
    arrived = lines_of(spark, faulty, GOOD, GOOD, file="z", arrived=early)
    later = lines_of(spark, GOOD, GOOD | {"event_id": "b"}, faulty, GOOD | {"event_id": "c"}, arrived=late)
    other_day = DAY - timedelta(days=1)
    stored = spark.createDataFrame(
        [("b", DAY), ("b", DAY), ("x", DAY), ("c", other_day)], "event_id string, event_date date"
    )
    parsed = parse(later.union(arrived), PLAIN)
    marked = mark_duplicates(parsed, repeated_ids(parsed, stored))
    found = marked.orderBy("arrival_date", "ingest_seq").collect()
    assert [(row.event_id, row.reason, row.is_duplicate) for row in found] == [
        ("a", "no_user", False),
        ("a", None, False),
        ("a", None, True),
        ("a", None, True),
        ("b", None, True),  # stored
        ("a", "no_user", False),
        ("c", None, False),  # an id of another day names another event
    ]
    events = EVENTS.conform(to_events(marked, PLAIN, batch=7))
    assert sorted((e.event_id, e.ingest_seq, e.source_file, e.batch) for e in events.collect()) == [
        ("a", 1, "z", 7),
        ("c", 3, "file", 7),
    ]


def test_an_event_knows_its_day_and_whether_it_makes_sessions(spark):
    records = [GOOD, line("ann", "2026-11-02T23:59:59.999999Z", "b", "mail")]
    parsed = parse(lines_of(spark, *records), PLAIN)
    none = spark.createDataFrame([], "event_id string, event_date date")
    marked = mark_duplicates(parsed, repeated_ids(parsed, none))
    events = to_events(marked, PLAIN, batch=1).orderBy("event_id").collect()
    assert [(e.event_date, e.is_active) for e in events] == [(DAY, True), (DAY, False)]
