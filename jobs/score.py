"""Score every user with the champion of a task.

Reads `sequences` as of `ds` (the table for the newest night, the function of the same name for an earlier one), `items`
and `rules`, replaces the partition `ds`, `task` of `predictions`. Not shown is what `score.exclude` says, and what a rule
blocks; who has no history gets what is best for everyone, and `reason` says so. A task with labels reads `sessions` beside,
for the features of users as of the end of `ds`. Without a champion there is nothing to score with, and it says so. Nothing
is scored after a check (jobs/quality.py) that found what must not be. With `explain=true` it is also said of
`explained.users` users which past events their prediction came from (docs/explanations.md).

    spark-submit jobs/score.py ds=2017-12-28 task=next_item 'score.exclude=[out_of_stock]'
    spark-submit jobs/score.py ds=2017-12-28 task=churn explain=true
"""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any, NamedTuple

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.batches import covered
from features.examples import end_of
from features.items import ITEMS
from features.lake import Lake
from features.leases import scoring
from features.predictions import (
    NEXT_SESSION,
    PREDICTIONS,
    named_events,
    of_answers,
    task_of,
    to_predictions,
)
from features.quality import QUALITY
from features.questions import active_sequences, zone_of
from features.rules import RULES, shown
from features.sequences import SEQUENCES, as_model_input
from features.sessions import SESSIONS
from jobs.job import InputError, run, settled
from jobs.labelled import Asked, as_trained, ask, inputs_of, seen_as_of, spec_of_set
from jobs.ledger import settle_at_start
from jobs.people import has_logins_since, sessions_as_of
from jobs.trust import trusted
from models.explaining import EXPLAINED_SCHEMA, explained_answers, explained_lists
from models.label_scoring import ANSWERS_SCHEMA, answers
from models.registry import CHAMPION, Version, connect
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
    sequences, version = sequences_as_of(conf, lake)
    scored_by = answered if conf.task.label else ranked
    users, scored, target, versions, told = scored_by(
        conf, lake, sequences, champion, registry.saved_model_path(champion)
    )
    name, number = champion.tags["model"], champion.version
    if told is not None:
        scored = scored.join(named_events(told, lake.read(ITEMS)), "user_id", "left")
    rows = settled(to_predictions(scored, conf.ds, task, name, number, version, target))
    counts = check_conserved(users, rows) | ({} if told is None else agreement_of(told))
    facts = {
        "job": "score" if alias == CHAMPION else "shadow",
        "ds": conf.ds,
        "task": conf.task.name,
        "model_version": number,
        "sequences_version": version,
        **versions,
        **counts,
        **in_spite,
    }
    lake.replace_where(PREDICTIONS, rows, f"ds = '{conf.ds}' and task = '{task}'", facts)
    return counts | {alias: f"{name} v{number}"}


class Scored(NamedTuple):
    """Users, what a model says of each, for which target, and by which versions of tables; and what is explained of it."""

    users: DataFrame
    rows: DataFrame
    target: str
    versions: dict[str, Any]
    told: DataFrame | None  # EXPLAINED_SCHEMA; none: it is not asked for


def ranked(conf: Config, lake: Lake, sequences: DataFrame, champion: Version, path: str) -> Scored:
    """The best items of each user."""
    bought = bought_types(conf) if "bought" in conf.score.exclude else []
    users = settled(as_model_input(sequences, conf.task.event_types, end_of(conf.ds), bought, zone_of(conf)))
    shelf, versions = shelf_as_of(conf, lake, with_ids="content" in champion.tags)
    answer = partial(top_k, model_path=path, k=conf.task.k, shelf=shelf)
    told = explained(conf, users, partial(explained_lists, model_path=path, shelf=shelf))
    facts = versions | {"exclude": list(conf.score.exclude)}
    return Scored(users, users.mapInArrow(answer, TOP_K_SCHEMA), NEXT_SESSION, facts, told)


def answered(conf: Config, lake: Lake, sequences: DataFrame, champion: Version, path: str) -> Scored:
    """The answers to what the champion's example set has asked, of each user as of the end of `ds`."""
    versions = {f"{table.name}_version": lake.version(table) for table in (SESSIONS, ITEMS)}
    put = put_to(conf, lake, sequences, champion)
    answer = partial(answers, models={conf.task.name: path})
    found = settled(put.inputs.mapInArrow(answer, ANSWERS_SCHEMA))
    told = explained(put.conf, put.inputs, partial(explained_answers, model_path=path))
    put.asked.unpersist()
    horizon = f"{put.spec['label']['horizon_days']}_days"
    return Scored(put.users, of_answers(found, put.spec["label"]["names"]), horizon, versions, told)


class Put(NamedTuple):
    """What a model of a task with labels is asked of each user."""

    conf: Config  # with the question as its example set has asked it
    spec: dict[str, Any]  # of that set
    users: DataFrame  # with their histories
    asked: Asked  # to be let go of, once the rest is done with
    inputs: DataFrame  # histories, `features` and `naive`: see features.labelled.model_inputs


def put_to(conf: Config, lake: Lake, sequences: DataFrame, version: Version) -> Put:
    """What is put to a version of the task's model of every user as of the end of `ds`."""
    as_of, spec = end_of(conf.ds), spec_of_set(lake, version.tags["set_id"])
    conf = as_trained(conf, spec)
    users = settled(as_model_input(sequences, conf.task.event_types, as_of, []).drop("excluded"))
    asked = ask(conf, "", as_of, seen_as_of(conf, lake, as_of))
    return Put(conf, spec, users, asked, inputs_of(conf, spec, asked, users))


def explained(conf: Config, inputs: DataFrame, explain: Callable[..., Any]) -> DataFrame | None:
    """What `explain` says of some of the users with a history, where that is asked for."""
    if not conf.explain:
        return None
    settings, order = conf.explained, (f.xxhash64("user_id"), "user_id")
    few = inputs.where(f.size("items") > 0).orderBy(*order).limit(settings.users)
    spread = few.repartition(conf.spark.shuffle_partitions, "user_id")
    how = partial(explain, events=settings.events, steps=settings.steps)
    return settled(spread.mapInArrow(how, EXPLAINED_SCHEMA))


def agreement_of(told: DataFrame) -> dict[str, Any]:
    """How many are explained, how far both ways agree, and the most that attributions do not add up to."""
    row = told.agg(
        f.count("*").alias("n"), f.avg("agreement").alias("mean"), f.max("gap").alias("gap")
    ).first()
    assert row is not None
    found = {"explained": row.n, "explained_agreement": row["mean"], "explained_gap": row.gap}
    return {name: round(each, 4) if isinstance(each, float) else each for name, each in found.items()}


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


def shelf_as_of(conf: Config, lake: Lake, with_ids: bool = False) -> tuple[Shelf, dict[str, int]]:
    """What is shown on `ds`, by what items and rules say now; and the versions of these tables, -1 where there is none.

    The driver holds a row an item, each worker some bytes; with their ids where a model asks for these.
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
    return shelf_of(items, rules, date.fromisoformat(conf.ds), conf.score.exclude, with_ids), found


def bought_types(conf: Config) -> list[str]:
    """The types of events that buy an item."""
    return conf.source.purchase_types or ["purchase"]


def check_conserved(users: DataFrame, rows: DataFrame) -> dict[str, int]:
    """Refuses to go on where a user was lost or doubled on the way through the model."""
    asked = users.count()
    is_null = f.col("ids").isNull() & f.col("value").isNull()
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
