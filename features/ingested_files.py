"""`ingested_files`: one row an input file that is in the lake.

Its commit is the last of an ingest: a batch that it does not name is not there.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as f

from features.table import Column, Table

INGESTED_FILES = Table(
    name="ingested_files",
    meaning="One input file whose records are in events and quarantine.",
    columns=(
        Column("checksum", "string", "of its bytes", unit="SHA-256"),
        Column("path", "string", "where it was found first"),
        Column("size", "bigint", "of the file", unit="bytes"),
        Column("modified", "bigint", "when it was last written", unit="milliseconds since 1970"),
        Column("arrival_date", "date", "when it came: the date in its path, else the day of its ingest"),
        Column("records", "bigint", "records read; one for a file that is refused as a whole"),
        Column("events", "bigint", "of these, new events"),
        Column("duplicates", "bigint", "of these, events that were there already"),
        Column("quarantined", "bigint", "of these, refused"),
        Column("source", "string", "name of the source's configuration"),
        Column("batch", "bigint", "number of the ingest, from 1"),
    ),
    key=("checksum",),
    statistics=("batch", "arrival_date"),
)


class NewFile(NamedTuple):
    """An input file that is not in the lake yet."""

    checksum: str
    path: str
    size: int
    modified: int
    arrival_date: date
    problem: str | None  # why it cannot be read to its end


FILES = "checksum string, path string, size bigint, modified bigint, arrival_date date, problem string"


def counted(files: DataFrame, parsed: DataFrame, source: str, batch: int) -> DataFrame:
    """The rows of `ingested_files`: each file with what became of its records."""
    refused = f.col("reason").isNotNull()
    counts = parsed.groupBy(f.col("source_file").alias("path")).agg(
        f.count("*").alias("records"),
        f.count_if(~refused & ~f.col("is_duplicate")).alias("events"),
        f.count_if(f.col("is_duplicate")).alias("duplicates"),
        f.count_if(refused).alias("quarantined"),
    )
    broken = f.col("problem").isNotNull().cast("bigint")
    whole = files.join(counts, "path", "left").fillna(0, ["records", "events", "duplicates", "quarantined"])
    return whole.withColumns(
        {
            "records": f.col("records") + broken,
            "quarantined": f.col("quarantined") + broken,
            "source": f.lit(source),
            "batch": f.lit(batch).cast("bigint"),
        }
    ).select(*INGESTED_FILES.schema.names)


def conserved(report: Sequence[Row], taken: str = "events") -> dict[str, int]:
    """How many `files`, `records`, `duplicates`, `quarantined` and, under that name, `taken` files came to.

    Raises `AssertionError` where a record is lost or doubled.
    """
    names = ("records", taken, "duplicates", "quarantined")
    counts = {"files": len(report)} | {name: sum(row[name] for row in report) for name in names}
    if counts["records"] != counts[taken] + counts["duplicates"] + counts["quarantined"]:
        raise AssertionError(f"records read must be {taken} + duplicates + quarantined: {counts}")
    return counts
