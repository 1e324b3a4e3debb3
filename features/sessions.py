"""`sessions`: one row a session, its events inside; and the rules that make them."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from features.events import USER_ORDER
from features.table import Column, Table

EVENT = (
    Column("event_id", "string", "the event", dictionary=False),
    Column("event_ts", "timestamp", "when", unit="UTC, microseconds", dictionary=False),
    Column("event_type", "string", "what"),
    Column("item_id", "string", "with which item", nullable=True),
    Column("quantity", "double", "how many", nullable=True, unit="pieces"),
    Column("amount", "double", "for how much", nullable=True, unit="the shop's currency"),
    Column("channel", "string", "by which way", nullable=True),
    Column("arrival_date", "date", "when its file came"),
    Column("source_file", "string", "its file"),
    Column("ingest_seq", "bigint", "its place there", dictionary=False),
)

SESSIONS = Table(
    name="sessions",
    meaning="One session of one user: active events with no gap longer than session_gap between them.",
    columns=(
        Column(
            "session_id",
            "string",
            "hash of user, first event's time and first event's id",
            unit="SHA-256, 128 bits",
            dictionary=False,
        ),
        Column("user_id", "string", "who"),
        Column(
            "start_ts", "timestamp", "time of the first event", unit="UTC, microseconds", dictionary=False
        ),
        Column("end_ts", "timestamp", "time of the last event", unit="UTC, microseconds", dictionary=False),
        Column("start_date", "date", "day of start_ts", unit="UTC"),
        Column("event_count", "int", "events inside", unit="events"),
        Column("events", EVENT, "the events in the order of time, then of arrival"),
    ),
    key=("session_id",),
    partition_by=("start_date",),
    statistics=("start_ts", "end_ts"),
    properties={"delta.enableChangeDataFeed": "true"},  # what is made of sessions follows their changes
)

FIELDS = [column.name for column in EVENT]


def active_days(events: DataFrame) -> DataFrame:
    """The days on which each user was active: how many events, the first and the last.

    before                      after
    user  event_ts       active user  event_date  events  first   last
    ann   the 2nd 10:00  true   ann   the 2nd     2       10:00   10:20
    ann   the 2nd 10:20  true
    ann   the 2nd 10:30  false
    """
    grouped = events.where("is_active").groupBy("user_id", f.to_date("event_ts").alias("event_date"))
    return grouped.agg(
        f.count("*").alias("events"), f.min("event_ts").alias("first"), f.max("event_ts").alias("last")
    )


def bot_days(days: DataFrame, max_events: int) -> DataFrame:
    """Of `active_days`, those with more than `max_events` events: no person's."""
    return days.where(f.col("events") > max_events).select("user_id", "event_date")


def touched(arrived: DataFrame, sessions: DataFrame, bots: DataFrame, gap: timedelta) -> DataFrame:
    """The stored sessions that new events can change: `gap` or less from what a user did on a day, or on a bot's day.

    arrived (gap 30 min)     sessions                        after
    user  first  last        session  user  start  end       session
    ann   10:00  10:00       s1       ann   09:00  09:30     s1       30 minutes before: may grow
                             s2       ann   10:31  11:00              31 minutes after: stays
                             s3       bob   10:00  10:10              another user

    `arrived` as `active_days` has them, `sessions` those near these days.
    """
    whole_days = bots.select(
        "user_id",
        f.col("event_date").cast("timestamp").alias("first"),
        f.date_add("event_date", 1).cast("timestamp").alias("last"),
    )
    spans = arrived.select("user_id", "first", "last").unionByName(whole_days).alias("span")
    overlaps = (f.col("end_ts") >= f.col("first") - f.lit(gap)) & (
        f.col("start_ts") <= f.col("last") + f.lit(gap)
    )
    same_user = f.col("session.user_id") == f.col("span.user_id")
    return sessions.alias("session").join(spans, same_user & overlaps, "left_semi")


