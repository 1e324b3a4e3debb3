"""How records are read from files of every format, each with its place, and what becomes of those that cannot be."""

import gzip
import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as f

from conf.load import load
from conf.schema import ItemSource
from features.catalogue import catalogue
from features.formats import PLACE_BITS, SourceError, with_fields
from features.raw import checked, files_up_to
from features.records import one_split_a_task, records
from tests.features.test_raw import put

NIGHT = date(2026, 11, 2)
PLAIN = load(["source=plain"]).source
JSON = replace(PLAIN, schema="user string, n bigint")
CSV = replace(PLAIN, format="csv", schema="user string, n bigint")
TSV = replace(CSV, format="tsv")
LINE = replace(
    PLAIN, format="regex", schema="user string, n bigint", pattern=r"(?<user>\w+)(?:=(?<n>\w*))?;?(x)?"
)
BATCHES = replace(
    PLAIN, format="json_lines", schema="user string, events array<struct<n: bigint>>", explode="events"
)
ANN, BOB = ("ann", 1), ("bob", None)


def read_texts(spark, source, *texts: str, header: tuple[str, ...] = ()) -> list:
    """What is read from lines: the values of the fields, or the fault."""
    columns = "source_file string, ingest_seq bigint, text string"
    lines = spark.createDataFrame([("file", n, text) for n, text in enumerate(texts)], columns)
    rows = with_fields(lines, source, header).orderBy("ingest_seq").collect()
    return [row.fault or tuple(row.fields[name] for name in ("user", "n")) for row in rows]


def read_files(spark, source, *paths: Path) -> list[tuple]:
    """The records of files, in the order of their places: the fault, if any, else the fields."""
    with one_split_a_task(spark):
        rows = records(spark, [str(path) for path in paths], source).collect()
    rows.sort(key=lambda row: (row.source_file, row.ingest_seq))
    places = [(row.source_file, row.ingest_seq) for row in rows]
    assert len(set(places)) == len(places), "a place is one record's"
    assert {Path(row.source_file.removeprefix("file:")) for row in rows} <= set(paths)
    return [row.fault or tuple(row.fields.asDict(recursive=True).values()) for row in rows]


@pytest.mark.parametrize(
    ("source", "table"),
    [
        (
            CSV,
            {
                "ann,1": ANN,
                '"ann",1': ANN,
                "bob,": BOB,
                '"a,b",2': ("a,b", 2),
                '"say ""a""",2': ('say "a"', 2),
                "ann": "not_a_record",
                "ann,1,2": "not_a_record",
                "ann,one": "not_a_record",
                "": "not_a_record",
                "  ": "not_a_record",
                '1,"2': "not_a_record",  # goes on in the next line
                'a",1': "not_a_record",  # and where it ends
                '"': "not_a_record",
            },
        ),
        (replace(CSV, delimiter=";", quote="'", escape="\\"),
         {r"'a\';b';1": ("a';b", 1), "ann;1": ANN, "'ann;1": "not_a_record"}),
        (TSV, {"ann\t1": ANN, 'a"b\t1': ('a"b', 1), "bob\t": BOB, "ann,1": "not_a_record"}),
        (
            LINE,
            {
                "ann=1": ANN,
                "ann=1;x": ANN,
                "bob=": BOB,
                "bob": BOB,
                "ann=one": "not_a_record",
                "ann=1 and more": "not_a_record",
                "a\x01b\x01c\x01": "not_a_record",
                "": "not_a_record",
            },
        ),
        (JSON,
         {'{"user":"ann","n":1}': ANN, '{"user":"bob"}': BOB, '{"user":"ann","n":1}}': "not_a_record",
          '{"user":"}","n":1}': ("}", 1), '{"user":"}","n":1}]': "not_a_record", '{"user":"}","n":1},0]}': "not_a_record",
          '{"user":"}","n":1},"footfall:last":0}': "not_a_record"}),
    ],
    ids=["csv", "csv of its own", "tsv", "regex", "json_lines"],
)  # fmt: skip
def test_a_line_is_read_or_is_not_a_record(spark, source, table):
    assert dict(zip(table, read_texts(spark, source, *table), strict=True)) == table


def test_a_header_names_the_columns_in_any_order_and_of_any_number(spark):
    header = ("N", " User ", "colour")
    assert read_texts(spark, replace(CSV, header=True), "1,ann,red", ",bob,red", "1,ann", header=header) == [
        ANN,
        BOB,
        "not_a_record",
    ]
    assert read_texts(spark, replace(CSV, header=True), "1,red", header=("n", "colour")) == [(None, 1)]


def test_columns_go_by_the_header_of_their_own_file_which_is_no_record(spark, tmp_path):
    first = put(tmp_path / "a.csv", b"user,n\r\nann,1\r\n\r\nbob,\r\n")
    other = put(tmp_path / "b.csv.gz", gzip.compress('\ufeffn;user;"x;y"\n1;ann;-\n'.encode()))
    empty = put(tmp_path / "c.csv", b"")
    only_header = put(tmp_path / "d.csv", b"user,n\n")
    source = replace(CSV, header=True)
    assert read_files(spark, source, first, empty, only_header) == [ANN, "not_a_record", BOB]
    assert read_files(spark, replace(source, delimiter=";"), other) == [ANN]
    assert read_files(spark, source) == []


