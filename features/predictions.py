"""`predictions`: what a model says of an entity on a night, ready for others to read.

task           target        ids, scores                                      value          low, high
next_item      next_session  the best items, by the model's score             null           null
one question   28_days       null                                             probability    null
one amount     28_days       null                                             amount         its 10% and 90% quantile
several        28_days       targets or classes, by probability (or amount)   null           null

Of a task with labels `target` is the horizon of its question, and `ids` are the names of its targets or classes.
`explained` says where the score of the first of `ids`, or the value, came from (docs/explanations.md).
"""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.labels import ALL
from features.table import Column, Table

NEXT_SESSION = "next_session"
"""The target of what is ranked."""

PREDICTIONS = Table(
    name="predictions",
    meaning="One prediction for one entity on one night.",
    columns=(
        Column("ds", "date", "the night: made from what had happened up to its end"),
        Column("task", "string", "what is predicted"),
        Column("entity", "string", "of whom: a user_id"),
        Column(
            "target", "string", "for what: next_session, or the horizon of a task with labels, as 28_days"
        ),
        Column("ids", "array<string>", "item_ids, targets or classes, the best first", nullable=True),
        Column(
            "scores",
            "array<float>",
            "the model's score, probability or amount of each, falling",
            nullable=True,
        ),
        Column("value", "double", "probability or amount, where the task asks one question", nullable=True),
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
        Column(
            "explained",
            (
                Column("item_id", "string", "with which item"),
                Column("age", "float", "from the beginning of its session to the end of `ds`", unit="days"),
                Column(
                    "attribution", "float", "its part of the score, by integrated gradients", nullable=True
                ),
                Column("change", "float", "what the score loses without it", nullable=True),
            ),
            "past events that the score of the first id, or the value, came from, oldest first; null: not asked for",
            nullable=True,
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
    scored: DataFrame,
    ds: str,
    task: str,
    model: str,
    version: int,
    sequences_version: int,
    target: str = NEXT_SESSION,
) -> DataFrame:
    """Scored users as rows of the table: `user_id`, `ids`, `scores`, `reason`, maybe `value`, `low`, `high`, `explained`."""
    numbers = [
        (f.col(name) if name in scored.columns else f.lit(None)).cast("double").alias(name)
        for name in ("value", "low", "high")
    ]
    explained = f.col("explained") if "explained" in scored.columns else f.lit(None)
    return scored.select(
        f.lit(ds).cast("date").alias("ds"),
        f.lit(task).alias("task"),
        f.col("user_id").alias("entity"),
        f.lit(target).alias("target"),
        "ids",
        "scores",
        *numbers,
        "reason",
        f.lit(model).alias("model"),
        f.lit(version).alias("model_version"),
        f.lit(sequences_version).cast("bigint").alias("sequences_version"),
        explained.cast(PREDICTIONS.schema["explained"].dataType).alias("explained"),
    )


def named_events(told: DataFrame, items: DataFrame) -> DataFrame:
    """Explanations by item_index (models.explaining.EXPLAINED_SCHEMA) as the column `explained`: `user_id`, `explained`.

    before                                              items       after
    user  items  ages     attributions  changes         milk  4     user  explained
    ann   4 5    9.0 2.0  0.3 -0.1      null 0.2        jam   5     ann   (milk 9.0 0.3 null) (jam 2.0 -0.1 0.2)
    """
    columns = ("items", "ages", "attributions", "changes")
    each = told.select("user_id", f.posexplode(f.arrays_zip(*columns)).alias("place", "event"))
    known = each.withColumn("item_index", f.col("event.items")).join(
        items.select("item_index", "item_id"), "item_index", "left"
    )
    event = f.struct(
        "place",
        "item_id",
        *(
            f.col(f"event.{name}").alias(of)
            for name, of in zip(columns[1:], ("age", "attribution", "change"), strict=True)
        ),
    )
    in_order = f.array_sort(f.collect_list(event))
    return (
        known.groupBy("user_id")
        .agg(in_order.alias("_events"))
        .select("user_id", f.transform("_events", lambda each: each.dropFields("place")).alias("explained"))
    )


def of_answers(answers: DataFrame, names: Sequence[str]) -> DataFrame:
    """Answers of a task with labels (`user_id`, `value`, `low`, `high` as arrays, `reason`) as `to_predictions` takes them.

    before (names jam, milk)       after                        before (names "")   after
    user  value      reason        user  ids        scores      user  value         user  ids   value
    ann   [0.2,0.7]                ann   milk, jam  0.7, 0.2    ann   [0.2]         ann   null  0.2
    bob   null       …             bob   null       null
    """
    absent = f.lit(None).cast("array<string>").alias("ids"), f.lit(None).cast("array<float>").alias("scores")
    if list(names) == [ALL]:
        numbers = [f.get(name, f.lit(0)).alias(name) for name in ("value", "low", "high")]
        return answers.select("user_id", *absent, *numbers, "reason")
    ids = f.array(*map(f.lit, names))
    paired = f.zip_with(
        "value",
        ids,
        lambda score, name: f.struct((-score).alias("_order"), name.alias("id"), score.alias("score")),
    )
    ranked = f.array_sort(paired)
    return answers.select(
        "user_id",
        f.transform(ranked, lambda each: each["id"]).alias("ids"),
        f.transform(ranked, lambda each: each["score"]).alias("scores"),
        "reason",
    )
