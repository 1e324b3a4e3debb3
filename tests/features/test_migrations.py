"""What becomes of a table of another release."""

import hashlib

import pytest
from pyspark.sql.types import StructField, StructType

from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.migrations import (
    ANEW_FROM_LOGS,
    MADE_BY,
    Plan,
    Step,
    brought_up,
    nulls_in,
    plan,
    uncovered,
    with_followers,
)
from features.predictions import PREDICTIONS
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.stored import FORMAT, FORMATTED, Stored, properties_of
from features.table import Table, type_of
from features.tables import TABLES
from features.user_features import USER_FEATURES
from features.users import USERS

OF_FIRST = {
    "events": "d3af7e8c",
    "quarantine": "d95159d3",
    "ingested_files": "4207e7f3",
    "identities": "189859c4",
    "identity_files": "1aff1238",
    "erased_users": "8e7c8bb6",
    "quality": "88e36d08",
    "predictions": "6eeec637",
    "promotions": "51c03775",
}
OF_SECOND = OF_FIRST | {"rules": "1ab2af6c", "promotions": "fbd26daa", "monitoring": "16db5bc3"}
OF_THIRD = OF_SECOND | {"predictions": "d7698c94", "promotions": "d7cac7c6"}
OF_FOURTH = OF_THIRD | {"promotions": "837839fe"}
SHAPES = {
    1: OF_FIRST,
    2: OF_SECOND,
    3: OF_THIRD,
    4: OF_FOURTH,
    5: OF_FOURTH | {"events": "b08b9226"},
}
"""Number of the format -> table that is made from no other -> digest of its columns and its layout."""


def stored(table: Table, *without: str, **other: str | bool) -> Stored:
    """A table as declared, but `without` some columns, and with `other` types or nullability of some."""
    fields = {field.name: field for field in table.schema if field.name not in without}
    for name, how in other.items():
        kept = fields.get(name, StructField(name, type_of("string")))
        is_type = isinstance(how, str)
        fields[name] = StructField(
            name, type_of(how) if is_type else kept.dataType, kept.nullable if is_type else how
        )
    return Stored(StructType(list(fields.values())), table.partition_by, properties_of(table))


def with_properties(of: Stored, **properties: str) -> Stored:
    return Stored(of.schema, of.partition_by, of.properties | properties)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_of_this_release_stays_as_it_is(table):
    assert plan(table, stored(table)) == Plan(table, stored(table), Step.KEPT, ())


@pytest.mark.parametrize(
    ("table", "found", "step", "why"),
    [
        # What earlier releases wrote.
        (QUARANTINE, stored(QUARANTINE, "user_id"), Step.DECLARED, "it has no user_id"),
        (ITEMS, stored(ITEMS, "title"), Step.ANEW, "it has no title"),
        (SEQUENCES, stored(SEQUENCES, "session_count"), Step.ANEW, "it has no session_count"),
        (USERS, stored(USERS, item_count="bigint"), Step.REWRITTEN, "it has item_count, which nothing reads"),
        (PREDICTIONS, stored(PREDICTIONS, "explained"), Step.DECLARED, "it has no explained"),
        (EVENTS, stored(EVENTS, "channel"), Step.DECLARED, "it has no channel"),
        (SEQUENCES, stored(SEQUENCES, "channels"), Step.ANEW, "it has no channels"),
        # Columns that follow from others of their row.
        (EVENTS, stored(EVENTS, "event_date"), Step.REWRITTEN, "it has no event_date"),
        # Other types.
        (INGESTED_FILES, stored(INGESTED_FILES, batch="int"), Step.REWRITTEN, "batch is int, expected bigint"),
        (PREDICTIONS, stored(PREDICTIONS, value="float"), Step.REWRITTEN, "value is float, expected double"),
        (USERS, stored(USERS, amount="string"), Step.ANEW, "amount is string, expected double"),
        (USER_FEATURES.table, stored(USER_FEATURES.table, "spend"), Step.ANEW, "it has no spend"),
        # Nulls.
        (EVENTS, stored(EVENTS, amount=False), Step.DECLARED, "amount may be null"),
        (EVENTS, stored(EVENTS, user_id=True), Step.REWRITTEN, "user_id may not be null"),
    ],
)  # fmt: skip
def test_it_is_brought_up_by_the_least_that_does(table, found, step, why):
    assert plan(table, found) == Plan(table, found, step, (why,))


