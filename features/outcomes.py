"""What users did after a moment: what a selection of features is judged by."""

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Source
from features.history import history
from features.parts import whole

TARGETS = {
    "returns": "whether there is an event",
    "buys": "whether something is bought",
    "spend": "logarithm of 1 + the money of the purchases",
}


def outcomes(sessions: DataFrame, start: datetime, end: datetime, source: Source) -> DataFrame:
    """One row a user with an event in `[start, end)`: `returns`, `buys` and `spend`, as in TARGETS.

    before (from the 1st to the 3rd)        after
    user  day  event                        user  returns  buys  spend
    ann   1st  purchase 3.00                ann   1.0      1.0   ln 4
    bob   2nd  view                         bob   1.0      0.0   0.0
    cid   3rd  purchase 5.00
    """
    within = history(sessions.where(f.col("end_ts") >= f.lit(start)), end, source).where(
        f.col("event_ts") >= f.lit(start)
    )
    money = whole(f.sum(f.when(f.col("bought"), f.col("money")).otherwise(0)))
    return within.groupBy("user_id").agg(
        f.lit(1.0).alias("returns"),
        f.max(f.coalesce("bought", f.lit(False)).cast("double")).alias("buys"),
        f.log1p(f.greatest(money, f.lit(0.0))).alias("spend"),
    )


def sampled(sessions: DataFrame, before: datetime, most: int, seed: int) -> DataFrame:
    """`user_id` of at most `most` users with a session before a moment: the same ones for the same seed."""
    users = sessions.where(f.col("start_ts") < f.lit(before)).select("user_id").distinct()
    return users.orderBy(f.xxhash64(f.lit(seed), "user_id"), "user_id").limit(most)
