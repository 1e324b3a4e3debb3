"""Items, users, sequences and questions as of a moment: the docstrings' examples and their edges."""

from datetime import date, datetime, timedelta

import pytest
from pyspark.sql import functions as f

from conf.contexts import hashed
from conf.load import load
from features.catalogue import catalogue, no_catalogue
from features.changes import applied
from features.formats import with_fields
from features.items import COUNTED, ITEMS, described, hand_out_indices, items, prices, unseen
from features.questions import ask, candidates, histories
from features.sequences import (
    SEQUENCES,
    as_model_input,
    gathered,
    next_sessions,
    sequences,
    session_counts,
    updated,
)
from features.sessions import mark_sessions, on_days, to_sessions
from features.users import USERS, users
from tests.shop import DAY, at, event, events, rows_of

GAP = timedelta(minutes=30)
KNOWN = {"milk": 3, "bread": 4, "jam": 5}
INDICES = "item_id string, item_index int"


def known(spark, **indices: int):
    return spark.createDataFrame(list((indices or KNOWN).items()), INDICES)


def sessions_of(spark, *rows: dict):
    return to_sessions(mark_sessions(events(spark, *rows), GAP))


def bought(user: str, clock: str | datetime, item: str | None, event_id: str = "", **more):
    return event(user, clock, event_id or f"{user}{clock}{item}", item_id=item, **more)


@pytest.fixture(scope="module")
def shop(spark):
    """Ann's three sessions, Bob's one, and what Ann was sent in between."""
    rows = [
        bought("ann", "10:00:00", "milk"),
        bought("ann", "10:05:00", "milk", amount=1.1, quantity=2.0),
        bought("ann", "10:05:00", "bread", event_type="view", ingest_seq=1, quantity=None, amount=None),
        bought("ann", "11:00:00", "milk"),
        bought("ann", "11:20:00", "jam", amount=2.0, channel="app"),
        bought("ann", "13:00:00", "bread", ingest_seq=1),
        bought("ann", "13:00:00", "jam", ingest_seq=0),
        bought("ann", "13:00:01", "bread"),
        bought("bob", "11:10:00", None),
    ]
    return sessions_of(spark, *rows).persist()


@pytest.fixture(scope="module")
def letters(spark):
    """Passive events, one at the very time of a purchase that arrived after it, and one of a user without sessions."""
    passive = {"event_type": "mail", "is_active": False}
    return events(
        spark,
        event("ann", "10:05:00", "first mail", ingest_seq=-1, **passive),
        event("ann", "10:40:00", "second mail", channel="post", **passive),
        event("cid", "12:00:00", "third mail", **passive),
    )


def test_new_items_are_numbered_on_in_the_order_in_which_they_arrived(spark):
    before = DAY - timedelta(days=1)
    arrived = events(
        spark,
        bought("ann", "10:00:00", "jam", ingest_seq=0),
        bought("ann", "09:00:00", "milk", ingest_seq=1),
        bought("bob", "08:00:00", "bread", ingest_seq=2),
        bought("bob", "11:00:00", "jam", ingest_seq=3),
        bought("ann", "10:00:00", None, ingest_seq=4),
        bought("ann", "12:00:00", "tea", ingest_seq=9, arrival_date=before),
        bought("ann", "12:00:00", "figs", ingest_seq=0, source_file="another"),
    )
    later = hand_out_indices(arrived, known(spark, milk=7))
    assert rows_of(later) == [("bread", 11), ("figs", 9), ("jam", 10), ("tea", 8)]
    assert later.schema["item_index"].dataType.simpleString() == "int"
    first = hand_out_indices(arrived.where("item_id = 'milk'"), spark.createDataFrame([], INDICES))
    assert rows_of(first) == [("milk", 3)], "0, 1 and 2 are padding, unknown and mask"


def test_items_are_counted_by_events_and_by_sessions_before_the_moment(shop):
    assert rows_of(items(shop, at("11:20:00"))) == [
        ("bread", at("10:05:00"), at("10:05:00"), 1, 1),
        ("milk", at("10:00:00"), at("11:00:00"), 3, 2),
    ]
    assert rows_of(items(shop, None), "item_id", "event_count", "session_count") == [
        ("bread", 3, 2),
        ("jam", 2, 2),
        ("milk", 3, 2),
    ]
    assert rows_of(items(shop, at("13:00:01"), ["purchase"]), "item_id", "event_count", "session_count") == [
        ("bread", 1, 1),
        ("jam", 2, 2),
        ("milk", 3, 2),
    ]


