"""A lake of an earlier release, brought to this one, is as if it had never been older."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from pyspark.sql import functions as f

from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake, UnsupportedTable
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES, bucket_of
from features.sessions import SESSIONS
from features.stored import FORMATTED
from features.table import Column, Table
from features.users import USERS
from jobs.job import InputError
from jobs.migrate import migrate
from jobs.sequence import sequence
from tests.jobs.nights import DERIVED, TAKEN_IN, contents, night, shop, versions
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY = "2026-11-02", "2026-11-03"


def bought(user: str | None, clock: str, event_id: str, item: str | None = None, day: str = MONDAY, **more):
    return line(user, f"{day}T{clock}Z", event_id, item_id=item, **more)


def make_older(lake: Lake, table: Table, *without: str, flat: bool = False, **columns: str) -> None:
    """Writes a table as an earlier release did: `without` some columns, others of a type, and no number of its format."""
    kept = tuple(column for column in table.columns if column.name not in (*without, *columns))
    other = tuple(Column(name, kind, "as it was", nullable=True) for name, kind in columns.items())
    older = replace(
        table,
        columns=kept + other,
        partition_by=() if flat else table.partition_by,
        statistics=tuple(name for name in table.statistics if name not in without),
        properties={},
    )
    rows = lake.written(table)
    values = {
        name: (f.col(name) if name in rows.columns else f.lit(1)).cast(kind) for name, kind in columns.items()
    }
    lake.rewrite(older, rows.withColumns(values).drop(*without), lake.facts(table))
    lake.declare(older)
    gone = [FORMATTED, *table.properties]
    names = ", ".join(f"'{name}'" for name in gone)
    lake.spark.sql(f"alter table delta.`{lake.path(table)}` unset tblproperties if exists ({names})")


class Stopped(Lake):
    """A lake whose writer is stopped before it declares a table, or before it writes its rows."""

    at: tuple[str, Table] | None = None

    def declare(self, table):
        if self.at == ("declare", table):
            raise KeyboardInterrupt
        super().declare(table)

    def rewrite(self, table, rows, facts):
        if self.at == ("rewrite", table):
            raise KeyboardInterrupt
        super().rewrite(table, rows, facts)


@pytest.fixture(scope="module")
def earlier(spark, tmp_path_factory):
    """Monday in the tables of earlier releases; they were migrated, with two kills, and Tuesday came."""
    folder = tmp_path_factory.mktemp("earlier")
    (folder / "raw" / "items").mkdir(parents=True)
    (folder / "raw" / "items" / "items.json").write_text(
        '{"item_id": "milk", "category": "dairy", "title": "Whole milk"}\n'
    )
    write_log(
        folder / "raw",
        MONDAY,
        bought("ann", "10:00:00", "a1", "milk", amount=1.5),
        bought("ann", "10:50:00", "a3", "bread"),
        bought("ann", "10:20:00", "m1", event_type="mail"),
        bought("bob", "11:00:00", "b2", "milk"),
        bought("bob", "11:00:00", "late", day="2026-09-01"),
        "{",
    )
    monday, tuesday = shop(folder, MONDAY), shop(folder, TUESDAY)
    lake = Stopped(spark, monday.lake)
    night(spark, monday)
    made = contents(lake, QUARANTINE)
    make_older(lake, EVENTS, "event_date", flat=True)
    make_older(lake, QUARANTINE, "user_id")
    make_older(lake, INGESTED_FILES, "quarantined", batch="int")
    make_older(lake, SESSIONS)
    make_older(lake, SEQUENCES, "session_count")
    make_older(lake, ITEMS, "title")
    make_older(lake, USERS, item_count="bigint")
    seen = SimpleNamespace(lake=lake, folder=folder, quarantine=made, before=versions(lake))
    with pytest.raises(UnsupportedTable, match=r"it has no event_date.*jobs/migrate.py brings the lake"):
        lake.read(EVENTS)
    seen.dry = migrate(replace(monday, dry_run=True), lake)
    seen.after_dry = versions(lake)
    for lake.at in (("rewrite", SEQUENCES), ("declare", ITEMS)):
        with pytest.raises(KeyboardInterrupt):
            migrate(monday, lake)
    lake.at = None
    seen.said = migrate(monday, lake)
    seen.migrated = versions(lake)
    seen.again = migrate(monday, lake)
    seen.after_again = versions(lake)
    write_log(
        folder / "raw",
        TUESDAY,
        bought("ann", "10:25:00", "a2", "jam"),  # late: its session and the next one become one
        bought("ann", "10:00:00", "a1", "milk"),  # sent again
        bought("dan", "09:00:00", "d1", "tea", day=TUESDAY),
    )
    seen.tuesday = night(spark, tuesday)
    return seen


def test_a_dry_run_says_what_is_to_be_done_and_changes_nothing(earlier):
    assert earlier.dry == {
        "kept": 0, "declared": 2, "rewritten": 2, "anew": 3, "refused": 0, "note": "dry_run is set: nothing was changed",
    }  # fmt: skip
    assert earlier.after_dry == earlier.before


def test_run_twice_it_changes_nothing_more(earlier):
    assert earlier.again == {"kept": 7, "declared": 0, "rewritten": 0, "anew": 0, "refused": 0}
    assert earlier.after_again == earlier.migrated


def test_a_night_after_it_makes_what_a_lake_has_that_was_never_older(earlier, spark):
    rebuilt = shop(earlier.folder, TUESDAY, lake="rebuilt")
    night(spark, rebuilt)
    never = Lake(spark, rebuilt.lake)
    assert contents(earlier.lake, *DERIVED) == contents(never, *DERIVED)
    for table in (EVENTS, INGESTED_FILES):
        same = [column.name for column in table.columns if column.name != "batch"]
        assert rows_of(earlier.lake.read(table), *same) == rows_of(never.read(table), *same)
    for table in (*TAKEN_IN, *DERIVED):
        mine, anothers = earlier.lake.stored(table), never.stored(table)
        assert (mine.schema, mine.partition_by) == (anothers.schema, anothers.partition_by), "NOT NULLs too"
        assert mine.properties.items() >= anothers.properties.items()


def test_what_was_covered_stays_covered(earlier):
    assert [earlier.tuesday["ingest"][name] for name in ("files", "batch", "events", "duplicates")] == [
        1,
        2,
        2,
        1,
    ]
    assert earlier.tuesday["sessionize"]["active"] == 2


def test_a_refused_record_is_nobody_s_where_an_earlier_release_did_not_say_whose_it_is(earlier):
    columns = [column.name for column in QUARANTINE.columns if column.name != "user_id"]
    of_monday = earlier.lake.read(QUARANTINE)
    place = QUARANTINE.schema.names.index("user_id")
    before = [(*row[:place], *row[place + 1 :]) for row in earlier.quarantine["quarantine"]]
    assert rows_of(of_monday, *columns) == sorted(before, key=repr)
    assert rows_of(of_monday, "user_id") == [(None,), (None,)]


@pytest.fixture(scope="module")
def small(spark, tmp_path_factory):
    """A night of five users, in a lake of this release."""
    folder = tmp_path_factory.mktemp("small")
    write_log(folder / "raw", MONDAY, *(bought(f"u{n}", "10:00:00", f"e{n}", "milk") for n in range(5)))
    night(spark, shop(folder, MONDAY))
    return SimpleNamespace(folder=folder, lake=Lake(spark, shop(folder, MONDAY).lake))


def but_for_buckets(lake: Lake) -> list[list[tuple]]:
    columns = ([name for name in table.schema.names if name != "user_bucket"] for table in DERIVED)
    return [rows_of(lake.read(table), *names) for table, names in zip(DERIVED, columns, strict=True)]


def test_sessions_that_lack_a_column_are_made_anew_from_events_and_what_follows_them_too(small, spark):
    before, conf = but_for_buckets(small.lake), shop(small.folder, MONDAY)
    make_older(small.lake, SESSIONS, "end_ts")
    assert migrate(conf, small.lake)["anew"] == 4
    assert small.lake.read(SESSIONS).isEmpty()
    night(spark, conf)
    assert but_for_buckets(small.lake) == before


@pytest.mark.long
def test_users_come_into_other_buckets(small):
    before, fewer = but_for_buckets(small.lake), shop(small.folder, MONDAY, "features.user_buckets=3")
    assert migrate(fewer, small.lake)["anew"] == 2
    sequence(fewer, small.lake)
    for table in (USERS, SEQUENCES):
        assert small.lake.read(table).where(f.col("user_bucket") != bucket_of(3)).isEmpty()
    assert but_for_buckets(small.lake) == before
    assert migrate(fewer, small.lake)["anew"] == 0


def test_a_lake_that_cannot_be_brought_here_stays_as_it_is_and_is_told_why(spark, lake, conf):
    older = replace(USERS, columns=(*USERS.columns, Column("item_count", "bigint", "distinct items")))
    lake.overwrite(older, spark.createDataFrame([], older.schema), {})
    lost = replace(
        ITEMS, columns=tuple(column for column in ITEMS.columns if column.name != "item_index"), statistics=()
    )
    lake.overwrite(lost, spark.createDataFrame([], lost.schema), {})
    before = versions(lake, USERS, ITEMS)
    with pytest.raises(
        InputError, match=r"stays as it is. items: it has no item_index, which .*: take the raw logs in anew"
    ):
        migrate(conf, lake)
    assert versions(lake, USERS, ITEMS) == before


def test_nulls_where_none_may_be_are_refused_and_named(spark, lake, conf):
    loose = replace(
        QUARANTINE, columns=tuple(replace(column, nullable=True) for column in QUARANTINE.columns)
    )
    row = dict.fromkeys(QUARANTINE.schema.names) | {"position": 1, "batch": 1}
    lake.append(loose, spark.createDataFrame([tuple(row.values())], loose.schema), {})
    with pytest.raises(
        InputError, match=r"quarantine: checksum, reason, text, .* may not be null, and is in some row"
    ):
        migrate(conf, lake)


def test_a_lake_of_a_newer_release_is_refused_by_every_job(spark, lake, conf):
    newer = replace(QUARANTINE, properties={FORMATTED: "99"})
    lake.append(newer, spark.createDataFrame([], newer.schema), {})
    with pytest.raises(UnsupportedTable, match=r"was written by a newer release: its footfall.format is 99"):
        lake.read(QUARANTINE)
    with pytest.raises(InputError, match=r"quarantine: its format is 99"):
        migrate(conf, lake)


def test_a_folder_without_tables_is_said(lake, conf):
    with pytest.raises(InputError, match=r"there are no tables in .*lake: set lake="):
        migrate(conf, lake)
