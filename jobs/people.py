"""Who the people of a lake are: anonymous ids and the users that they logged in as, for the steps behind an ingest.

A lake without the table `identities` has none, and nothing here is asked of it.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import Batches, covered, events_upto
from features.identities import IDENTITIES
from features.lake import Lake
from features.owners import chained, changed, followed, handed_over, moved, owned, spans, users_of
from features.sessions import SESSIONS, days_of, events_inside, mark_sessions, to_sessions
from jobs.job import settled


class Handover(NamedTuple):
    """Whose anonymous ids were `before`, and whose they are `now`; `ids`: those for which that is not the same."""

    before: DataFrame
    now: DataFrame
    ids: DataFrame


def owners(lake: Lake, batch: int, as_of: datetime | None = None) -> DataFrame:
    """Whose each anonymous id is by the logins up to a batch, and before a moment if one is given: see `owners.spans`."""
    known = lake.read(IDENTITIES).where(f.col("batch") <= batch)
    found = settled(spans(known if as_of is None else known.where(f.col("valid_from") < f.lit(as_of))))
    while not chained(found).isEmpty():  # twice as far each time, and never round: an ingest refuses cycles
        found = settled(followed(found))
    return found


def handover(lake: Lake, batches: Batches, now: DataFrame) -> Handover | None:
    """What the logins of some batches change; none where there were none, or nothing was there before."""
    new = lake.read(IDENTITIES).where((f.col("batch") > batches.after) & (f.col("batch") <= batches.upto))
    if not batches.after or new.isEmpty():
        return None
    before = owners(lake, batches.after)
    return Handover(before, now, settled(changed(before, now)))


def moved_events(lake: Lake, batch: int, days: Sequence[date], handed: Handover) -> DataFrame:
    """The events up to a batch, of some days, that are another's than before: see `owners.moved`."""
    stored = events_upto(lake, batch).where(f.col("event_date").isin(days))
    theirs = stored.join(handed.ids.withColumnRenamed("anonymous_id", "user_id"), "user_id", "left_semi")
    return moved(theirs, handed.before, handed.now)


def session_days(sessions: DataFrame, users: DataFrame) -> list[date]:
    """The days on which users have a part of a session."""
    theirs = sessions.select("user_id", "start_ts", "end_ts").join(users, "user_id", "left_semi")
    return [row.event_date for row in days_of(theirs).select("event_date").distinct().collect()]


def has_logins_since(lake: Lake, as_of: datetime, batch: int) -> bool:
    """Whether the logins up to a batch say of people what nobody knew before a moment."""
    if not lake.exists(IDENTITIES):
        return False
    since = (f.col("batch") <= batch) & (f.col("valid_from") >= f.lit(as_of))
    return not lake.read(IDENTITIES).where(since).isEmpty()


def passive_as_of(lake: Lake, as_of: datetime) -> DataFrame:
    """All events outside of sessions, as EVENTS, of people as they were known at a moment."""
    upto = covered(lake, SESSIONS)
    passive = events_upto(lake, upto).where("not is_active")
    return owned(passive, owners(lake, upto, as_of)) if lake.exists(IDENTITIES) else passive


def sessions_as_of(conf: Config, lake: Lake, as_of: datetime, version: int | None = None) -> DataFrame:
    """All sessions, those after a moment too, of people as they were known at that moment.

    Nothing tells them from sessions that were made when nobody had logged in since. Only the sessions of those who have are
    made again.
    """
    sessions, upto = lake.read(SESSIONS, version), covered(lake, SESSIONS)
    if not has_logins_since(lake, as_of, upto):
        return sessions
    now, then = owners(lake, upto), owners(lake, upto, as_of)
    ids = settled(changed(now, then))
    whose = settled(users_of(ids, now).select("user_id").distinct())
    days = session_days(sessions, whose)
    back = settled(
        moved_events(lake, upto, days, Handover(now, then, ids)).select("event_id", "event_date", "user_id")
    )
    everyone = settled(whose.union(users_of(ids, then).select("user_id")).distinct())
    apart = handed_over(events_inside(sessions.join(everyone, "user_id", "left_semi")), back)
    gap = timedelta(minutes=conf.features.session_gap_minutes)
    others = sessions.join(everyone, "user_id", "left_anti")
    return others.unionByName(to_sessions(mark_sessions(apart, gap))).select(*sessions.columns)