def test_every_index_is_an_item_also_without_a_session_or_a_catalogue(spark, shop):
    entry = spark.createDataFrame(
        [("jam", "Jam", "spread", {"brand": "Own"}), ("never bought", None, None, {})],
        no_catalogue(spark).schema,
    )
    seen = items(shop.where("user_id = 'ann'"), None).where("item_id = 'jam'")
    counts = applied(
        unseen(known(spark, jam=5, gone=6)), seen.withColumn("is_less", f.lit(False)), "item_id", COUNTED
    )
    rows = ITEMS.conform(described(counts, entry)).collect()
    found = {row.item_id: row.asDict() for row in rows}
    assert found["jam"]["category"] == "spread"
    assert found["jam"]["attributes"] == {"brand": "Own"}
    assert found["gone"] == dict.fromkeys(found["gone"]) | {
        "item_id": "gone",
        "item_index": 6,
        "event_count": 0,
        "session_count": 0,
        "attributes": {},
    }
    assert set(found) == {"jam", "gone"}


def test_users_are_described_by_what_happened_before_the_moment(shop):
    columns = ("user_id", "first_seen", "last_seen", "session_count", "event_count", "amount")
    assert rows_of(USERS.conform(users(shop, at("11:20:00"), 4)), *columns) == [
        ("ann", at("10:00:00"), at("11:00:00"), 2, 4, 3.1),
        ("bob", at("11:10:00"), at("11:10:00"), 1, 1, 1.0),
    ]
    assert rows_of(users(shop, None, 4), "user_id", "event_count") == [("ann", 8), ("bob", 1)]
    assert users(shop, at("10:00:00"), 4).isEmpty()


def test_a_sequence_is_in_the_order_of_time_then_of_arrival_passive_events_included(spark, shop, letters):
    table = SEQUENCES.conform(sequences(shop, letters, known(spark), None, 100, 4))
    ann, bob, cid = table.orderBy("user_id").collect()
    assert ann.items == [3, 0, 3, 4, 0, 3, 5, 5, 4, 4]
    assert ann.sessions == [1, 0, 1, 1, 0, 2, 2, 3, 3, 3]
    assert ann.event_types[:5] == ["purchase", "mail", "purchase", "view", "mail"]
    clocks = ["10:00:00", "10:05:00", "10:05:00", "10:05:00", "10:40:00"]
    assert ann.timestamps[:5] == [at(clock) for clock in clocks]
    starts = ["10:00:00", "10:05:00", "10:00:00", "10:00:00", "10:40:00"]
    assert ann.session_starts[:5] == [at(clock) for clock in starts], "a passive event's is its own time"
    assert (ann.quantities[2:4], ann.amounts[2:4]) == ([2.0, 0.0], [1.1, 0.0])
    assert ann.channels == ["", "", "", "", "post", "", "app", "", "", ""]
    assert ann.length == 10
    assert (bob.items, bob.sessions) == ([0], [1])
    assert (cid.items, cid.sessions, cid.event_types) == ([0], [0], ["mail"])
    assert all(0 <= row.user_bucket < 4 for row in (ann, bob, cid))


def test_a_sequence_ends_before_the_moment_and_keeps_the_newest(spark, shop, letters):
    columns = ("user_id", "items", "sessions", "length")
    assert rows_of(sequences(shop, letters, known(spark), at("11:20:00"), 3, 4), *columns) == [
        ("ann", [4, 0, 3], [1, 0, 2], 3),
        ("bob", [0], [1], 1),
    ]
    alone = rows_of(sequences(shop, None, known(spark), at("11:20:00"), 100, 4), *columns)
    assert alone[0] == ("ann", [3, 3, 4, 3], [1, 1, 1, 2], 4)


