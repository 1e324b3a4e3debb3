"""What was shown to whom at which position, by which chance, and whether it was clicked."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as f

CLICKED_WITHIN = "1 minute"


def impressions(outcomes: DataFrame) -> DataFrame:
    """One row an impression whose chance was logged, of the view `outcomes` of features/labels.py.

    before                                                       after
    user  event_ts  event_type  item  attributes                 user  event_ts  item  position  propensity  clicked
    ann   10:00:00  impression  tea   position 2, propensity 0.3 ann   10:00:00  tea   2         0.3         true
    ann   10:00:04  click       tea   position 2                 ann   10:30:00  tea   2         0.3         false
    ann   10:30:00  impression  tea   position 2, propensity 0.3

    A click is of the last impression of its item at its position, in the minute before it.
    """
    told = f.col("attributes")
    shown = outcomes.where("event_type in ('impression', 'click')").select(
        "user_id",
        "event_ts",
        "event_type",
        "item_id",
        told["position"].cast("int").alias("position"),
        told["propensity"].cast("double").alias("propensity"),
    )
    there = Window.partitionBy("user_id", "item_id", "position").orderBy("event_ts", f.desc("event_type"))
    soon = f.lead("event_ts").over(there) <= f.col("event_ts") + f.expr(f"interval {CLICKED_WITHIN}")
    clicked = f.coalesce((f.lead("event_type").over(there) == "click") & soon, f.lit(False))
    each = shown.withColumn("clicked", clicked).where("event_type = 'impression' and propensity is not null")
    return each.drop("event_type")
