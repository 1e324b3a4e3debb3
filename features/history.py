"""What features are made from: behaviours before a moment, and the orders, visits and pairs that they make up.

Everything here is as of a moment: an event at it or after it changes nothing, nor does its session's end or count.
Money and pieces are in parts, see features/parts.py.
"""

from datetime import datetime

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

from conf.schema import Source
from features.parts import parts

MICROS_A_DAY = 86_400_000_000
HALF_LIFE_DAYS = 28  # of a behaviour's weight in a taste
WEIGHTS = 1_000_000  # parts of a weight
EVENT_FIELDS = ("event_id", "event_ts", "event_type", "item_id", "quantity", "amount")


def history(sessions: DataFrame, as_of: datetime | Expression, source: Source) -> DataFrame:
    """One row an event in a session before `as_of`, with how far back it lies and what lies between it and its neighbours.

    before (as of 12:00)                      after
    session  user  events                     session  user  place  event_ts  gap     dwell   bought
    s1       ann   10:00 view, 10:05 buy      s1       ann   0      10:00     null    5 min   false
    s2       ann   11:05 view, 12:10 view     s1       ann   1      10:05     5 min   null    true
                                              s2       ann   0      11:05     60 min  null    false

    `gap` is the time since the user's event before, `dwell` that until the next one in the session, both in microseconds;
    `days_ago` is that up to `as_of` in days; `local_ts` is the clock of the shop's zone. `viewed`, `carted` and `bought` say
    what the event was, and are null where the source has no such types. `price` is that of a piece.
    """
    until = f.lit(as_of).cast("timestamp")
    # Arrays of the fields: of an array of structs Spark reads every field.
    fields = (f.col("events")[name].alias(name) for name in EVENT_FIELDS)
    begun = sessions.where(f.col("start_ts") < until).select("user_id", "session_id", "start_ts", *fields)
    by_start = Window.partitionBy("user_id").orderBy("start_ts", "session_id")
    last = f.element_at("event_ts", -1)  # of a session that another one follows, which began before
    followed = begun.withColumn("_last_before", f.lag(last).over(by_start))
    # Arrays zipped and exploded, and not a lambda over each event, which Spark interprets.
    times, others, no_time = f.col("event_ts"), f.size("event_ts") - 1, f.lit(None).cast("timestamp")
    steps = f.arrays_zip(
        *EVENT_FIELDS,
        f.concat(f.array("_last_before"), f.slice(times, 1, others)).alias("_earlier"),
        f.concat(f.slice(times, 2, others), f.array(no_time)).alias("_later"),
    )
    events = followed.select("user_id", "session_id", f.posexplode(steps).alias("place", "event"))
    rows = events.select("user_id", "session_id", "place", "event.*").where(f.col("event_ts") < until)
    later = f.when(f.col("_later") < until, f.col("_later"))
    return rows.select(
        "user_id",
        "session_id",
        "place",
        "event_id",
        "event_ts",
        "event_type",
        "item_id",
        (f.unix_micros("event_ts") - f.unix_micros("_earlier")).alias("gap"),
        (f.unix_micros(later) - f.unix_micros("event_ts")).alias("dwell"),
        ((f.unix_micros(until) - f.unix_micros("event_ts")) / MICROS_A_DAY).alias("days_ago"),
        f.from_utc_timestamp("event_ts", source.shop_timezone).alias("local_ts"),
        *(is_one_of(types, source).alias(name) for name, types in stages(source).items()),
        parts(_finite("amount")).alias("money"),
        parts(_finite("quantity")).alias("pieces"),
        _price().alias("price"),
    )


def orders(history: DataFrame) -> DataFrame:
    """One row a session in which something was bought: `user_id`, `days_ago`, `money`, `pieces`, `items`, `interval`.

    before                             after
    user  session  days_ago  bought    user  days_ago  items  interval
    ann   s1       9.0       true      ann   9.0       1      null
    ann   s2       2.0       true      ann   2.0       2      7.0       days since the order before
    ann   s2       1.9       true
    """
    bought = history.where("bought").groupBy("user_id", "session_id")
    made = bought.agg(
        f.max("days_ago").alias("days_ago"),
        f.sum("money").alias("money"),
        f.sum("pieces").alias("pieces"),
        f.size(f.collect_set("item_id")).alias("items"),
    )
    by_time = Window.partitionBy("user_id").orderBy(f.desc("days_ago"), "session_id")
    interval = f.lag("days_ago").over(by_time) - f.col("days_ago")
    return made.withColumn("interval", interval)


