"""The records of raw files as they stand there, each with its place: lines, parts of a file, rows."""

import codecs
import csv
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from itertools import islice
from typing import Any

import pyarrow as pa
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.types import LongType, StringType, StructField, StructType

from conf.schema import Records
from features.formats import ALONE, fields_of, quoted, separators, with_fields
from features.raw import literal
from features.settings import settings

PARTS = "source_file string, ingest_seq bigint, text string"
ANY_ENCODING = {
    "spark.sql.legacy.javaCharsets": "true",  # any that Java knows, not six alone
    "spark.sql.legacy.codingErrorAction": "true",  # a byte that means nothing is replaced, and ends no job
}


def records(spark: SparkSession, paths: list[str], source: Records) -> DataFrame:
    """One row a record: `source_file`, `ingest_seq` (rises with its place in the file), `text`, `fields` and `fault`.

    See `with_fields` for the last three. Must be run inside `one_split_a_task`: only then is the running number of a task
    the position in a split.
    """
    if not source.header:
        return with_fields(as_read(spark, paths, source), source)
    by_header: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        by_header.setdefault(header_of(spark, path, source), []).append(path)
    parts = [
        with_fields(as_read(spark, alike, source), source, header) for header, alike in by_header.items()
    ]
    return reduce(DataFrame.unionByName, parts or [with_fields(as_read(spark, [], source), source)])


def sampled(spark: SparkSession, path: str, source: Records, lines: int) -> DataFrame:
    """As `records`, of the first `lines` of one file, or documents, or rows; Spark reads little more than those."""
    read = as_read(spark, [path], source)
    some = spark.createDataFrame(read.head(lines), read.schema)
    return with_fields(some, source, header_of(spark, path, source) if source.header else ())


def as_read(spark: SparkSession, paths: list[str], source: Records) -> DataFrame:
    """Every record of files as it stands there: `source_file`, `ingest_seq` and `text`; of Parquet, `fields`."""
    if source.format == "parquet":
        return _rows(spark, paths, source)
    with settings(spark, ANY_ENCODING):
        if source.format == "json" or source.multi_line:
            return _parts(spark, paths, source)
        return _lines(spark, paths, source)


def _lines(spark: SparkSession, paths: list[str], source: Records) -> DataFrame:
    """A record a line, without the header's."""
    position = f.monotonically_increasing_id().bitwiseAND((1 << 33) - 1)
    start = f.col("_metadata.file_block_start")
    lines = spark.read.text(literal(paths)).select(
        _file(), (start + position).cast(LongType()).alias("ingest_seq"), _text(source).alias("text")
    )
    return lines.where("ingest_seq > 0") if source.header else lines


def _parts(spark: SparkSession, paths: list[str], source: Records) -> DataFrame:
    """The records of files that must be read as a whole: elements of a JSON array, CSV records over several lines."""
    whole = spark.read.text(literal(paths), wholetext=True)
    text = f.regexp_replace(_text(source), r"\A\ufeff", "")
    files = whole.select(_file(), text.alias("text"))
    if source.format != "json":
        parts = files.mapInArrow(partial(_csv_records, pattern=_csv_record(source)), PARTS)
        return parts.where("ingest_seq > 0") if source.header else parts
    is_array = f.col("text").rlike(r"\A\s*\[") & f.expr(ALONE)
    texts = f.coalesce(f.when(is_array, f.from_json("text", "array<string>")), f.array("text"))
    parts = files.select("source_file", f.posexplode(texts).alias("ingest_seq", "text"))
    text = f.coalesce("text", f.lit("null")).alias("text")
    return parts.select("source_file", f.col("ingest_seq").cast(LongType()), text)