@pytest.mark.parametrize("escape", [None, "\\"])
def test_quoted_columns_may_run_over_lines_where_the_source_says_so(spark, tmp_path, escape):
    quote = '""' if escape is None else '\\"'
    text = f'user,n\nann,1\n"a\n{quote}b{quote},\r\nc",2\n\n"",\nbob,x\n"never closed,1\nann,1\n'
    path = put(tmp_path / "a.csv", text.encode())
    source = replace(CSV, header=True, escape=escape, multi_line=True)
    assert read_files(spark, source, path) == [
        ANN,
        ('a\n"b",\r\nc', 2),
        (None, None),
        "not_a_record",
        "not_a_record",  # all that follows an open quote
    ]


def test_a_catalogue_is_read_in_any_format_too(spark, tmp_path):
    path = put(tmp_path / "items.csv", b"price,sku,name\n1,7,Jam\n2,8,Tea\n3,7,More jam\n4,,None\n")
    source = ItemSource(
        path="*", format="csv", header=True, schema="sku string, name string", item_id="sku", title="name"
    )
    read = records(spark, [str(path)], source).withColumn("arrival_date", f.lit(NIGHT))
    assert [(row.item_id, row.title) for row in catalogue(read, source).orderBy("item_id").collect()] == [
        ("7", "More jam"),
        ("8", "Tea"),
    ]
    with pytest.raises(SourceError, match=r"^source\.items\.title: .*nme"):
        catalogue(read, replace(source, title="nme"))


def test_a_text_is_read_in_its_encoding_and_bytes_that_it_does_not_have_are_refused(spark, tmp_path):
    paths = [put(tmp_path / f"{name}.csv", "Zoë €,1\nann,1\n".encode(name)) for name in ("cp1252", "utf-8")]
    assert read_files(spark, replace(CSV, encoding="windows-1252"), paths[0]) == [("Zoë €", 1), ANN]
    assert read_files(spark, replace(CSV, encoding="latin-1", header=True), paths[0]) == [(None, None)]
    assert read_files(spark, CSV, paths[1]) == [("Zoë €", 1), ANN]
    assert read_files(spark, CSV, paths[0]) == ["not_text", ANN]
    chinese = put(tmp_path / "z", "价,1".encode("gbk"))
    assert read_files(spark, replace(CSV, encoding="gbk", multi_line=True), chinese) == [("价", 1)]


def test_the_text_of_what_is_refused_can_be_written_as_text(spark, tmp_path):
    path = put(tmp_path / "a.csv", b"a\xffb,1\n")
    [row] = records(spark, [str(path)], CSV).collect()
    assert (row.fault, row.text) == ("not_text", "a\ufffdb,1")


def test_a_json_file_is_one_document_or_an_array_of_them(spark, tmp_path):
    ann, bob = {"user": "ann", "n": 1}, {"user": "bob"}
    array = "\ufeff\n" + json.dumps([ann, None, 5, bob, {"user": "x", "n": "y"}], indent=2)
    two = json.dumps(ann) + "\n" + json.dumps(bob)
    texts = [array, json.dumps(ann, indent=2), "[]", "", "[", json.dumps([ann]) + "]", two]
    paths = [put(tmp_path / f"{n}.json", text.encode()) for n, text in enumerate(texts)]
    broken = "not_a_record"
    assert read_files(spark, replace(JSON, format="json"), *paths) == [
        (*ANN, None), broken, broken, (*BOB, None), broken,
        (*ANN, None),
        broken,
        broken,
        broken,
    ]  # fmt: skip


def test_elements_of_an_array_are_records_each_with_a_place_after_its_parents(spark, tmp_path):
    lines = [
        {"user": "ann", "events": [{"n": 1}, {"n": 2}]},
        {"user": "bob", "events": []},
        "{",
        {"user": "cid"},
        {"user": "dan", "events": [{"n": 3}, None]},
    ]
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path = put(tmp_path / "a.json", text.encode())
    rows = sorted(records(spark, [str(path)], BATCHES).collect(), key=lambda row: row.ingest_seq)
    line = 1 << PLACE_BITS
    assert [(row.ingest_seq, row.text, row.fault) for row in rows] == [
        (0, '{"user":"ann","element":{"n":1}}', None),
        (1, '{"user":"ann","element":{"n":2}}', None),
        (line, json.dumps(lines[1]), "no_events"),
        (2 * line, "{", "not_a_record"),
        (3 * line, json.dumps(lines[3]), "no_events"),
        (4 * line, '{"user":"dan","element":{"n":3}}', None),
        (4 * line + 1, '{"user":"dan"}', None),
    ]
    assert [(row.fields.element.n, row.fields.place) for row in rows[:2]] == [(1, 0), (2, 1)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"explode": "user"}, "source.explode must give an array, got string: user"),
        ({"explode": "evnts"}, r"source.explode: .*evnts"),
        ({"schema": "user string, Place int, events array<int>"}, "source.schema has a field 'place'"),
        ({"derived": {"first": "events[0].n", "second": "frist + 1"}}, r"source.derived.second: .*frist"),
        ({"format": "regex", "pattern": "(?<user>.)(?P<n>.)", "explode": None}, r"source.pattern: .*It is: "),
        ({"schema": "user strin"}, r"source.schema: .*"),
        ({"format": "regex", "pattern": "(?<user>.)", "explode": None},
         "names 'events', expected groups of source.pattern: user"),
    ],
)  # fmt: skip
def test_a_source_that_does_not_fit_its_records_is_refused_with_its_key(spark, changed, words):
    with pytest.raises(SourceError, match=words):
        read_texts(spark, replace(BATCHES, **changed), "{}")


