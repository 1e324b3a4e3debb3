"""Find the items that are most like each item, by the vectors of the champion of a task.

Reads the registry, replaces the rows of `task` in `similar_items`. A champion without item vectors, as a baseline is, has
nothing to compare, and it says so: what was found by an earlier one stays.

    spark-submit jobs/similar_items.py ds=2017-12-28 task=next_item
"""

from functools import partial
from typing import Any

from conf.schema import Config
from features.lake import Lake
from features.similar_items import SIMILAR_ITEMS, to_similar_items
from jobs.job import run, settled
from models.registry import CHAMPION, connect
from models.similar_items import NEIGHBOURS_SCHEMA, has_vectors, neighbours, size_of


def similar_items(conf: Config, lake: Lake) -> dict[str, Any]:
    registry = connect(conf.registry, conf.artifacts)
    champion = registry.by_alias(conf.task.name, CHAMPION)
    if champion is None:
        return {"items": 0, "note": f"{conf.task.name} has no champion yet: train a model, then run promote"}
    name, path = champion.tags["model"], registry.saved_model_path(champion)
    if not has_vectors(path):
        return {"items": 0, "note": f"the champion {name} v{champion.version} has no item vectors to compare"}
    find = partial(neighbours, model_path=path, k=conf.score.neighbours)
    indices = lake.spark.range(0, size_of(path), 1, conf.spark.shuffle_partitions)
    rows = settled(
        to_similar_items(
            indices.mapInArrow(find, NEIGHBOURS_SCHEMA), conf.ds, conf.task.name, name, champion.version
        )
    )
    facts = {"job": "similar_items", "ds": conf.ds, "items": rows.count(), "model_version": champion.version}
    lake.replace_where(SIMILAR_ITEMS, rows, f"task = '{conf.task.name}'", facts)
    return {"items": facts["items"], "champion": f"{name} v{champion.version}"}


if __name__ == "__main__":
    run(similar_items)
