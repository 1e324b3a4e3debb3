"""How a set of examples is written, whatever its task asks."""

from typing import Any

from pyspark.sql import DataFrame

from conf.schema import Config
from features.examples import (
    counts_of,
    partitions_of,
    rows_per_file,
    rows_table,
    shuffled,
    vocabulary_table,
)
from features.lake import Lake


def write_set(
    conf: Config, lake: Lake, spec: dict[str, Any], words: DataFrame, made: DataFrame, told: dict[str, Any]
) -> dict[str, int]:
    """Writes the vocabulary `words`, then, in one commit, the packed rows `made`, shuffled. Returns the rows of each split.

    told  what the commits say beside what was written
    """
    counts = counts_of(made)
    partitions = partitions_of(sum(counts.values()), spec, conf.spark.shuffle_partitions)
    rows = shuffled(made, conf.task.seed, partitions, spec["columns"])
    facts = {"job": "examples", "ds": conf.ds, "counts": counts, **told}
    in_order = words.repartition(1).sortWithinPartitions("item_index")
    lake.overwrite(vocabulary_table(spec["set_id"]), in_order, facts)
    lake.overwrite(rows_table(spec["set_id"], spec), rows, facts, rows_per_file(spec))
    return counts