def on_days(sessions: DataFrame, days: Sequence[date]) -> DataFrame:
    """The sessions that have a part on one of `days`; Delta skips the files of others."""
    near = f.lit(False)
    for first, last in spans_of(days):
        near = near | (
            (f.col("end_ts") >= f.lit(first)) & (f.col("start_ts") < f.lit(last + timedelta(days=1)))
        )
    return sessions.where(near)


def spans_of(days: Iterable[date]) -> list[tuple[date, date]]:
    """The runs of days without a gap, first and last of each: 2nd, 3rd, 7th -> (2nd, 3rd), (7th, 7th)."""
    spans: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if spans and day - spans[-1][1] == timedelta(days=1):
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans


def days_of(sessions: DataFrame) -> DataFrame:
    """The days on which each user has a part of a session: `user_id`, `event_date`, distinct."""
    days = f.explode(f.sequence(f.to_date("start_ts"), f.to_date("end_ts"))).alias("event_date")
    return sessions.select("user_id", days).distinct()


def events_inside(sessions: DataFrame) -> DataFrame:
    """One row an event, `user_id` and the fields of EVENT."""
    return sessions.select("user_id", f.inline("events"))


def without(events: DataFrame, bots: DataFrame) -> DataFrame:
    """The events that do not lie on a bot's day."""
    day = f.to_date("event_ts") == f.col("_bot.event_date")
    return events.join(bots.alias("_bot"), (events.user_id == f.col("_bot.user_id")) & day, "left_anti")


def without_events(events: DataFrame, gone: DataFrame) -> DataFrame:
    """The events that are not among those `gone` (`event_id`, `event_date`)."""
    dated = events.withColumn("event_date", f.to_date("event_ts"))
    return dated.join(gone, ["event_id", "event_date"], "left_anti").select(*events.columns)


def mark_sessions(events: DataFrame, gap: timedelta) -> DataFrame:
    """Numbers each user's sessions: a gap longer than `gap` starts a new one.

    before                              after
    user  event_ts  event_id            user  event_ts  event_id  session
    ann   10:00:00  a                   ann   10:00:00  a         1
    ann   10:30:00  b                   ann   10:30:00  b         1      exactly 30 minutes: same session
    ann   11:00:01  c                   ann   11:00:01  c         2
    """
    by_time = Window.partitionBy("user_id").orderBy(*USER_ORDER)
    since_last = f.col("event_ts") - f.lag("event_ts").over(by_time)
    starts = f.coalesce(since_last > f.lit(gap), f.lit(True))
    return events.withColumn("session", f.sum(starts.cast("int")).over(by_time))


def to_sessions(marked: DataFrame) -> DataFrame:
    """One row a session, its events in USER_ORDER.

    before                          after
    user  event_ts  event_id  session    session_id        user  start_ts  end_ts    event_count  events
    ann   10:00:00  a         1          hash(ann,10:00,a)  ann   10:00:00  10:30:00  2            [a, b]
    ann   10:30:00  b         1
    """
    in_order = f.struct(*USER_ORDER, *(name for name in FIELDS if name not in USER_ORDER))
    grouped = marked.groupBy("user_id", "session").agg(
        f.sort_array(f.collect_list(in_order)).alias("_events")
    )
    first, last = f.col("_events")[0], f.element_at("_events", -1)
    fields = f.transform("_events", lambda event: f.struct(*(event[name].alias(name) for name in FIELDS)))
    micros = f.unix_micros(first["event_ts"]).cast("string")
    identity = f.sha2(f.concat_ws("\x1f", "user_id", micros, first["event_id"]), 256)
    return grouped.select(
        f.substring(identity, 1, 32).alias("session_id"),
        "user_id",
        first["event_ts"].alias("start_ts"),
        last["event_ts"].alias("end_ts"),
        f.to_date(first["event_ts"]).alias("start_date"),
        f.size("_events").alias("event_count"),
        fields.alias("events"),
    )
