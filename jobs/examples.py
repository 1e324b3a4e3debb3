"""Make the example set of a task for the models of a night.

Reads `sessions` and `items` as of `ds` less `promote.holdout_days`, writes `examples/<set_id>`: the vocabulary, then, in
one commit, the packed rows. A set that is there is left as it is.

    spark-submit jobs/examples.py ds=2017-12-27 promote.holdout_days=27 task=next_item
"""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.events import EVENTS
from features.examples import (
    Cut,
    packed,
    rows_per_file,
    rows_table,
    set_id_of,
    shuffled,
    spec_of,
    vocabulary_table,
)
from features.items import ITEMS, items
from features.lake import Lake
from features.sequences import as_model_input, next_sessions, sequences
from features.sessions import SESSIONS
from jobs.job import InputError, run


def examples(conf: Config, lake: Lake) -> dict[str, Any]:
    set_id = set_id_of(conf)
    table = rows_table(set_id)
    if lake.version(table):
        return {"set_id": set_id, "note": "it is there already"} | lake.facts(table)["counts"]
    cut = Cut.of(conf)
    words = vocabulary(conf, lake, cut).persist()
    size = words.agg(f.max("item_index")).first()[0]  # type: ignore[index]
    if size is None:
        raise InputError(f"no sessions before {cut.as_of:%Y-%m-%d}: ingest more, or set promote.holdout_days lower")
    histories = histories_with_targets(conf, lake, cut).persist()
    longest = histories.agg(f.coalesce(f.max(f.size("targets")), f.lit(0))).first()[0]  # type: ignore[index]
    tables = {name.name: lake.version(name) for name in (SESSIONS, ITEMS)}
    spec = spec_of(conf, size + 1, max(1, longest), tables)
    rows = shuffled(packed(histories, spec), conf.task.seed).persist()
    counts = {row.split: row["count"] for row in rows.groupBy("split").count().collect()}
    facts = {"job": "examples", "ds": conf.ds, "counts": counts}
    lake.write_once(vocabulary_table(set_id), words.repartition(1).sortWithinPartitions("item_index"), facts)
    lake.write_once(rows_table(set_id, spec), rows, facts, rows_per_file(spec))
    for frame in (words, histories, rows):
        frame.unpersist()
    return {"set_id": set_id, "items": size + 1 - 3} | counts


def vocabulary(conf: Config, lake: Lake, cut: Cut) -> DataFrame:
    """The items seen before the cut, with their sessions before it and before the validation days."""
    sessions, types = lake.read(SESSIONS), conf.task.event_types
    seen = items(sessions, cut.as_of, types).select("item_id", f.col("session_count").alias("sessions"))
    earlier = items(sessions, cut.validation_from, types)
    trained = earlier.select("item_id", f.col("session_count").alias("validation_sessions"))
    indexed = lake.read(ITEMS).select("item_index", "item_id").join(seen, "item_id").join(trained, "item_id", "left")
    return indexed.fillna(0, ["validation_sessions"]).select("item_index", "item_id", "sessions", "validation_sessions")


def histories_with_targets(conf: Config, lake: Lake, cut: Cut) -> DataFrame:
    """Each user's history before the validation days and, of those who came back in them, what they then took."""
    sessions, known, types = lake.read(SESSIONS), lake.read(ITEMS), conf.task.event_types
    before = cut.validation_from
    active = sequences(sessions, lake.read(EVENTS).where("false"), known, before, conf.features.max_length, conf.features.user_buckets)
    targets = next_sessions(sessions, known, types, before, cut.as_of)
    return as_model_input(active, types, before).join(targets, "user_id", "left")


if __name__ == "__main__":
    run(examples)
