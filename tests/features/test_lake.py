"""What a write to the lake promises, and what it refuses."""

from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyarrow.parquet import ParquetFile
from pyspark.errors.exceptions.base import PySparkException

from features.lake import Lake, UnsupportedTable
from features.table import Column, SchemaError, Table
from tests.shop import rows_of

SHELF = Table(
    name="shelf",
    meaning="One thing on a shelf.",
    columns=(
        Column("thing", "string", "what", dictionary=False),
        Column("shelf", "int", "on which"),
        Column("count", "bigint", "how many", nullable=True),
        Column("tags", "map<string,string>", "what it says of itself"),
        Column(
            "parts",
            (
                Column("name", "string", "of the part", dictionary=False),
                Column("weight", "double", "of it", nullable=True),
            ),
            "what it is made of",
        ),
    ),
    key=("thing",),
    partition_by=("shelf",),
    statistics=("count",),
)
DDL = "thing string, shelf int, count bigint, tags map<string,string>, parts array<struct<name:string,weight:double>>"


def things(spark, *rows: tuple, ddl: str = DDL):
    """Rows of (thing, shelf, count), or with tags and parts too."""
    return spark.createDataFrame(
        [(*row, {"a": "1"}, [("lid", None)])[: max(5, len(row))] for row in rows], ddl
    )


def stored(lake: Lake) -> list[tuple]:
    return rows_of(lake.read(SHELF), "thing", "shelf", "count")


def test_a_frame_that_does_not_match_the_declaration_is_refused_with_all_its_faults(spark, lake):
    frame = spark.createDataFrame([("cup", 1, 2)], "thing string, shelf string, colour int")
    with pytest.raises(SchemaError) as refused:
        lake.append(SHELF, frame.withColumn("count", frame.colour), {})
    assert str(refused.value) == (
        "a write to shelf does not match its declaration: colour: unknown column; "
        "shelf: got string, expected int; count: got int, expected bigint; "
        "tags: missing, expected map<string,string>; "
        "parts: missing, expected array<struct<name:string,weight:double>>"
    )
    assert stored(lake) == []


def test_a_null_where_none_may_be_is_refused_and_nothing_is_written(spark, lake):
    lake.append(SHELF, things(spark, ("cup", 1, None)), {})
    for row, message in [
        ((None, 1, 1), "NOT NULL"),
        (("pot", 1, 1, {}, None), "NOT NULL"),
        (
            ("pot", 1, 1, {}, [("lid", 1.0), (None, 1.0)]),
            "shelf.parts has an element with a null in one of: name",
        ),
        (("pot", 1, 1, {}, [None]), "shelf.parts has an element with a null in one of: name"),
    ]:
        with pytest.raises((PySparkException, Py4JJavaError), match=message):
            lake.append(SHELF, things(spark, ("fine", 1, 1), row), {})
    assert stored(lake) == [("cup", 1, None)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delta.enableDeletionVectors", "TRUE"),
        ("delta.columnMapping.mode", "name"),
    ],
)
def test_a_table_whose_files_do_not_hold_its_rows_is_refused_to_read_and_to_write(spark, lake, name, value):
    lake.append(SHELF, things(spark, ("cup", 1, 1)), {})
    spark.sql(f"alter table delta.`{lake.path(SHELF)}` set tblproperties ('{name}' = '{value}')")
    for use in (
        lambda: lake.read(SHELF),
        lambda: lake.append(SHELF, things(spark, ("pot", 1, 1)), {}),
        lambda: lake.insert_new(SHELF, things(spark, ("pot", 1, 1)), {}),
        lambda: lake.replace(SHELF, things(spark, ("cup", 1, 1)), things(spark, ("pot", 1, 1)), {}),
        lambda: lake.replace_where(SHELF, things(spark, ("pot", 1, 1)), "shelf = 1", {}),
        lambda: lake.overwrite(SHELF, things(spark, ("pot", 1, 1)), {}),
        lambda: lake.delete(SHELF, "shelf = 1", {}),
    ):
        version = lake.version(SHELF)
        with pytest.raises(UnsupportedTable, match=rf"shelf has {name}=.*: rewrite it without"):
            use()
        assert lake.version(SHELF) == version