def test_a_model_sees_the_items_of_some_types_in_sessions_before_the_moment_and_their_ages(
    spark, shop, letters
):
    table = sequences(shop, letters, known(spark), None, 100, 4)
    noon = at("12:00:00")
    seen = as_model_input(table, ["purchase", "mail"], noon).collect()
    assert [(row.user_id, row["items"], row.sessions) for row in seen] == [
        ("ann", [3, 3, 3, 5], [1, 1, 2, 2])
    ]
    assert seen[0].ages == pytest.approx([2 / 24, 2 / 24, 1 / 24, 1 / 24])
    schema = as_model_input(table, ["view"], noon).schema
    assert [field.dataType.simpleString() for field in schema] == [
        "string",
        "array<int>",
        "array<int>",
        "array<float>",
    ]


def test_the_table_and_the_function_show_a_model_the_same(spark, shop, letters):
    """Also where a clock that runs ahead has brought events from after the moment."""
    conf = load(["source=plain", "task.event_types=[purchase,view]"])
    table = sequences(shop, letters, known(spark), None, conf.features.max_length, 8)
    for clock in ("10:05:00", "11:20:00", "23:00:00"):
        by_table = rows_of(as_model_input(table, conf.task.event_types, at(clock)))
        assert by_table == rows_of(histories(shop, known(spark), at(clock), conf))


def test_what_is_told_of_events_beside_their_items_is_in_the_table_and_the_function_alike(
    spark, shop, letters
):
    conf = load(["source=plain", "task.event_types=[purchase]", "task.contexts=true"])
    table = sequences(shop, letters, known(spark), None, 100, 8)
    by_table = as_model_input(table, conf.task.event_types, at("12:00:00"), zone="UTC")
    by_function = histories(shop, known(spark), at("12:00:00"), conf)
    monday, app = 1 << 13, hashed("app", 256) << 16
    expected = [1 | 11 << 8 | monday] * 2 + [1 | 12 << 8 | monday] + [1 | 12 << 8 | monday | app]
    for told in (by_table, by_function):
        assert rows_of(told, "user_id", "items", "contexts") == [("ann", [3, 3, 3, 5], expected)]


def test_a_night_of_letters_alone_makes_a_sequence_of_who_had_none_and_grows_that_of_who_had(spark, shop):
    nothing, mail = shop.limit(0), {"event_type": "mail", "is_active": False}
    letters = events(spark, event("ann", "12:00:00", "x", **mail), event("dora", "09:00:00", "y", **mail))
    days = letters.select("user_id", "event_date")
    stored = sequences(shop.where("user_id = 'ann'"), None, known(spark), None, 4, 8)
    changes = nothing.withColumn("_is_in", f.lit(True))
    ours = on_days(shop, [DAY]).where("user_id = 'ann'")
    rows = updated(stored, session_counts(stored, changes), ours, letters, days, known(spark), 4, 8)
    columns = ("user_id", "items", "sessions", "session_count")
    assert rows_of(rows, *columns) == [("ann", [0, 5, 4, 4], [0, 3, 3, 3], 3), ("dora", [0], [0], 0)]


def test_the_next_session_is_the_first_to_start_in_the_time_asked_about(spark, shop):
    def after(start: str, end: str, *types: str) -> list:
        return rows_of(next_sessions(shop, known(spark), list(types or ["purchase"]), at(start), at(end)))

    assert after("10:00:00", "14:00:00") == [("ann", [3])], "the distinct items, of the types asked about"
    assert after("10:00:00", "14:00:00", "purchase", "view") == [("ann", [3, 4])]
    assert after("10:00:01", "14:00:00") == [("ann", [3, 5])], "whole, and not the one that goes on"
    assert after("11:00:01", "13:00:01") == [("ann", [4, 5])]
    assert after("11:00:01", "13:00:00") == [], "the end is not in it"


