"""The predictions of a past night, and of whom they are."""

from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.lake import Lake
from features.predictions import PREDICTIONS


def predicted(conf: Config, lake: Lake, task: str, ds: date) -> tuple[DataFrame, dict[str, Any]]:
    """The predictions of the model that answered on the night `ds`, of that night and those before, and who it is."""
    every = lake.read(PREDICTIONS).where((f.col("task") == task) & (f.col("ds") <= f.lit(ds)))
    tonight = every.where(f.col("ds") == f.lit(ds)).agg(f.max(f.struct("model_version", "model")).alias("by"))
    by = tonight.collect()[0].by
    author = {"model": by.model, "model_version": by.model_version} if by else {}
    return every.where(f.col("model_version") == author.get("model_version", -1)), author