def test_parquet_makes_no_dictionary_of_columns_that_are_declared_without_one(spark, lake):
    lake.append(SHELF, things(spark, *((f"cup {n % 3}", 1, n % 3) for n in range(99))), {})
    lake.delete(SHELF, "count = 1", {})  # Delta's own rewrite of a file
    files = sorted(Path(lake.path(SHELF).removeprefix("file:")).rglob("*.parquet"))
    assert len(files) == 2
    for file in files:
        columns = (ParquetFile(file).metadata.row_group(0).column(n) for n in range(6))
        encoded = {column.path_in_schema: "PLAIN_DICTIONARY" in column.encodings for column in columns}
        assert not encoded["thing"] and not encoded["parts.list.element.name"]
        assert encoded["count"] and encoded["tags.key_value.key"]


def test_deletion_vectors_of_the_past_are_refused_too(spark, lake):
    path = f"delta.`{lake.path(SHELF)}`"
    lake.append(SHELF, things(spark, *((f"cup {n}", 1, n) for n in range(9))), {})
    spark.sql(f"alter table {path} set tblproperties ('delta.enableDeletionVectors' = 'true')")
    spark.sql(f"delete from {path} where count = 3")
    spark.sql(f"alter table {path} set tblproperties ('delta.enableDeletionVectors' = 'false')")
    with pytest.raises(UnsupportedTable, match="deletionVectors"):
        lake.read(SHELF)


def test_a_table_with_other_columns_than_declared_is_refused_and_the_columns_are_named(spark, lake):
    old = (
        *SHELF.columns[:2],
        Column("count", "int", "how many", nullable=True),
        Column("colour", "string", "of it"),
    )
    lake.append(
        Table(**(vars(SHELF) | {"columns": old})),
        spark.createDataFrame([("cup", 1, 1, "red")], "thing string, shelf int, count int, colour string"),
        {},
    )
    for use in (lambda: lake.read(SHELF), lambda: lake.append(SHELF, things(spark, ("pot", 1, 1)), {})):
        with pytest.raises(UnsupportedTable) as refused:
            use()
        assert (
            "written by another release: it has no tags, it has no parts, it has colour, which nothing reads, "
            "count is int, expected bigint. jobs/migrate.py brings" in str(refused.value)
        )


def test_a_table_is_empty_before_its_first_write_and_has_no_version(lake):
    assert lake.read(SHELF).schema == SHELF.schema
    assert stored(lake) == []
    assert lake.version(SHELF) is None
    assert lake.facts(SHELF) == {}
    assert lake.history(SHELF) == []
    lake.delete(SHELF, "shelf = 1", {})
    assert lake.version(SHELF) is None


def test_a_version_stays_readable_and_facts_are_those_of_the_newest_commit_that_has_any(spark, lake):
    lake.append(SHELF, things(spark, ("cup", 1, 1)), {"job": "first", "counts": {"a": 1}, "of": None})
    version = lake.version(SHELF)
    lake.append(SHELF, things(spark, ("pot", 2, 1)), {"job": 'it\'s "second"'})
    spark.sql(f"alter table delta.`{lake.path(SHELF)}` set tblproperties ('note' = 'no facts')")
    assert lake.facts(SHELF) == {"job": 'it\'s "second"'}
    assert lake.history(SHELF) == [
        {"job": "first", "counts": {"a": 1}, "of": None, "rows": 1},
        lake.facts(SHELF) | {"rows": 1},
    ]
    assert rows_of(lake.read(SHELF, version), "thing") == [("cup",)]
    assert lake.properties(SHELF)["delta.enableDeletionVectors"] == "false"