def _csv_records(batches: Iterable[pa.RecordBatch], pattern: str) -> Iterator[pa.RecordBatch]:
    """The records of files, found by Python: Java's patterns recurse, and would use up the stack on many quotes."""
    for batch in batches:
        for file, text in zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True):
            found = enumerate(match.group() for match in re.finditer(pattern, text))
            while some := list(islice(found, 10_000)):
                places, texts = zip(*some, strict=True)
                yield pa.RecordBatch.from_pydict(
                    {"source_file": [file] * len(some), "ingest_seq": places, "text": texts}
                )


def _rows(spark: SparkSession, paths: list[str], source: Records) -> DataFrame:
    """The rows of Parquet files, with the fields that the schema wants."""
    wanted = fields_of(source)
    if not paths:
        kind = StructType([StructField("source_file", StringType()), StructField("ingest_seq", LongType())])
        return spark.createDataFrame([], kind.add("fields", wanted))
    rows = spark.read.schema(wanted).parquet(*literal(paths))
    place = f.col("_metadata.row_index").cast(LongType()).alias("ingest_seq")
    return rows.select(_file(), place, f.struct(*(quoted(field.name) for field in wanted)).alias("fields"))


def header_of(spark: SparkSession, path: str, source: Records) -> tuple[str, ...]:
    """The names of the columns in the first line of a file; none of an empty one."""
    hadoop, java = spark._jvm.org.apache.hadoop, spark._jvm.java.io  # type: ignore[union-attr]
    configuration, place = spark._jsc.hadoopConfiguration(), hadoop.fs.Path(path)
    codec = hadoop.io.compress.CompressionCodecFactory(configuration).getCodec(place)
    stream = place.getFileSystem(configuration).open(place)
    try:
        plain = codec.createInputStream(stream) if codec else stream
        line = java.BufferedReader(java.InputStreamReader(plain, _in_java(source))).readLine()
    finally:
        stream.close()
    delimiter, quote = separators(source)
    how: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    return tuple(next(csv.reader([(line or "").lstrip("\ufeff")], delimiter=delimiter, **how), ()))


@contextmanager
def one_split_a_task(spark: SparkSession) -> Iterator[None]:
    """Within it Spark packs no two splits of files into one task: opening a file counts as much as a full task.

    And it gives times in nanoseconds of Parquet, which pandas writes, as numbers: it has no type for them.
    """
    full = spark.conf.get("spark.sql.files.maxPartitionBytes") or "128MB"
    costs = {"spark.sql.files.openCostInBytes": full, "spark.sql.legacy.parquet.nanosAsLong": "true"}
    with settings(spark, costs):
        yield


def _file() -> Expression:
    """Spark 4.0 gives a file's path as a URL's, with `%20` for a space: as it is listed, where a plus is a plus."""
    path = f.replace(f.col("_metadata.file_path"), f.lit("+"), f.lit("%2B"))
    return f.url_decode(path).alias("source_file")


def _text(source: Records) -> Expression:
    """The text of a line or a file that `spark.read.text` gave as its bytes."""
    if _in_java(source) == "utf-8":
        return f.col("value")
    return f.decode(f.col("value").cast("binary"), _in_java(source))


def _in_java(source: Records) -> str:
    """The encoding by a name that Java knows too: not `latin-1`, but `iso8859-1`."""
    return codecs.lookup(source.encoding).name


def _csv_record(source: Records) -> str:
    """A pattern of one record: what is in quotes, line breaks too, and what is neither a quote nor a line break.

    A quote that never closes takes the rest of the file with it.
    """
    quote = re.escape(separators(source)[1])
    if not quote:
        return r"[^\r\n]++"
    if source.escape is None or source.escape == separators(source)[1]:
        return rf"(?:[^{quote}\r\n]++|{quote}[^{quote}]*+(?:{quote}|\Z))++"
    escape = re.escape(source.escape)
    plain = rf"[^{quote}{escape}\r\n]++|{escape}(?s:.)"
    inside = rf"(?:[^{quote}{escape}]++|{escape}(?s:.))*+"
    return rf"(?:{plain}|{quote}{inside}(?:{quote}|\Z))++"