@pytest.mark.parametrize(
    ("table", "found", "why"),
    [
        (EVENTS, stored(EVENTS, "source_file"), f"it has no source_file, which follows from nothing else: {ANEW_FROM_LOGS}"),
        (ITEMS, stored(ITEMS, "item_index"), f"it has no item_index, which follows from nothing else: {ANEW_FROM_LOGS}"),
        (EVENTS, stored(EVENTS, amount="string"), f"amount is string, which does not become double: {ANEW_FROM_LOGS}"),
        (EVENTS, stored(EVENTS, colour="string"),
         "it has colour, which no release up to this one had: use the one that wrote it, or take the column out"),
        (USERS, with_properties(stored(USERS), **{FORMATTED: "99"}),
         f"its format is 99, and this release knows none above {FORMAT}: use the newer one that wrote it"),
    ],
)  # fmt: skip
def test_what_can_be_had_from_nothing_is_refused_with_what_to_do(table, found, why):
    assert plan(table, found) == Plan(table, found, Step.REFUSED, (why,))


def test_another_layout_is_written_whole_and_other_properties_are_declared():
    flat = Stored(EVENTS.schema, (), properties_of(EVENTS))
    assert plan(EVENTS, flat).found == ("it is partitioned by nothing, expected event_date",)
    assert plan(EVENTS, flat).step is Step.REWRITTEN
    kept = properties_of(SESSIONS) | {"delta.dataSkippingStatsColumns": "event_ts,batch,arrival_date"}
    del kept["delta.enableChangeDataFeed"]
    bare = Stored(SESSIONS.schema, SESSIONS.partition_by, kept)
    assert plan(SESSIONS, bare).step is Step.DECLARED
    assert plan(SESSIONS, bare).found == (
        "delta.dataSkippingStatsColumns is event_ts,batch,arrival_date, expected start_ts,end_ts",
        "delta.enableChangeDataFeed is not set, expected true",
    )


@pytest.mark.parametrize(
    ("sessions", "moves"),
    [
        (stored(SESSIONS), False),
        (with_properties(stored(SESSIONS), **{"delta.dataSkippingStatsColumns": "end_ts"}), False),
        (with_properties(stored(SESSIONS), **{"delta.enableChangeDataFeed": "false"}), True),
        (stored(SESSIONS, "end_ts"), True),
        (stored(SESSIONS, start_date=True), True),
    ],
)
def test_what_follows_sessions_is_made_anew_before_they_are_written_and_only_then(sessions, moves):
    plans = with_followers(
        [plan(SESSIONS, sessions), *(plan(t, stored(t)) for t in (QUARANTINE, ITEMS, SEQUENCES, USERS))]
    )
    assert [each.table.name for each in plans] == ["quarantine", "items", "sequences", "users", "sessions"]
    step = Step.ANEW if moves else Step.KEPT
    assert [each.step for each in plans[:4]] == [Step.KEPT, step, step, step]


def test_rows_of_an_earlier_release_get_columns_from_others_or_null_and_wider_types(spark):
    ddl = "checksum string, path string, size int, records bigint, events bigint, duplicates bigint"
    rows = brought_up(spark.createDataFrame([("a", "p", 7, 10, 6, 1)], ddl), INGESTED_FILES)
    assert rows.schema.names == INGESTED_FILES.schema.names
    assert [f.dataType for f in rows.schema] == [c.data_type for c in INGESTED_FILES.columns]
    (row,) = rows.collect()
    assert (row.size, row.quarantined, row.source) == (7, 3, None)
    assert nulls_in(rows, INGESTED_FILES) == ["modified", "arrival_date", "source", "batch"]


def test_a_table_that_is_made_anew_forgets_what_it_covered_and_nothing_else():
    facts = {"ds": "2026-11-02", "users": 3, "batches_upto": 2, "sessions_version": 5, "catalogue": "1f"}
    assert uncovered(facts) == {"ds": "2026-11-02", "users": 3}


def test_columns_change_with_the_number_of_the_format_alone():
    """Where this fails, say in features/migrations.py how older rows get there, and raise FORMAT in features/stored.py."""
    assert SHAPES[FORMAT] == {table.name: shape(table) for table in TABLES if table.name not in MADE_BY}


def shape(table: Table) -> str:
    text = f"{table.schema.json()} {table.partition_by}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]
