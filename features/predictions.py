"""`predictions`: what a model says of an entity on a night, ready for others to read."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.table import Column, Table

PREDICTIONS = Table(
    name="predictions",
    meaning="One prediction for one entity on one night.",
    columns=(
        Column("ds", "date", "the night: made from what had happened up to its end"),
        Column("task", "string", "what is predicted"),
        Column("entity", "string", "of whom: a user_id"),
        Column("target", "string", "for what: next_session, a category, an item"),
        Column("ids", "array<string>", "item_ids, the best first", nullable=True),
        Column("scores", "array<float>", "the model's score of each, falling", nullable=True),
        Column("value", "double", "the predicted number, where the task predicts one", nullable=True),
        Column("low", "double", "lower end of its interval", nullable=True),
        Column("high", "double", "upper end of its interval", nullable=True),
        Column(
            "reason", "string", "why there is no prediction, or why it is not the model's own", nullable=True
        ),
        Column("model", "string", "name of the model"),
        Column("model_version", "int", "its version in the registry"),
        Column(
            "sequences_version", "bigint", "version of the table that it saw; -1: made as of a past night"
        ),
    ),
    key=("ds", "task", "entity", "target"),
    partition_by=("ds", "task"),
    statistics=("model_version",),
)


def task_of(task: str, alias: str, champion: str) -> str:
    """The column `task` of what a model says: `next_item`; of another alias than the champion, `next_item@challenger`."""
    return task if alias == champion else f"{task}@{alias}"


def to_predictions(
    scored: DataFrame, ds: str, task: str, model: str, version: int, sequences_version: int
) -> DataFrame:
    """Scored users (`user_id`, `ids`, `scores`, `reason`) as rows of `predictions`."""
    absent = f.lit(None).cast("double")
    return scored.select(
        f.lit(ds).cast("date").alias("ds"),
        f.lit(task).alias("task"),
        f.col("user_id").alias("entity"),
        f.lit("next_session").alias("target"),
        "ids",
        "scores",
        *(absent.alias(name) for name in ("value", "low", "high")),
        "reason",
        f.lit(model).alias("model"),
        f.lit(version).alias("model_version"),
        f.lit(sequences_version).cast("bigint").alias("sequences_version"),
    )