def test_replacing_is_one_commit_that_leaves_the_others(spark, lake):
    lake.append(SHELF, things(spark, ("cup", 1, 1), ("pot", 1, 1), ("pan", 2, 1), ("jug", 2, 1)), {})
    before = lake.version(SHELF)
    old = lake.read(SHELF).where("thing in ('cup', 'pan')")
    lake.replace(SHELF, old, things(spark, ("cup", 1, 5), ("lid", 2, 1)), {"job": "replace"})
    assert stored(lake) == [("cup", 1, 5), ("jug", 2, 1), ("lid", 2, 1), ("pot", 1, 1)]
    assert lake.version(SHELF) == before + 1
    assert lake.facts(SHELF) == {"job": "replace"}
    lake.replace(SHELF, lake.read(SHELF).where("thing = 'jug'"), things(spark).limit(0), {"job": "remove"})
    assert stored(lake) == [("cup", 1, 5), ("lid", 2, 1), ("pot", 1, 1)]
    assert lake.version(SHELF) == before + 2


def test_changes_are_what_commits_put_in_and_took_out(spark, lake):
    kept = Table(**(vars(SHELF) | {"properties": {"delta.enableChangeDataFeed": "true"}}))
    lake.append(kept, things(spark, ("cup", 1, 1), ("pot", 1, 1)), {})
    first = lake.version(kept)
    lake.replace(kept, lake.read(kept), things(spark, ("cup", 1, 5)), {})
    lake.append(kept, things(spark, ("pan", 2, 1)), {})
    last = lake.version(kept)
    assert rows_of(lake.changes(kept, first, last), "thing", "count", "_is_in") == [
        ("cup", 1, False),
        ("cup", 5, True),
        ("pan", 1, True),
        ("pot", 1, False),
    ]
    assert lake.changes(kept, last, last).isEmpty()


def test_inserting_new_keys_leaves_what_is_there(spark, lake):
    cup, pot = ("cup", 1, 1, {"a": "1", "b": "2"}, []), ("pot", 1, 1, {}, [])
    lake.append(SHELF, things(spark, cup), {})
    lake.insert_new(SHELF, things(spark, ("cup", 1, 9), pot), {})
    assert stored(lake) == [("cup", 1, 1), ("pot", 1, 1)]


def test_only_the_rows_of_the_predicate_are_replaced_and_only_by_such_rows(spark, lake):
    lake.replace_where(SHELF, things(spark, ("cup", 1, 1), ("pot", 1, 1)), "shelf = 1", {})
    lake.replace_where(SHELF, things(spark, ("pan", 2, 1)), "shelf = 2", {})
    lake.replace_where(SHELF, things(spark, ("jug", 1, 7)), "shelf = 1", {"job": "again"})
    assert stored(lake) == [("jug", 1, 7), ("pan", 2, 1)]
    with pytest.raises(PySparkException, match="shelf"):
        lake.replace_where(SHELF, things(spark, ("jug", 3, 7)), "shelf = 1", {})
    assert stored(lake) == [("jug", 1, 7), ("pan", 2, 1)]


def test_rows_that_are_kept_are_written_beside_new_ones_as_they_lie_in_their_files(spark, lake):
    shelves = [("cup", 1, 1), ("pan", 2, 1), ("pot", 1, 1)]
    lake.replace_where(SHELF, things(spark, *shelves), "true", {})
    for night in range(6):
        kept = lake.read(SHELF).where("thing != 'jug'")
        lake.replace_where(SHELF, things(spark, ("jug", 1, night)), "true", {}, kept)
        assert stored(lake) == sorted([*shelves, ("jug", 1, night)])
    files = len(lake.read(SHELF).inputFiles())
    assert files <= 8, "files do not pile up: a task writes one for each partition of the files that it reads"


def test_an_overwritten_table_holds_what_was_written_last_and_says_so(spark, lake):
    lake.overwrite(SHELF, things(spark, ("cup", 1, 1)), {})
    described = Table(**(vars(SHELF) | {"properties": {"footfall.spec": '{"size": 2}'}}))
    lake.overwrite(described, things(spark, ("pot", 1, 1), ("pan", 1, 1)), {"counts": 2}, rows_per_file=1)
    assert stored(lake) == [("pan", 1, 1), ("pot", 1, 1)]
    assert len(lake.read(SHELF).inputFiles()) == 2
    assert lake.properties(SHELF)["footfall.spec"] == '{"size": 2}'
    assert lake.facts(SHELF) == {"counts": 2}


def test_a_relative_folder_is_a_folder(spark, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Lake(spark, "var/lake").root
    assert root.startswith("file:/")
    assert root.endswith("/var/lake")
