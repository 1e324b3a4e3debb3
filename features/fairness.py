"""What predictions are to groups of users: how scores are spread in each, and which items are shown how often."""

from datetime import datetime, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

QUANTILES = (0.1, 0.5, 0.9)


def memberships(users: DataFrame, as_of: datetime, new_days: int) -> DataFrame:
    """In which groups each user is, by tenure and activity: `user_id`, `user_group`.

    before (as of the 30th, new for 28 days)       after
    user  first_seen  session_count                ann  not new     ann  rare
    ann   1st         2                            bob  new         bob  not rare
    bob   29th        9

    `users` as USERS. rare: with fewer sessions than half of the users have.
    """
    usual = users.agg(f.percentile("session_count", 0.5).alias("_usual"))
    is_new = f.col("first_seen") >= f.lit(as_of - timedelta(days=new_days))
    is_rare = f.col("session_count") < f.col("_usual")
    named = f.array(f.when(is_new, "new").otherwise("not new"), f.when(is_rare, "rare").otherwise("not rare"))
    return users.crossJoin(usual).select("user_id", f.explode(named).alias("user_group"))


def scores_by_group(predictions: DataFrame, memberships: DataFrame) -> DataFrame:
    """How scores are spread: `task`, `user_group`, `users`, `low`, `median`, `high`, the QUANTILES.

    A user's score is the value, or that of the first id.
    """
    score = f.coalesce("value", f.get("scores", f.lit(0)))
    told = predictions.select("task", f.col("entity").alias("user_id"), score.alias("_score"))
    of_group = told.where("_score is not null").join(memberships, "user_id").groupBy("task", "user_group")
    spread = of_group.agg(
        f.count("*").alias("users"), f.percentile("_score", f.array(*map(f.lit, QUANTILES))).alias("_at")
    )
    at = (f.col("_at")[place].alias(name) for place, name in enumerate(("low", "median", "high")))
    return spread.select("task", "user_group", "users", *at).orderBy("task", "user_group")


def exposure(predictions: DataFrame, items: DataFrame) -> DataFrame:
    """How often each item is shown: `item_id`, `session_count`, `times`, of every item of `items`."""
    shown = predictions.select(f.explode("ids").alias("item_id")).groupBy("item_id")
    times = shown.agg(f.count("*").alias("times"))
    known = items.select("item_id", "session_count").join(times, "item_id", "left")
    return known.withColumn("times", f.coalesce("times", f.lit(0)))
