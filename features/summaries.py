"""What the tables of a lake look like to a person: distributions of sessions, and users with their baskets in words."""

from collections.abc import Sequence

from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f


def binned(values: DataFrame, value: Expression, edges: Sequence[float]) -> DataFrame:
    """How many values lie in each bin: `bin` 0 is below `edges[1]`, the last one is `edges[-1]` and above.

    before (edges 0, 1, 5)     after
    value  0.5  1.0  7.0       bin 0 1 2, count 1 1 1
    """
    above = [f.when(value >= edge, 1).otherwise(0) for edge in edges[1:]]
    place = above[0]
    for each in above[1:]:
        place = place + each
    return values.where(value.isNotNull()).groupBy(place.alias("bin")).count()


def gaps(sessions: DataFrame) -> DataFrame:
    """`hours` from the end of a session to the start of the same user's next; null for the last."""
    following = f.lead("start_ts").over(Window.partitionBy("user_id").orderBy("start_ts", "session_id"))
    micros = f.unix_micros(following) - f.unix_micros("end_ts")
    return sessions.select((micros / 3_600_000_000).alias("hours"))


def recent_baskets(sessions: DataFrame, items: DataFrame, users: Sequence[str], newest: int) -> DataFrame:
    """The `newest` sessions of some users, newest first: `user_id`, `start_ts`, `item_ids`, `titles`.

    before                             after (newest 1)
    user  start  events                user  start  item_ids  titles
    ann   10:00  milk                  ann   11:00  1, 2      Milk, Bread
    ann   11:00  milk, bread, milk
    """
    order = Window.partitionBy("user_id").orderBy(f.desc("start_ts"), "session_id")
    last = sessions.where(f.col("user_id").isin(list(users))).withColumn("_n", f.row_number().over(order))
    events = last.where(f.col("_n") <= newest).select(
        "user_id", "start_ts", f.posexplode("events").alias("place", "event")
    )
    distinct = events.groupBy("user_id", "start_ts", f.col("event.item_id").alias("item_id")).agg(
        f.min("place").alias("place")
    )
    named = distinct.where("item_id is not null").join(titles(items), "item_id")
    step = f.array_sort(f.collect_list(f.struct("place", "item_id", "title")))
    baskets = named.groupBy("user_id", "start_ts").agg(step.alias("_items"))
    return baskets.select(
        "user_id",
        "start_ts",
        f.col("_items.item_id").alias("item_ids"),
        f.col("_items.title").alias("titles"),
    ).orderBy("user_id", f.desc("start_ts"))


def predictions_in_words(predictions: DataFrame, items: DataFrame, sequences: DataFrame) -> DataFrame:
    """One row an item of each list: `entity`, `rank` from 1, `item_id`, `title`, `score`, `bought_before`."""
    ranked = predictions.select("entity", f.posexplode(f.arrays_zip("ids", "scores")).alias("place", "each"))
    flat = ranked.select(
        "entity", (f.col("place") + 1).alias("rank"), f.col("each.ids").alias("item_id"), "each.scores"
    )
    known = items.select("item_id", "item_index").join(titles(items), "item_id")
    owned = sequences.select(f.col("user_id").alias("entity"), f.col("items").alias("_owned"))
    return (
        flat.join(known, "item_id")
        .join(owned, "entity")
        .select(
            "entity",
            "rank",
            "item_id",
            "title",
            f.col("scores").alias("score"),
            f.array_contains("_owned", f.col("item_index")).alias("bought_before"),
        )
        .orderBy("entity", "rank")
    )


def explained_in_words(predictions: DataFrame, items: DataFrame) -> DataFrame:
    """One row an event that a prediction came from: `entity`, `item_id`, `title`, `age`, `attribution`, `change`."""
    each = predictions.select("entity", f.posexplode("explained").alias("place", "event"))
    known = each.select("entity", "place", "event.*").join(titles(items), "item_id")
    return known.orderBy("entity", "place").drop("place")


def titles(items: DataFrame) -> DataFrame:
    """`item_id` and what to call it: the catalogue's title, else its category, else its id."""
    named = f.coalesce(f.nullif("title", f.lit("")), "category", f.concat(f.lit("item "), "item_id"))
    return items.select("item_id", named.alias("title"))
