"""Users as of several moments at once: at each moment a user is someone of their own.

What is made for each user is so made for each user and moment, in one pass over the sessions. The `user_id` of such a user
as of a moment is `ann/1512086400000000`: the user, and the moment in microseconds.
"""

from collections.abc import Iterable
from datetime import datetime

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

BETWEEN = "/"  # the last one in it


def at_each(sessions: DataFrame, moments: Iterable[datetime]) -> DataFrame:
    """The sessions of users as of each moment: those that began before it, and their events before it.

    before (moments 11:00 and 13:00)         after
    user  start_ts  events                   user       start_ts  events
    ann   10:00     10:00 milk, 11:05 jam    ann/11:00  10:00     10:00 milk
                                             ann/13:00  10:00     10:00 milk, 11:05 jam
    """
    each = f.explode(f.array(*(f.lit(moment).cast("timestamp") for moment in moments)))
    begun = sessions.withColumn("_moment", each).where(f.col("start_ts") < f.col("_moment"))
    before = f.filter("events", lambda event: event["event_ts"] < f.col("_moment"))
    # A session in which a moment lies is a rare one, and a lambda is slow.
    events = f.when(f.col("end_ts") < f.col("_moment"), f.col("events")).otherwise(before)
    told = begun.withColumns({"user_id": at_moment(f.col("_moment")), "events": events})
    return told.select(*sessions.columns)


def as_of(frame: DataFrame, moment: datetime) -> DataFrame:
    """What is of users, as of these users as of a moment."""
    return frame.withColumn("user_id", at_moment(f.lit(moment).cast("timestamp")))


def moment_of() -> Expression:
    """The moment of a user as of a moment."""
    return f.timestamp_micros(f.substring_index("user_id", BETWEEN, -1).cast("bigint"))


def told_apart(frame: DataFrame) -> DataFrame:
    """What is of users as of a moment, as of these users, with a column `moment`."""
    micros = f.length(f.substring_index("user_id", BETWEEN, -1)) + len(BETWEEN)
    user = f.col("user_id").substr(f.lit(1), f.length("user_id") - micros)
    return frame.withColumns({"moment": moment_of(), "user_id": user})


def at_moment(moment: Expression) -> Expression:
    """The `user_id` of a user as of a moment."""
    return f.concat(f.col("user_id"), f.lit(BETWEEN), f.unix_micros(moment).cast("string"))