def test_rows_of_parquet_have_the_fields_that_the_schema_wants_and_a_text(spark, tmp_path):
    table = pa.table(
        {
            "n": pa.array([1, 2, None], pa.int32()),
            "user": ["ann", None, "bob"],
            "at": pa.array([datetime(2026, 11, 2, 10, 0, 0, 5)] * 3, pa.timestamp("ns")),
            "when": pa.array([datetime(2026, 11, 2, 10, 0, 0, 5)] * 3, pa.timestamp("us", "UTC")),
            "unwanted": [[1]] * 3,
        }
    )
    path = tmp_path / "a b.parquet"
    pq.write_table(table, path, row_group_size=2)
    source = replace(
        PLAIN, format="parquet", schema="user string, n bigint, at bigint, `when` timestamp, missing double"
    )
    assert [row.problem for row in checked(spark, [str(path)], source).collect()] == [None]
    nanos, micros = 1793613600000005000, datetime(2026, 11, 2, 10, 0, 0, 5)
    assert read_files(spark, source, path) == [
        ("ann", 1, nanos, micros, None),
        (None, 2, nanos, micros, None),
        ("bob", None, nanos, micros, None),
    ]
    with one_split_a_task(spark):
        text = records(spark, [str(path)], source).orderBy("ingest_seq").first().text
    assert text == '{"user":"ann","n":1,"at":1793613600000005000,"when":"2026-11-02T10:00:00.000005Z"}'
    assert records(spark, [], source).collect() == []


def test_a_parquet_file_that_spark_could_not_read_is_said_to_be_broken(spark, tmp_path):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"user": ["ann"] * 100, "n": ["1"] * 100, "tags": [["a"]] * 100}), whole)
    content = whole.read_bytes()
    put(tmp_path / "cut.parquet", content[:-9])
    put(tmp_path / "none.parquet", b"user,n\n")
    put(tmp_path / "hole.parquet", content[:4] + bytes(40) + content[44:])
    wanted = replace(PLAIN, format="parquet", schema="user string, n string, tags array<string>")
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    problems = {Path(row.path).stem: row.problem for row in checked(spark, paths, wanted).collect()}
    assert problems.pop("whole") is None
    assert set(problems) == {"cut", "none", "hole"}
    assert all(problem.startswith("not a whole Parquet file: ") for problem in problems.values()), problems
    for schema, words in (
        ("n bigint", "n is string, expected bigint: change source.schema"),
        ("tags array<int>", "tags is array<string>, expected array<int>: change source.schema"),
    ):
        [row] = checked(spark, [str(whole)], replace(wanted, schema=schema)).collect()
        assert row.problem == words


def test_a_record_knows_its_file_and_its_line_whatever_file_and_folder_are_called(spark, tmp_path):
    raw = tmp_path / "raw [1]"
    names = ["a.json.gz", "with space %20.json", "brackets[1]{x}.json", "ümlaut+.json"]
    for name in names:
        text = "".join(f"{name} {n}\n" for n in range(3)).encode()
        put(raw / name, gzip.compress(text) if name.endswith(".gz") else text)
    files = files_up_to(spark, str(raw), "*", NIGHT)
    assert len(files) == len(names)
    with one_split_a_task(spark):
        lines = records(spark, [file.path for file in files], PLAIN)
        read = sorted((row.source_file, row.ingest_seq, row.text) for row in lines.collect())
    assert read == sorted(
        (file.path, n, f"{file.path.rsplit('/', 1)[-1]} {n}") for file in files for n in range(3)
    )
    assert {row.path for row in checked(spark, [file.path for file in files], PLAIN).collect()} == {
        file.path for file in files
    }


def test_ingest_seq_rises_over_the_splits_of_a_big_file(spark, tmp_path):
    path = put(tmp_path / "big.json", b"".join(b"%d\n" % n for n in range(1000)))
    spark.conf.set("spark.sql.files.maxPartitionBytes", "500b")
    try:
        with one_split_a_task(spark):
            lines = records(spark, [str(path)], PLAIN)
            assert lines.rdd.getNumPartitions() > 5
            read = sorted((row.ingest_seq, int(row.text)) for row in lines.collect())
    finally:
        spark.conf.unset("spark.sql.files.maxPartitionBytes")
    assert [number for _, number in read] == list(range(1000))
    assert len({seq for seq, _ in read}) == 1000
