"""`similar_items`: for each item those whose vectors point the same way, by the model in service."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from features.table import Column, Table

SIMILAR_ITEMS = Table(
    name="similar_items",
    meaning="One item, and the items that are most like it.",
    columns=(
        Column("task", "string", "of whose champion the vectors are"),
        Column("item_id", "string", "the item", dictionary=False),
        Column("neighbours", "array<string>", "item_ids, the most similar first"),
        Column("cosine", "array<float>", "of the angle between the two items' vectors, falling"),
        Column("ds", "date", "the night on which they were compared"),
        Column("model", "string", "name of the model"),
        Column("model_version", "int", "its version in the registry"),
    ),
    key=("task", "item_id"),
    partition_by=("task",),
    statistics=("model_version",),
)


def to_similar_items(neighbours: DataFrame, ds: str, task: str, model: str, version: int) -> DataFrame:
    """`item_id`, `neighbours`, `cosine` as rows of `similar_items`."""
    said = {
        "ds": f.lit(ds).cast("date"),
        "task": f.lit(task),
        "model": f.lit(model),
        "model_version": f.lit(version),
    }
    return neighbours.select("*", *(value.alias(name) for name, value in said.items())).select(
        *(column.name for column in SIMILAR_ITEMS.columns)
    )