def test_a_question_is_what_was_before_and_its_answer_what_came_next(spark, shop):
    conf = load(["source=plain"])
    asked = {
        row.user_id: (row["items"], row.targets)
        for row in ask(shop, known(spark), at("11:00:00"), at("12:00:00"), conf).collect()
    }
    assert asked == {"ann": ([3, 3], [3, 5])}
    assert {
        row.user_id: row.targets
        for row in ask(shop, known(spark), at("13:30:00"), at("14:00:00"), conf).collect()
    } == {"ann": None}
    described = known(spark).withColumn("category", f.expr("if(item_id = 'milk', 'dairy', null)"))
    ranked = candidates(shop, described, at("11:20:00"), at("10:30:00"), conf)
    columns = ("item_id", "item_index", "category", "sessions", "validation_sessions")
    assert rows_of(ranked, *columns) == [("milk", 3, "dairy", 2, 1)]
    assert [row.price for row in ranked.collect()] == [None]
    told = load(["source=plain", "task.contexts=true"])
    assert [
        row.price for row in candidates(shop, described, at("11:20:00"), at("10:30:00"), told).collect()
    ] == [0.7]


def test_a_price_is_that_of_a_piece_in_the_mean_before_the_moment(spark):
    made = sessions_of(
        spark,
        bought("ann", "10:00:00", "milk", quantity=2.0, amount=3.0),
        bought("ann", "10:05:00", "milk", quantity=1.0, amount=1.2),
        bought("ann", "10:06:00", "milk", amount=9.0, event_type="view"),
        bought("ann", "10:07:00", "sample", amount=0.0),
        bought("ann", "10:08:00", "jam", quantity=None, amount=2.0),
        bought("ann", "11:00:00", "milk", amount=9.0),
    )
    found = {row.item_id: row.price for row in prices(made, ["purchase"], at("11:00:00")).collect()}
    assert found == {"milk": 1.4}


def test_of_several_lines_of_an_item_the_last_of_the_newest_file_holds(spark):
    source = load(["source=plain"]).source.items
    old, new = date(2026, 11, 1), date(2026, 11, 2)
    lines = spark.createDataFrame(
        [
            (new, "b", 0, '{"item_id":"1","category":"first"}'),
            (new, "b", 1, '{"item_id":"1","title":"Milk","category":"last","attributes":{"size":"1 l"}}'),
            (new, "a", 5, '{"item_id":"1","category":"earlier file"}'),
            (old, "c", 9, '{"item_id":"1","category":"older"}'),
            (old, "c", 0, '{"item_id":"2"}'),
            (old, "c", 1, '{"category":"of nothing"}'),
            (old, "c", 2, "no JSON"),
        ],
        "arrival_date date, source_file string, ingest_seq int, text string",
    )
    assert sorted(tuple(row) for row in catalogue(with_fields(lines, source), source).collect()) == [
        ("1", "Milk", "last", {"size": "1 l"}),
        ("2", None, None, None),
    ]
    of_two = spark.createDataFrame([("2",), ("3",)], "item_id string")
    assert [row.item_id for row in catalogue(with_fields(lines, source), source, of_two).collect()] == ["2"]


def test_a_user_has_one_sequence_also_where_spark_finds_on_the_way_that_a_side_of_a_join_is_small(spark):
    """It then reads the other side's exchange as its tasks wrote it: a user's steps are in several partitions."""
    settings = {
        "spark.sql.autoBroadcastJoinThreshold": "-1",
        "spark.sql.adaptive.autoBroadcastJoinThreshold": "10MB",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
    }
    before = {name: spark.conf.get(name, None) for name in settings}
    clocks, rest = ("start_ts", "event_ts"), ("true is_active", "'buy' event_type", "3 item_index")
    steps = spark.range(0, 200, 1, 4).selectExpr(
        "string(id % 10) user_id",
        *(f"timestamp_seconds(id) {name}" for name in clocks),
        *(*rest, "1.0d quantity", "2.0d amount", "'app' channel"),
    )
    late = spark.range(100).groupBy(f.expr("id % 50")).agg(f.max(f.expr("string(id % 10)")).alias("user_id"))
    counts = late.groupBy("user_id").agg(f.count("*").cast("int").alias("session_count"))
    try:
        for name, value in settings.items():
            spark.conf.set(name, value)
        made = gathered(steps.join(counts, "user_id", "left"), ("event_ts",), 100, 4)
        assert rows_of(made, "user_id", "length") == [(str(user), 20) for user in range(10)]
    finally:
        for name, value in before.items():
            spark.conf.unset(name) if value is None else spark.conf.set(name, value)
