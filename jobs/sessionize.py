"""Sessionize the events that arrived since the last run.

Reads `events`, replaces the sessions that these events touch in `sessions`, in one commit. Where visitors logged in
(`identities`), their events are those of the users that they are, the earlier ones too. Safe to run again.

    spark-submit jobs/sessionize.py ds=2017-12-28 lake=var/demo/lake
"""

from datetime import date, timedelta
from typing import Any, NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import Batches, events_of, events_upto, pending
from features.identities import IDENTITIES
from features.lake import Lake
from features.owners import handed_over, owned, users_of
from features.partitions import partitions_for
from features.sessions import (
    FIELDS,
    SESSIONS,
    active_days,
    bot_days,
    events_inside,
    mark_sessions,
    on_days,
    to_sessions,
    touched,
    without,
    without_events,
)
from jobs.job import run, settled
from jobs.people import handover, moved_events, owners, session_days


def sessionize(conf: Config, lake: Lake) -> dict[str, Any]:
    batches = pending(lake, SESSIONS)
    if not batches:
        return {"note": "no events have arrived since the last run", "sessions": 0}
    gap = timedelta(minutes=conf.features.session_gap_minutes)
    arrived = events_of(lake, batches).where("is_active")
    days = settled(active_days(arrived))
    active, dates = overview(days)
    bots = settled(bots_among(conf, lake, days, dates, batches))
    has_bots = not bots.isEmpty()
    people = people_of(lake, batches, arrived, dates, bots) if lake.exists(IDENTITIES) else None
    if people:
        arrived, days, bots = people.arrived, people.days, people.bots
    near = on_days(lake.read(SESSIONS), dates_around(days, gap))
    redone = settled(touched(days, near, bots, gap) if batches.after else near.limit(0))
    inside = events_inside(redone)
    if people and people.moved is not None:
        inside = handed_over(inside, people.moved)
    every = inside.unionByName(arrived.select("user_id", *FIELDS))
    if people and people.capped is not None:
        kept = without_events(every, people.capped.select("event_id", "event_date"))
    else:
        kept = without(every, bots) if has_bots else every
    old = totals(redone)
    with partitions_for(lake.spark, active + old.events):
        new = settled(to_sessions(mark_sessions(kept, gap)))
    made = totals(new)
    capped = every.count() - kept.count() if has_bots else 0
    counts = check_conserved(active, capped, old, made)
    facts = {"job": "sessionize", "ds": conf.ds, **batches.facts(), **counts}
    if not batches.after:
        lake.replace_where(SESSIONS, new, "true", facts)  # made anew: all rows make way
    elif old.sessions:
        starts = sorted({*old.dates, *made.dates})
        lake.replace(SESSIONS, redone, new, facts, within=f.col("old.start_date").isin(starts))
    else:
        lake.append(SESSIONS, new, facts)
    return counts


def overview(days: DataFrame) -> tuple[int, list[date]]:
    """How many events arrived, and the days on which they lie."""
    rows = days.groupBy("event_date").agg(f.sum("events").alias("events")).collect()
    return sum(row.events for row in rows), [row.event_date for row in rows]


def dates_around(days: DataFrame, gap: timedelta) -> list[date]:
    """The days on which a session can lie that is `gap` or less from what arrived, or on its day."""
    first, last = (f.to_date(f.col("first") - f.lit(gap)), f.to_date(f.col("last") + f.lit(gap)))
    near = days.select(f.explode(f.sequence(first, last)).alias("day")).distinct()
    return [row.day for row in near.collect()]


def bots_among(conf: Config, lake: Lake, days: DataFrame, dates: list[date], batches: Batches) -> DataFrame:
    """The bot days among the user-days that got new events, all their events counted."""
    if batches.after > 0:
        stored = events_upto(lake, batches.upto).where(f.col("event_date").isin(dates))
        of_these = stored.join(days.select("user_id", "event_date"), ["user_id", "event_date"], "left_semi")
        days = active_days(of_these)
    return bot_days(days, conf.features.max_events_per_user_day)


class People(NamedTuple):
    """What arrived, in terms of users that visitors are known to be.

    A bot is a bot by the id in the log: who logs in takes nobody else's day out of `sessions`.

    arrived  the new events
    days     the days on which users have new events, lose some, or are given some: see `active_days`
    bots     the days on which users have events of a bot
    capped   these events: `event_id`, `event_date`; none: there are none
    moved    events that were there before and are another's now; none: nobody logged in
    """

    arrived: DataFrame
    days: DataFrame
    bots: DataFrame
    capped: DataFrame | None
    moved: DataFrame | None


def people_of(lake: Lake, batches: Batches, arrived: DataFrame, dates: list[date], bots: DataFrame) -> People:
    """`arrived` and `bots` by the ids of the logs, as users."""
    now, capped, moved = owners(lake, batches.upto), None, None
    if not bots.isEmpty():
        stored = events_upto(lake, batches.upto).where(f.col("event_date").isin(dates)).where("is_active")
        of_bots = stored.join(bots, ["user_id", "event_date"], "left_semi")
        capped = settled(owned(of_bots, now).select("event_id", "event_date", "user_id"))
        bots = settled(capped.select("user_id", "event_date").distinct())
    theirs = owned(arrived, now)
    changes = theirs.select("user_id", "event_ts", "is_active")
    if handed := handover(lake, batches, now):
        whose = settled(users_of(handed.ids, handed.before).select("user_id").distinct())
        days = session_days(lake.read(SESSIONS), whose)
        moved = settled(moved_events(lake, batches.after, days, handed).where("is_active"))
        for user in ("was", "user_id"):
            changes = changes.union(moved.select(user, "event_ts", "is_active"))
    return People(theirs, settled(active_days(changes)), bots, capped, moved)


class Totals(NamedTuple):
    sessions: int
    events: int
    dates: list[date]


def totals(sessions: DataFrame) -> Totals:
    """How many sessions, the events in them, and the days on which they start."""
    rows = sessions.groupBy("start_date").agg(
        f.count("*").alias("sessions"), f.sum("event_count").alias("events")
    )
    found = rows.collect()
    return Totals(
        sum(row.sessions for row in found),
        sum(row.events for row in found),
        [row.start_date for row in found],
    )


def check_conserved(active: int, capped: int, old: Totals, made: Totals) -> dict[str, int]:
    """The counts of a run; refuses to go on where an active event is in no session and not capped, or in two."""
    counts = {
        "active": active,
        "in_sessions": made.events - old.events,
        "capped": capped,
        "sessions": made.sessions,
        "sessions_replaced": old.sessions,
    }
    if active != counts["in_sessions"] + capped:
        raise AssertionError(f"active events must be in sessions or capped: {counts}")
    return counts


if __name__ == "__main__":
    run(sessionize)
