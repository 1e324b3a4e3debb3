"""Metrics by segment in Spark: facts of rows become sums where they lie, and Spark adds these up."""

from collections.abc import Sequence
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from models.metrics import KS
from models.metrics.in_batches import SUMS_SCHEMA, sums


def means_by_segment(facts: DataFrame, ks: Sequence[int] = KS) -> DataFrame:
    """Of each model and segment every metric's mean, and the users of whom it says something.

    before                                                   after
    model  segment  n_targets  better  ties  repeated        model  segment  metric            users  mean
    gru    new      2          [0, 7]  [1, 1] [true, false]  gru    new      recall@5          1      0.5
    gru    old      1          [3]     [1]    [true]         gru    new      recall@5/first    1      0.0
                                                             gru    old      recall@5          1      1.0  …

    `facts` as `models.scoring.rank_facts` gives them, with `segment`, any label of the user.
    """
    columns = facts.select("model", "segment", "n_targets", "better", "ties", "repeated")
    added = columns.mapInArrow(partial(sums, ks=tuple(ks)), SUMS_SCHEMA).groupBy("model", "segment", "metric")
    total = added.agg(f.sum("users").alias("users"), f.sum("total").alias("_total"))
    return total.withColumn("mean", f.try_divide("_total", "users")).drop("_total")
