"""Score every user with the champion of a task.

Reads `sequences` as of `ds` (the table for the newest night, the function of the same name for an earlier one), replaces
the partition `ds`, `task` of `predictions`. Without a champion there is nothing to score with, and it says so.
Nothing is scored after a check (jobs/quality.py) that found what must not be.

    spark-submit jobs/score.py ds=2017-12-28 task=next_item
"""

from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import covered
from features.examples import end_of
from features.items import ITEMS
from features.lake import Lake
from features.leases import scoring
from features.predictions import PREDICTIONS, task_of, to_predictions
from features.quality import QUALITY
from features.questions import histories
from features.sequences import SEQUENCES, as_model_input
from jobs.job import run, settled
from jobs.people import has_logins_since, sessions_as_of
from jobs.trust import trusted
from models.registry import CHAMPION, connect
from models.scoring import TOP_K_SCHEMA, top_k


def score(conf: Config, lake: Lake, alias: str = CHAMPION) -> dict[str, Any]:
    in_spite = trusted(conf, lake.facts(QUALITY))
    registry = connect(conf.registry, conf.artifacts)
    champion, task = registry.by_alias(conf.task.name, alias), task_of(conf.task.name, alias, CHAMPION)
    if champion is None:
        return {
            "predictions": 0,
            "note": f"{conf.task.name} has no {alias} yet: train a model, then run promote",
        }
    users, version = histories_as_of(conf, lake)
    users = settled(users)
    scored = users.mapInArrow(partial(top_k, model_path=registry.saved_model_path(champion)), TOP_K_SCHEMA)
    name, number = champion.tags["model"], champion.version
    rows = settled(to_predictions(scored, conf.ds, task, name, number, version))
    counts = check_conserved(users, rows)
    facts = {
        "job": "score" if alias == CHAMPION else "shadow",
        "ds": conf.ds,
        "model_version": number,
        "sequences_version": version,
        **counts,
        **in_spite,
    }
    lake.replace_where(PREDICTIONS, rows, f"ds = '{conf.ds}' and task = '{task}'", facts)
    return counts | {alias: f"{name} v{number}"}


def own_partition(conf: Config) -> list[str]:
    """The lease of what is written: other nights and tasks are scored beside it."""
    return [scoring(conf.ds, conf.task.name)]


def histories_as_of(conf: Config, lake: Lake) -> tuple[DataFrame, int]:
    """The histories of users at the end of `ds`, and the version of `sequences` they are from: -1 where it is none.

    That knows of logins of the hour by which a clock may be fast, and of all later ones where the night is a past one.
    """
    as_of = end_of(conf.ds)
    is_newest = lake.facts(SEQUENCES).get("ds", "") <= conf.ds
    if is_newest and not has_logins_since(lake, as_of, covered(lake, SEQUENCES)):
        version = lake.version(SEQUENCES)
        table = lake.read(SEQUENCES, version)
        return as_model_input(table, conf.task.event_types, as_of), -1 if version is None else version
    return histories(sessions_as_of(conf, lake, as_of), lake.read(ITEMS), as_of, conf), -1


def check_conserved(users: DataFrame, rows: DataFrame) -> dict[str, int]:
    """Refuses to go on where a user was lost or doubled on the way through the model."""
    asked = users.count()
    answered, entities, failed = rows.agg(
        f.count("*"), f.count_distinct("entity"), f.count_if(f.col("reason").isNotNull())
    ).first()  # type: ignore[misc]
    if not asked == answered == entities:
        raise AssertionError(
            f"every user must get one prediction: {asked} users, {answered} rows of {entities} users"
        )
    return {"users": asked, "predictions": answered - failed, "without_prediction": failed}


if __name__ == "__main__":
    run(score, leases=own_partition)
