"""`quarantine`: one row a refused record, with its text and the reason."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.table import Column, Table

QUARANTINE = Table(
    name="quarantine",
    meaning="One raw record that was refused.",
    columns=(
        Column("checksum", "string", "of the file", unit="SHA-256"),
        Column(
            "position",
            "bigint",
            "of the record in the file, as ingest_seq; -1: the file as a whole",
            dictionary=False,
        ),
        Column(
            "reason",
            "string",
            "not_a_record, not_text, no_events, no_id, no_user, no_time, unknown_type, too_late, from_future, cycle, "
            "erased, broken_file",
        ),
        Column("user_id", "string", "whose it is; null: it says no user that could be read", nullable=True),
        Column(
            "text",
            "string",
            "the record as it came, but with user_id where it has the id of the user",
            dictionary=False,
        ),
        Column("source_file", "string", "the file"),
        Column("arrival_date", "date", "when the file came"),
        Column("ingest_date", "date", "the night that refused it"),
        Column("batch", "bigint", "number of the ingest that refused it"),
    ),
    key=("checksum", "position"),
    partition_by=("ingest_date",),
    statistics=("position", "batch"),
)


def refused_records(parsed: DataFrame, files: DataFrame, ds: date, batch: int) -> DataFrame:
    """The rows of `quarantine` among parsed records and broken files.

    `parsed` has `reason`, `user_id`, `text`, `source_file`, `arrival_date`, `ingest_seq`; `files` has `path`,
    `checksum`, `arrival_date`, `problem`.
    """
    of_file = files.select(f.col("path").alias("source_file"), "checksum")
    records = (
        parsed.where("reason is not null")
        .join(f.broadcast(of_file), "source_file")
        .select(
            "checksum",
            f.col("ingest_seq").alias("position"),
            "reason",
            "user_id",
            "text",
            "source_file",
            "arrival_date",
        )
    )
    broken = files.where("problem is not null").select(
        "checksum",
        f.lit(-1).cast("bigint").alias("position"),
        f.lit("broken_file").alias("reason"),
        f.lit(None).cast("string").alias("user_id"),
        f.col("problem").alias("text"),
        f.col("path").alias("source_file"),
        "arrival_date",
    )
    both = records.unionByName(broken)
    return both.withColumns({"ingest_date": f.lit(ds), "batch": f.lit(batch).cast("bigint")})


UNREAD = "reason != 'broken_file' and text != '' and (user_id is null or not contains(text, user_id))"
"""SQL: a record of which it is not known whose it is, or in which the user's id may still stand in another spelling."""
