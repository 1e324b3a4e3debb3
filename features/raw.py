"""Raw log files: which have arrived, and whether they are whole."""

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StringType, StructField, StructType

from conf.schema import Records
from features.formats import fields_of
from features.parquet import problem_of_parquet

CHECKED = StructType(
    [
        StructField("path", StringType(), False),
        StructField("checksum", StringType(), False),
        StructField("problem", StringType(), True),
    ]
)


@dataclass(frozen=True)
class RawFile:
    """One file below the raw folder. `modified` is in milliseconds since 1970."""

    path: str
    size: int
    modified: int
    arrival_date: date


@dataclass(frozen=True)
class FoundFile:
    """One file somewhere, and the day that its path says it came."""

    path: str
    size: int
    arrival_date: date | None


def files_up_to(spark: SparkSession, raw: str, pattern: str, ds: date) -> list[RawFile]:
    """The files below `raw` that match `pattern` and arrived on `ds` or before, in the order of arrival.

    `{ds}` in the pattern stands for the arrival date (YYYY-MM-DD); without it a file arrives on the day that it is
    first looked at, `ds`. Names that begin with a dot or an underscore are files that are still being written.
    Raises `FileNotFoundError` where the folder `raw` does not exist, `ValueError` for an arrival date that is no day.
    """
    hadoop, system, root = _opened(spark, raw)
    if not system.exists(root):
        raise FileNotFoundError(f"the raw folder {raw} does not exist")
    base = system.getFileStatus(root).getPath().toString()
    found = system.globStatus(hadoop.Path(*literal([base]), pattern.replace("{ds}", "*"))) or []
    dated = re.compile(_as_regex(pattern))
    files = []
    for status in found:
        path = status.getPath().toString()
        match = dated.fullmatch(path.removeprefix(base).lstrip("/"))
        if match is None or status.isDirectory() or status.getPath().getName()[0] in "._":
            continue
        arrival = _day(match["ds"], path) if "{ds}" in pattern else ds
        if arrival <= ds:
            files.append(RawFile(path, status.getLen(), status.getModificationTime(), arrival))
    return sorted(files, key=lambda file: (file.arrival_date, file.path))


def files_at(spark: SparkSession, path: str, pattern: str, others: bool = True) -> list[FoundFile]:
    """A single file; or of a folder, however deep, the files that match `pattern`, else those whose name does, else all.

    Without `others` only files that match it as a whole, a single one too.

    `arrival_date` is what `{ds}` of the pattern stands for in the path of the file, none where it does not match. Names
    that begin with a dot or an underscore are left out. Sorted by path.
    """
    _, system, root = _opened(spark, path)
    if not system.exists(root):
        return []
    dated, named = re.compile(".*/" + _as_regex(pattern)), re.compile(_as_regex(pattern.rsplit("/", 1)[-1]))
    found: list[tuple[int, FoundFile]] = []
    each = system.listFiles(root, True)
    while each.hasNext():
        status = each.next()
        at, name = status.getPath().toString(), status.getPath().getName()
        match = dated.fullmatch(at)
        day = _day(match["ds"], at) if match and "{ds}" in pattern else None
        if name[0] not in "._" and (match or others):
            like = 2 if match else 1 if named.fullmatch(name) else 0
            found.append((like, FoundFile(at, status.getLen(), day)))
    most = max((like for like, _ in found), default=0)
    return sorted((file for like, file in found if like == most), key=lambda file: file.path)


def _opened(spark: SparkSession, path: str) -> tuple[Any, Any, Any]:
    """Hadoop's file systems, the one that the path is in, and the path."""
    hadoop = spark._jvm.org.apache.hadoop.fs  # type: ignore[union-attr]
    root = hadoop.Path(path)
    return hadoop, root.getFileSystem(spark._jsc.hadoopConfiguration()), root


def checked(spark: SparkSession, paths: list[str], source: Records) -> DataFrame:
    """`path`, `checksum` (SHA-256 of the bytes) and `problem`: why a file cannot be read to its end, if so."""
    contents = spark.read.format("binaryFile").load(literal(paths)).select("path", "content")
    wanted = fields_of(source) if source.format == "parquet" else None
    return contents.mapInArrow(partial(_check, wanted=wanted), CHECKED)


def literal(paths: list[str]) -> list[str]:
    """Paths of files as Spark's reader takes them: it would expand the brackets of `events[1].json`."""
    return [re.sub(r"([\[\]{}*?\\])", r"\\\1", path) for path in paths]


def _day(text: str, path: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{path} has {text} as its arrival date, expected a day: rename its folder"
        ) from None


def _as_regex(pattern: str) -> str:
    first, *again = pattern.split("{ds}")
    day, same_day = r"(?P<ds>\d{4}-\d{2}-\d{2})", "(?P=ds)"
    text = _escaped(first)
    for number, part in enumerate(again):
        text += (same_day if number else day) + _escaped(part)
    return text


def _escaped(part: str) -> str:
    return "[^/]*".join(re.escape(text) for text in part.split("*"))


def _check(batches: Iterable[pa.RecordBatch], wanted: StructType | None) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        paths = batch.column(0).to_pylist()
        contents = [value.as_buffer() for value in batch.column(1)]
        sums = [hashlib.sha256(content).hexdigest() for content in contents]
        problems = [
            problem_of_gzip(path, content) if wanted is None else problem_of_parquet(content, wanted)
            for path, content in zip(paths, contents, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(
            [pa.array(paths), pa.array(sums), pa.array(problems, pa.string())],
            ["path", "checksum", "problem"],
        )


def problem_of_gzip(path: str, content: pa.Buffer) -> str | None:
    """Why a gzip file does not decompress to its end, in blocks so that the text is never in memory as a whole."""
    if not path.endswith(".gz"):
        return None
    rest = memoryview(content)
    try:
        while len(rest):
            member = zlib.decompressobj(wbits=31)
            while len(rest) and not member.eof:
                block, rest = rest[: 1 << 20], rest[1 << 20 :]
                chunk = member.decompress(block, 1 << 24)
                while chunk and member.unconsumed_tail:
                    chunk = member.decompress(member.unconsumed_tail, 1 << 24)
            if not member.eof:
                return "broken off before the end of its compressed stream"
            unused = len(member.unused_data)
            rest = memoryview(content)[len(content) - len(rest) - unused :] if unused else rest
    except zlib.error as error:
        return f"not a whole gzip file: {error}"
    return None
