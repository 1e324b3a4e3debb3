"""What is watched of a night, as frames: a row a value that may drift, a row a day's count, a row a user who came."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.monitoring import ALL
from features.sequences import next_sessions
from features.users import users


def with_users(sessions: DataFrame, users: DataFrame) -> DataFrame:
    """Sessions with the user's `tenure`: days since the first event, at the session's start.

    That it is counted at the session's start, and from what never changes, makes days comparable with those before.
    """
    known = users.select("user_id", f.to_date("first_seen").alias("_first"))
    tenure = f.date_diff("start_date", "_first").alias("tenure")
    return sessions.join(known, "user_id").select(*sessions.columns, tenure)


def with_items(events: DataFrame, items: DataFrame) -> DataFrame:
    """Events with an item, with its `category`, and `item_age`: days since it was first seen, at the event."""
    known = items.select("item_id", "category", f.to_date("first_seen").alias("_first"))
    age = f.date_diff(f.to_date("event_ts"), f.col("_first")).alias("item_age")
    return events.join(known, "item_id").select(*events.columns, "category", age)


def steps(sequences: DataFrame) -> DataFrame:
    """The behaviours inside sequences, one a row: `day`, `event_type`, and the how many-th `session` it is in.

    before                                          after
    user  event_types  sessions  timestamps         day  event_type  session
    ann   buy mail buy 1 0 2     1st, 2nd, 2nd      1st  buy         1
                                                    2nd  buy         2          a letter is in no session
    """
    zipped = f.arrays_zip("event_types", "sessions", "timestamps")
    one = sequences.select(f.explode(zipped).alias("step")).where("step.sessions > 0")
    return one.select(
        f.to_date("step.timestamps").alias("day"),
        f.col("step.event_types").alias("event_type"),
        f.col("step.sessions").alias("session"),
    )


def newest_upto(rows: DataFrame, at: Expression, end: datetime) -> DataFrame:
    """One row, `newest`: the last moment of `rows` up to `end`, null where there is none."""
    moment = at.cast("timestamp")
    return rows.agg(f.max(f.when(moment <= f.lit(end), moment)).alias("newest"))


def day_counts(
    rows: DataFrame, day: Expression, ds: date, weeks: int, counted: str = "count(*)"
) -> DataFrame:
    """`day`, `rows` of the day `ds` and of the same weekday of the weeks before, and of the first day of all.

    The first day says where the log begins: a Monday before it is no Monday without rows.
    """
    days = [ds - timedelta(days=7 * week) for week in range(weeks + 1)]
    dated = rows.withColumn("_day", day)
    first = dated.agg(f.min("_day").alias("_day"))
    wanted = f.col("_day").isin(days)
    counts = dated.where(wanted).groupBy("_day").agg(f.expr(counted).cast("bigint").alias("rows"))
    seen = first.where(f.col("_day").isNotNull() & ~wanted & (f.col("_day") < f.lit(ds)))
    return counts.unionByName(seen.withColumn("rows", f.lit(1).cast("bigint"))).withColumnRenamed(
        "_day", "day"
    )


def came(
    sessions: DataFrame,
    items: DataFrame,
    predictions: DataFrame,
    event_types: Sequence[str],
    start: datetime,
    end: datetime,
    activity: Sequence[int],
    new_days: int,
) -> DataFrame:
    """Users who came in `[start, end)`, what they took first, what had been predicted, and what was known of them before.

    before (from the 3rd on; few < 3 <= some)           after
    session  user  start  items       predicted         entity  targets    ids        reason  newness  activity  start
    s1       ann   1st    milk        milk, jam         ann     jam tea    milk, jam  null    new      few       warm
    s2       ann   3rd    tea, jam
    s3       bob   3rd    milk                          bob     milk       null       null    new      none      none
    """
    by_id = items.select("item_id", f.col("item_id").alias("item_index"))  # predictions know no indices
    targets = next_sessions(sessions, by_id, list(event_types), start, end)
    theirs = sessions.join(targets, "user_id", "left_semi")
    known = users(theirs, start, 1).select("user_id", "first_seen", "session_count")
    told = predictions.select(f.col("entity").alias("user_id"), "ids", "scores", "reason")
    found = targets.join(known, "user_id", "left").join(told, "user_id", "left")
    return found.select(
        f.col("user_id").alias("entity"),
        "targets",
        "ids",
        "scores",
        *segments_of(start, activity, new_days),
        f.when(f.col("ids").isNull(), "none")
        .when(f.col("reason").isNotNull(), "cold")
        .otherwise("warm")
        .alias("start"),
    )


def segments_of(start: datetime, activity: Sequence[int], new_days: int) -> list[Expression]:
    """The columns `users` and `activity` as of a moment, by `first_seen` and `session_count`, null of whom nobody knew."""
    some, many = activity
    count, is_old = f.col("session_count"), f.col("first_seen") < f.lit(start - timedelta(days=new_days))
    levels = f.when(count.isNull(), "none").when(count < some, "few").when(count < many, "some")
    return [
        f.when(is_old, "old").otherwise("new").alias("users"),
        levels.otherwise("many").alias("activity"),
    ]


def by_segment(judged: DataFrame, metrics: Sequence[str], segments: Sequence[str]) -> DataFrame:
    """The mean of each metric over all users, and over those of each value of these columns.

    before                         after
    entity  hr@10  activity        segment         users  judged  hr@10
    ann     1.0    few             all             3      2       0.5
    bob     0.0    many            activity: few   1      1       1.0
    eve     null   many            activity: many  2      1       0.0

    A user without a prediction is counted in `users` alone. Sums are of millionths: they add up alike in any order.
    """
    names = [f.concat(f.lit(f"{name}: "), f.col(name)) for name in segments]
    each = judged.withColumn("segment", f.explode(f.array(f.lit(ALL), *names)))
    means = [
        f.expr(f"sum(cast(round(`{name}` * 1e6) as bigint)) / 1e6 / count(`{name}`)").alias(name)
        for name in metrics
    ]
    return each.groupBy("segment").agg(
        f.count("*").alias("users"), f.count(f"`{metrics[0]}`").alias("judged"), *means
    )


def reliability(judged: DataFrame, bins: int = 10) -> DataFrame:
    """How often what was told with a probability came true, by bins of it: `pairs`, `told`, `true`.

    before                                   after
    entity  targets  ids       scores        pairs  told  true
    ann     milk     milk jam  0.92 0.95     2      1.87  1.0

    `told` is the sum of the probabilities of the bin, `true` how many of the items were taken.
    """
    pairs = judged.where("ids is not null").select("targets", f.inline(f.arrays_zip("ids", "scores")))
    taken = f.array_contains("targets", f.col("ids")).cast("int")
    place = f.least(f.floor(f.col("scores") * bins), f.lit(bins - 1))
    return (
        pairs.groupBy(place.alias("bin"))
        .agg(
            f.count("*").alias("pairs"),
            f.expr("sum(cast(round(scores * 1e6) as bigint)) / 1e6").alias("told"),
            f.sum(taken).cast("double").alias("true"),
        )
        .select("pairs", "told", "true")
    )


def calibration_error(bins: Sequence[Mapping[str, float]]) -> float | None:
    """The mean distance between told and seen, over pairs: sum of |told - true| over all pairs; none without pairs.

    (M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015)
    """
    pairs = sum(each["pairs"] for each in bins)
    return sum(abs(each["told"] - each["true"]) for each in bins) / pairs if pairs else None
