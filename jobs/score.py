"""Score every user with the champion of a task.

Reads `sequences` as of `ds` (the table for the newest night, the function of the same name for an earlier one), `items`
and `rules`, replaces the partition `ds`, `task` of `predictions`. Not shown is what `score.exclude` says, and what a rule
blocks; who has no history gets what is best for everyone, and `reason` says so. Without a champion there is nothing to
score with, and it says so. Nothing is scored after a check (jobs/quality.py) that found what must not be.

    spark-submit jobs/score.py ds=2017-12-28 task=next_item 'score.exclude=[out_of_stock]'
"""

from datetime import date
from functools import partial
from typing import Any

from pyspark.errors import AnalysisException
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
from features.questions import active_sequences
from features.rules import RULES, shown
from features.sequences import SEQUENCES, as_model_input
from jobs.job import InputError, run, settled
from jobs.ledger import settle_at_start
from jobs.people import has_logins_since, sessions_as_of
from jobs.trust import trusted
from models.registry import CHAMPION, connect
from models.scoring import TOP_K_SCHEMA, top_k
from models.shelf import Shelf, shelf_of


def score(conf: Config, lake: Lake, alias: str = CHAMPION) -> dict[str, Any]:
    in_spite = trusted(conf, lake.facts(QUALITY))
    registry = connect(conf.registry, conf.artifacts)
    settle_at_start(conf, lake, registry)
    champion, task = registry.by_alias(conf.task.name, alias), task_of(conf.task.name, alias, CHAMPION)
    if champion is None:
        return {
            "predictions": 0,
            "note": f"{conf.task.name} has no {alias} yet: train a model, then run promote",
        }
    as_of = end_of(conf.ds)
    sequences, version = sequences_as_of(conf, lake)
    bought = bought_types(conf) if "bought" in conf.score.exclude else []
    users = settled(as_model_input(sequences, conf.task.event_types, as_of, bought))
    shelf, versions = shelf_as_of(conf, lake)
    answer = partial(top_k, model_path=registry.saved_model_path(champion), k=conf.task.k, shelf=shelf)
    scored = users.mapInArrow(answer, TOP_K_SCHEMA)
    name, number = champion.tags["model"], champion.version
    rows = settled(to_predictions(scored, conf.ds, task, name, number, version))
    counts = check_conserved(users, rows)
    facts = {
        "job": "score" if alias == CHAMPION else "shadow",
        "ds": conf.ds,
        "task": conf.task.name,
        "model_version": number,
        "sequences_version": version,
        **versions,
        "exclude": list(conf.score.exclude),
        **counts,
        **in_spite,
    }
    lake.replace_where(PREDICTIONS, rows, f"ds = '{conf.ds}' and task = '{task}'", facts)
    return counts | {alias: f"{name} v{number}"}


def own_partition(conf: Config) -> list[str]:
    """The lease of what is written: other nights and tasks are scored beside it."""
    return [scoring(conf.ds, conf.task.name)]


def sequences_as_of(conf: Config, lake: Lake) -> tuple[DataFrame, int]:
    """The sequences of users at the end of `ds`, and the version of `sequences` that they are: -1 where it is none.

    That knows of logins of the hour by which a clock may be fast, and of all later ones where the night is a past one.
    """
    as_of = end_of(conf.ds)
    is_newest = lake.facts(SEQUENCES).get("ds", "") <= conf.ds
    if is_newest and not has_logins_since(lake, as_of, covered(lake, SEQUENCES)):
        version = lake.version(SEQUENCES)
        return lake.read(SEQUENCES, version), -1 if version is None else version
    return active_sequences(sessions_as_of(conf, lake, as_of), lake.read(ITEMS), as_of, conf), -1


def shelf_as_of(conf: Config, lake: Lake) -> tuple[Shelf, dict[str, int]]:
    """What is shown on `ds`, by what items and rules say now; and the versions of these tables, -1 where there is none.

    The driver holds a row an item, each worker some bytes.
    """
    versions = {table.name: lake.version(table) for table in (ITEMS, RULES)}
    try:
        items = shown(lake.read(ITEMS, versions["items"]), conf.score, conf.ds).toArrow()
    except AnalysisException as error:
        raise InputError(
            "score.out_of_stock and score.embargoed must be boolean Spark SQL over the columns of items and ds, got "
            f"{conf.score.out_of_stock!r} and {conf.score.embargoed!r}: {str(error).splitlines()[0]}"
        ) from None
    rules = lake.read(RULES, versions["rules"]).toArrow()
    found = {f"{name}_version": -1 if version is None else version for name, version in versions.items()}
    return shelf_of(items, rules, date.fromisoformat(conf.ds), conf.score.exclude), found


def bought_types(conf: Config) -> list[str]:
    """The types of events that buy an item."""
    return conf.source.purchase_types or ["purchase"]


def check_conserved(users: DataFrame, rows: DataFrame) -> dict[str, int]:
    """Refuses to go on where a user was lost or doubled on the way through the model."""
    asked = users.count()
    is_null = f.col("ids").isNull()
    answered, entities, failed, without_history = rows.agg(
        f.count("*"),
        f.count_distinct("entity"),
        f.count_if(is_null),
        f.count_if(~is_null & f.col("reason").isNotNull()),
    ).first()  # type: ignore[misc]
    if not asked == answered == entities:
        raise AssertionError(
            f"every user must get one prediction: {asked} users, {answered} rows of {entities} users"
        )
    return {
        "users": asked,
        "predictions": answered - failed,
        "without_history": without_history,
        "without_prediction": failed,
    }


if __name__ == "__main__":
    run(score, leases=own_partition)
