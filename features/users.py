"""`users`: one row a user, the profile as of a date."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.changes import applied, difference
from features.events import happened_before
from features.parts import parts, whole
from features.sequences import bucket_of
from features.table import Column, Table

USERS = Table(
    name="users",
    meaning="One user's profile as of the newest night.",
    columns=(
        Column("user_id", "string", "who", dictionary=False),
        Column("user_bucket", "int", "hash of user_id, modulo features.user_buckets"),
        Column("first_seen", "timestamp", "first event in a session", unit="UTC", dictionary=False),
        Column("last_seen", "timestamp", "last event in a session", unit="UTC", dictionary=False),
        Column("session_count", "bigint", "sessions", unit="sessions"),
        Column("event_count", "bigint", "events in sessions", unit="events"),
        Column("amount", "double", "money in all", unit="the shop's currency"),
    ),
    key=("user_id", "user_bucket"),
    partition_by=("user_bucket",),
    statistics=("first_seen", "last_seen"),
)

COUNTED = ("session_count", "event_count", "_parts")


def users(sessions: DataFrame, as_of: datetime | None, buckets: int) -> DataFrame:
    """The profiles of users with a session that began before a moment, from the events before it.

    before (as of 11:30)                               after
    session  user  events                              user  first  last   sessions  events  amount
    s1       ann   10:00 milk 1.00, 10:05 milk 1.00    ann   10:00  11:00  2         3       3.00
    s2       ann   11:00 milk 1.00, 12:00 jam 2.00
    """
    fields = f.arrays_zip("events.event_ts", "events.amount")
    events = sessions.select("user_id", "session_id", f.inline(fields)).where(happened_before(as_of))
    return (
        events.withColumn("_cents", parts(f.col("amount")))
        .groupBy("user_id")
        .agg(
            f.min("event_ts").alias("first_seen"),
            f.max("event_ts").alias("last_seen"),
            f.count_distinct("session_id").alias("session_count"),
            f.count("*").alias("event_count"),
            whole(f.sum("_cents")).alias("amount"),
        )
        .withColumn("user_bucket", bucket_of(buckets))
        .select(*(column.name for column in USERS.columns))
    )


def changes_of_users(changes: DataFrame, buckets: int) -> DataFrame:
    """What sessions that were put in and taken out (`_is_in`) change in `users`: see `features.changes.difference`.

    The amount is in parts, as `_parts`.
    """
    put_in, taken_out = (
        users(changes.where(f.col("_is_in") == is_in), None, buckets).withColumn(
            "_parts", parts(f.col("amount"))
        )
        for is_in in (True, False)
    )
    return difference(put_in, taken_out, "user_id", COUNTED)


def updated(stored: DataFrame, changes: DataFrame, buckets: int) -> DataFrame:
    """The profiles of users after `changes` (of `changes_of_users`); without a session left, `session_count` is 0."""
    known = stored.withColumn("_parts", parts(f.col("amount"))).drop("user_bucket", "amount")
    now = applied(known, changes, "user_id", COUNTED)
    rows = now.withColumns({"amount": whole(f.col("_parts")), "user_bucket": bucket_of(buckets)})
    return rows.select(*(column.name for column in USERS.columns))
