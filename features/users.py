"""`users`: one row a user, the profile as of a date."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.events import happened_before
from features.sequences import bucket_of
from features.table import Column, Table

USERS = Table(
    name="users",
    meaning="One user's profile as of the newest night.",
    columns=(
        Column("user_id", "string", "who"),
        Column("user_bucket", "int", "hash of user_id, modulo features.user_buckets"),
        Column("first_seen", "timestamp", "first event in a session", unit="UTC"),
        Column("last_seen", "timestamp", "last event in a session", unit="UTC"),
        Column("session_count", "bigint", "sessions", unit="sessions"),
        Column("event_count", "bigint", "events in sessions", unit="events"),
        Column("item_count", "bigint", "distinct items", unit="items"),
        Column("amount", "double", "money in all", unit="the shop's currency"),
    ),
    key=("user_id", "user_bucket"),
    partition_by=("user_bucket",),
    statistics=("first_seen", "last_seen"),
)


def users(sessions: DataFrame, as_of: datetime | None, buckets: int) -> DataFrame:
    """The profiles of users with a session that began before a moment, from the events before it.

    before (as of 11:30)                               after
    session  user  events                              user  first  last   sessions  events  items  amount
    s1       ann   10:00 milk 1.00, 10:05 milk 1.00    ann   10:00  11:00  2         3       1      3.00
    s2       ann   11:00 milk 1.00, 12:00 jam 2.00
    """
    fields = f.arrays_zip("events.event_ts", "events.item_id", "events.amount")
    events = sessions.select("user_id", "session_id", f.inline(fields)).where(happened_before(as_of))
    cents = f.round(f.coalesce("amount", f.lit(0.0)) * 10_000).cast(
        "bigint"
    )  # whole numbers add up alike in any order
    return (
        events.withColumn("_cents", cents)
        .groupBy("user_id")
        .agg(
            f.min("event_ts").alias("first_seen"),
            f.max("event_ts").alias("last_seen"),
            f.count_distinct("session_id").alias("session_count"),
            f.count("*").alias("event_count"),
            f.count_distinct("item_id").alias("item_count"),
            (f.sum("_cents") / 10_000).cast("double").alias("amount"),
        )
        .withColumn("user_bucket", bucket_of(buckets))
        .select(*(column.name for column in USERS.columns))
    )