def visits(history: DataFrame) -> DataFrame:
    """One row a session and item: `days_ago` of its last event there, what was done, and when it was first bought there.

    before                                   after
    user  session  item  days_ago  bought    user  session  item  days_ago  bought  bought_days_ago
    ann   s1       milk  9.2       false     ann   s1       milk  9.0       true    9.1
    ann   s1       milk  9.1       true
    ann   s1       milk  9.0       true
    """
    weight = f.pow(f.lit(0.5), f.col("days_ago") / HALF_LIFE_DAYS) * WEIGHTS
    items = history.where("item_id is not null").groupBy("user_id", "session_id", "item_id")
    return items.agg(
        f.min("days_ago").alias("days_ago"),
        *(f.bool_or(name).alias(name) for name in ("viewed", "carted", "bought")),
        f.expr("max(if(bought, days_ago, null))").alias("bought_days_ago"),
        f.expr("sum(if(bought, money, 0))").alias("money"),
        f.expr("sum(if(bought, pieces, 0))").alias("pieces"),
        f.sum(f.ceil(weight)).alias("weight"),
    )


def pairs(history: DataFrame) -> DataFrame:
    """One row a user and item: sessions, buys, and the days between them.

    before (bought 12, 9 and 2 days ago)      after
    user  session  item  bought_days_ago      user  item  buys  bought_days_ago  interval_mean  interval_median
    ann   s1       milk  12.0                 ann   milk  3     2.0              5.0            5.0
    ann   s2       milk  9.0
    ann   s3       milk  2.0

    Several buys in one session count as one. The median of an even number of intervals is the mean of the middle two.
    """
    found = (
        visits(history)
        .groupBy("user_id", "item_id")
        .agg(
            f.min("days_ago").alias("days_ago"),
            f.count("*").alias("sessions"),
            f.count_if("bought").alias("buys"),
            *(f.bool_or(name).alias(name) for name in ("viewed", "carted", "bought")),
            f.sum("money").alias("money"),
            f.sum("pieces").alias("pieces"),
            f.sum("weight").alias("weight"),
            f.array_sort(f.collect_list("bought_days_ago")).alias("_days"),  # the newest first
        )
    )
    between = f.greatest(f.size("_days") - 1, f.lit(0))
    newer, older = f.slice("_days", 1, between), f.slice("_days", 2, between)
    intervals = f.array_sort(f.zip_with(older, newer, lambda then, since: then - since))
    middle = (
        f.get("_intervals", f.expr("(size(_intervals) - 1) div 2")),
        f.get("_intervals", f.expr("size(_intervals) div 2")),
    )
    span = f.element_at("_days", -1) - f.col("bought_days_ago")
    return (
        found.withColumns({"bought_days_ago": f.get("_days", f.lit(0)), "_intervals": intervals})
        .withColumn("interval_mean", f.when(f.size("_days") > 1, span / (f.size("_days") - 1)))
        .withColumn("interval_median", f.when(f.size("_days") > 1, (middle[0] + middle[1]) / 2))
        .drop("_days", "_intervals")
    )


def tastes(pairs: DataFrame, items: DataFrame) -> DataFrame:
    """One row a user and category: `weight` of the user's behaviours with it, each half as much for every 28 days back.

    before                      items           after
    user  item  weight          milk  dairy     user  category  weight
    ann   milk  500000          jam   spread    ann   dairy     500000
    ann   jam   1000000                         ann   spread    1000000

    Items without a category are left out.
    """
    known = items.where("category is not null").select("item_id", "category")
    return pairs.join(known, "item_id").groupBy("user_id", "category").agg(f.sum("weight").alias("weight"))


def stages(source: Source) -> dict[str, list[str]]:
    """What an event can be on the way to a purchase, and the types that are."""
    return {
        "viewed": source.view_types or ["view"],
        "carted": source.cart_types or ["cart"],
        "bought": source.purchase_types or ["purchase"],
    }


def is_one_of(types: list[str], source: Source) -> Expression:
    """Whether an event is of one of these types; unknown where sessions hold none of them."""
    known = [name for name in types if source.event_types.get(name)]
    return f.col("event_type").isin(known) if known else f.lit(None).cast("boolean")


def _finite(name: str) -> Expression:
    """Neither infinite nor no number at all, which Spark takes for the largest."""
    return f.when(f.abs(name) < float("inf"), f.col(name))


def _price() -> Expression:
    """Of one piece; of the whole line where no number of pieces is given."""
    pieces = f.coalesce(_finite("quantity"), f.lit(1.0))
    return f.when((pieces > 0) & (_finite("amount") >= 0), _finite("amount") / pieces)
