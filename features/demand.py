"""`demand`: how much of each item and category users will buy in the week behind a night; and how much they have bought."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.parts import PARTS, whole
from features.table import Column, Table

ITEM, CATEGORY = "item", "category"

DEMAND = Table(
    name="demand",
    meaning="One model's forecast of how much of an item, or of a category, is sold in the week behind one night.",
    columns=(
        Column("ds", "date", "the night: made from what had happened up to its end"),
        Column("kind", "string", f"{ITEM} or {CATEGORY}"),
        Column("target", "string", "which: an item_id, or a category"),
        Column("week", "date", "its first day, UTC"),
        Column("p10", "double", "more than that is sold nine times in ten", unit="units"),
        Column("p50", "double", "more than that is sold every other time", unit="units"),
        Column("p90", "double", "more than that is sold once in ten times", unit="units"),
        Column("model", "string", "of users, added up; or last_week or smoothing, of what was sold alone"),
        Column("model_version", "int", "its version in the registry; null: it is in none", nullable=True),
    ),
    key=("ds", "kind", "target", "model"),
    partition_by=("ds",),
    statistics=("model_version",),
)


def weekly_units(history: DataFrame, items: DataFrame, days: int, most: float) -> DataFrame:
    """Units of each item and category that were sold in each week back from the moment of `history`, and to how many users.

    before (bought)                    items          after (most 100)
    user  item  days_ago  pieces       milk  dairy    target          weeks_ago  units  buyers
    ann   milk  1.0       2            brie  dairy    item milk       0          3.0    2
    bob   milk  7.0       1            gas            item brie       0          1.0    1
    bob   brie  2.0       1                           category dairy  0          4.0    2
    bob   gas   7.1       12000                       item gas        1          1.0    1

    A line of none or of more than `most` pieces was measured in something else, such as grams, and is one unit. A week, or
    whatever `days` are, includes its first moment: of two lines a week apart just one is in it.
    """
    pieces = whole(f.col("pieces"))
    is_counted = (f.col("pieces") > 0) & (pieces <= most)
    named = f.array_compact(
        f.array(
            *(f.concat(f.lit(f"{kind} "), name) for kind, name in ((ITEM, "item_id"), (CATEGORY, "category")))
        )
    )
    sold = history.where("bought").join(items.select("item_id", "category"), "item_id", "left")
    lines = sold.select(
        "user_id",
        f.explode(named).alias("target"),
        (f.ceil(f.col("days_ago") / days) - 1).cast("int").alias("weeks_ago"),
        f.when(is_counted, f.col("pieces")).otherwise(PARTS).alias("_units"),
    )
    units, buyers = whole(f.sum("_units")).alias("units"), f.count_distinct("user_id").alias("buyers")
    return lines.groupBy("target", "weeks_ago").agg(units, buyers)
