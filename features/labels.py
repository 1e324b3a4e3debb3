"""Labels of a task as of a moment: what its SQL makes of what users did in the horizon behind it.

The SQL sees five views, of which each has its side of the moment and nothing of the other:

outcomes     one row an event in `[as_of, as_of + horizon)`: `user_id`, `session_id`, `event_ts`, `event_type`, `is_active`,
             `bought`, `item_id`, `category`, `item_attributes`, `quantity`, `amount`, `channel`, `attributes` (of passive
             events)
impressions  of these, one row a time that an item was shown by a chance that is known: features/impressions.py
history      one row an event before `as_of`, as `outcomes`, and `days_ago`
sessions     one row a session that began before: `user_id`, `session_id`, `start_ts`, and of its events before, `events`
users        one row a user with such a session, as in the table `users`
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Label, Source
from features.history import MICROS_A_DAY, is_one_of, stages
from features.impressions import impressions
from features.users import users

ALL = ""
"""The `target` of a task that asks one question."""

BEHIND = ("outcomes", "impressions")
"""The views of what came at the moment or after it."""

FIELDS = ("event_ts", "event_type", "item_id", "quantity", "amount", "channel")


class LabelError(ValueError):
    """SQL of a task that cannot be run or gives other columns; the text names the key and what was expected."""


def views(
    sessions: DataFrame, passive: DataFrame, items: DataFrame, as_of: datetime, conf: Config
) -> dict[str, DataFrame]:
    """What the SQL of `conf.task.label` sees, by name.

    `sessions` as SESSIONS, `passive` the events outside of them, as EVENTS, `items` as ITEMS.
    """
    assert conf.task.label is not None
    until = as_of + timedelta(days=conf.task.label.horizon_days)
    now, end = f.lit(as_of).cast("timestamp"), f.lit(until).cast("timestamp")
    behind = sessions.where((f.col("end_ts") >= now) & (f.col("start_ts") < end))
    within = (f.col("event_ts") >= now) & (f.col("event_ts") < end)
    outcomes = happenings(behind, passive, items, conf.source).where(within)
    found = {"outcomes": outcomes, "impressions": impressions(outcomes)}
    return found | past_views(sessions, passive, items, as_of, conf)


def past_views(
    sessions: DataFrame, passive: DataFrame, items: DataFrame, as_of: datetime, conf: Config
) -> dict[str, DataFrame]:
    """Those of them that know nothing of what came at the moment or after it."""
    now = f.lit(as_of).cast("timestamp")
    before = sessions.where(f.col("start_ts") < now)
    days_ago = (f.unix_micros(now) - f.unix_micros("event_ts")) / MICROS_A_DAY
    history = happenings(before, passive, items, conf.source).where(f.col("event_ts") < now)
    kept = f.filter("events", lambda event: event["event_ts"] < now)
    return {
        "history": history.withColumn("days_ago", days_ago),
        "sessions": before.select("user_id", "session_id", "start_ts", kept.alias("events")),
        "users": users(before, as_of, conf.features.user_buckets).drop("user_bucket"),
    }


def happenings(sessions: DataFrame, passive: DataFrame, items: DataFrame, source: Source) -> DataFrame:
    """The events of sessions, and those outside, with what the catalogue says of their items."""
    nothing = f.expr("cast(map() as map<string,string>)").alias("attributes")
    inside = sessions.select("user_id", "session_id", f.inline("events")).select(
        "user_id", "session_id", *FIELDS, f.lit(True).alias("is_active"), nothing
    )
    none = f.lit(None).cast("string").alias("session_id")
    outside = passive.select("user_id", none, *FIELDS, f.lit(False).alias("is_active"), "attributes")
    known = items.select("item_id", "category", f.col("attributes").alias("item_attributes"))
    bought = f.col("is_active") & is_one_of(stages(source)["bought"], source)
    return inside.unionByName(outside).join(known, "item_id", "left").withColumn("bought", bought)


def labels(views: Mapping[str, DataFrame], label: Label) -> DataFrame:
    """One row a user and target that the SQL answers: `user_id`, `target`, `label`, `weight`, of users with a history.

    outcomes                 users    after (select distinct user_id, 0 as label from outcomes)
    user  day  event         user     user  target  label  weight
    ann   2nd  purchase      ann      ann   ""      0.0    1.0
    eve   3rd  purchase      bob                                     bob: `label.otherwise`; eve has no history

    `label` is text where the head is of classes, else a double.
    """
    kind = "string" if label.head == "classes" else "double"
    # Those of `users`, without the profiles, for which each event would be looked at.
    users = views["sessions"].select("user_id")
    found = _selected(label.sql, "task.label.sql", "label", views)
    weight = f.col("weight") if "weight" in found.columns else f.lit(1.0)
    return (
        found.select("user_id", "target", f.col("label").cast(kind), weight.cast("double").alias("weight"))
        .where("label is not null")
        .join(users, "user_id", "left_semi")
    )


def naive(views: Mapping[str, DataFrame], label: Label) -> DataFrame | None:
    """What the baseline knows: `user_id`, `target`, `naive`, of what was before; none: nothing."""
    if not label.naive:
        return None
    kind = "string" if label.head == "classes" else "double"
    before = {name: frame for name, frame in views.items() if name not in BEHIND}
    found = _selected(label.naive, "task.label.naive", "naive", before)
    return found.select("user_id", "target", f.col("naive").cast(kind))


def groups_of(views: Mapping[str, DataFrame], name: str, sql: str) -> DataFrame:
    """In which group of `name` each user is: `user_id`, `user_group`, text; of several the first in the alphabet.

    views  those of what was before
    """
    found = _selected(sql, f"promote.groups.{name}", "user_group", views)
    return found.groupBy("user_id").agg(f.min(f.col("user_group").cast("string")).alias("user_group"))


def _selected(sql: str, key: str, value: str, views: Mapping[str, DataFrame]) -> DataFrame:
    """What the SQL of a key gives, with a `target`."""
    spark = next(iter(views.values())).sparkSession
    for name, frame in views.items():
        frame.createOrReplaceTempView(name)
    try:  # it is understood at once, and the names are free again
        found = spark.sql(sql)
    except (AnalysisException, ParseException) as error:
        said = str(error).strip().splitlines()[0]
        raise LabelError(f"{key} cannot be run over {', '.join(views)}: {said}: set {key}") from None
    finally:
        for name in views:
            spark.catalog.dropTempView(name)
    if missing := {"user_id", value} - set(found.columns):
        raise LabelError(
            f"{key} gives {', '.join(found.columns)}, expected user_id and {value} "
            f"(missing: {', '.join(sorted(missing))}): set {key}"
        )
    return found if "target" in found.columns else found.withColumn("target", f.lit(ALL))
