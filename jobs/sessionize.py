"""Sessionize the events that arrived since the last run.

Reads `events`, replaces the sessions that these events touch in `sessions`, in one commit. Safe to run again.

    spark-submit jobs/sessionize.py ds=2017-12-28 lake=var/demo/lake
"""

from datetime import timedelta
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import Batches, events_of, events_upto, pending
from features.lake import Lake
from features.sessions import (
    FIELDS,
    SESSIONS,
    bot_days,
    events_inside,
    mark_sessions,
    to_sessions,
    touched,
    without,
)
from jobs.job import run


def sessionize(conf: Config, lake: Lake) -> dict[str, Any]:
    batches = pending(lake, SESSIONS)
    if not batches:
        return {"note": "no events have arrived since the last run", "sessions": 0}
    gap = timedelta(minutes=conf.features.session_gap_minutes)
    arrived = events_of(lake, batches).where("is_active")
    bots = bots_among(conf, lake, arrived, batches).persist()
    redone = touched(arrived, lake.read(SESSIONS), bots, gap).persist(StorageLevel.DISK_ONLY)
    every = events_inside(redone).unionByName(arrived.select("user_id", *FIELDS))
    kept = without(every, bots)
    new = to_sessions(mark_sessions(kept, gap)).persist(StorageLevel.DISK_ONLY)
    counts = check_conserved(arrived, redone, new, every, kept)
    lake.replace(
        SESSIONS,
        old=redone,
        new=new,
        facts={"job": "sessionize", "ds": conf.ds, **batches.facts(), **counts},
        within=days_of(redone, new),
    )
    for frame in (bots, redone, new):
        frame.unpersist()
    return counts


def bots_among(conf: Config, lake: Lake, arrived: DataFrame, batches: Batches) -> DataFrame:
    """The bot days among the user-days that got new events, all their events counted."""
    days = arrived.select("user_id", "event_date").distinct()
    first, last = days.agg(f.min("event_date"), f.max("event_date")).first()  # type: ignore[misc]
    stored = events_upto(lake, batches.upto).where(f.col("event_date").between(f.lit(first), f.lit(last)))
    return bot_days(
        stored.join(days, ["user_id", "event_date"], "left_semi"), conf.features.max_events_per_user_day
    )


def check_conserved(
    arrived: DataFrame, redone: DataFrame, new: DataFrame, every: DataFrame, kept: DataFrame
) -> dict[str, int]:
    """The counts of a run; refuses to go on where an active event is in no session and not capped, or in two."""
    before, replaced = redone.agg(f.coalesce(f.sum("event_count"), f.lit(0)), f.count("*")).first()  # type: ignore[misc]
    inside, sessions = new.agg(f.coalesce(f.sum("event_count"), f.lit(0)), f.count("*")).first()  # type: ignore[misc]
    active = arrived.count()
    capped = every.count() - kept.count()
    counts = {
        "active": active,
        "in_sessions": int(inside) - int(before),
        "capped": capped,
        "sessions": sessions,
        "sessions_replaced": replaced,
    }
    if active != counts["in_sessions"] + capped:
        raise AssertionError(f"active events must be in sessions or capped: {counts}")
    return counts


def days_of(redone: DataFrame, new: DataFrame) -> Any:
    """The partitions of `sessions` that the merge can touch."""
    days = (
        redone.select("start_date")
        .union(new.select("start_date"))
        .agg(f.min("start_date"), f.max("start_date"))
    )
    first, last = days.first()  # type: ignore[misc]
    return f.col("old.start_date").between(f.lit(first), f.lit(last)) if first else f.lit(False)


if __name__ == "__main__":
    run(sessionize)
