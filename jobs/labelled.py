"""The example set of a task with labels (see docs/tasks.md), which jobs/examples.py makes."""

from datetime import datetime
from functools import reduce
from typing import Any, NamedTuple

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Label
from features.examples import (
    LABELLED,
    Cut,
    rows_per_file,
    rows_table,
    set_id_of,
    shuffled,
    vocabulary_table,
)
from features.feature import Numeric, UnknownFeature
from features.history import history
from features.items import FIRST_INDEX, ITEMS
from features.labelled import Snapshots, beside, labelled_spec, names_of, numbered, packed
from features.labels import LabelError, labels, naive, views
from features.lake import Lake
from features.normalise import columns_of, fit, inputs, normalised
from features.questions import candidates, histories
from features.sessions import SESSIONS
from features.user_features import ACTIVITY, USER_FEATURES, activity_features, user_features
from jobs.job import InputError
from jobs.people import passive_as_of, sessions_as_of


def labelled_examples(conf: Config, lake: Lake, in_spite: dict[str, Any]) -> dict[str, Any]:
    """Writes the vocabulary, then, in one commit, the rows: see jobs/examples.py."""
    set_id, label, moments, cut = set_id_of(conf), conf.task.label, Snapshots.of(conf), Cut.of(conf)
    assert label is not None
    check_horizon(conf, label)
    names = features_of(label)
    numbers, _ = columns_of(USER_FEATURES, names)
    sessions, items = sessions_as_of(conf, lake, moments.train[-1]), lake.read(ITEMS)
    passive = passive_as_of(lake, moments.train[-1])
    words = candidates(sessions, items, cut.as_of, moments.train[0], conf).persist()
    size = words.agg(f.max("item_index")).first()[0]  # type: ignore[index]
    if size is None:
        raise InputError(
            f"no sessions before {cut.as_of:%Y-%m-%d}: ingest more, or set promote.holdout_days lower"
        )
    asked = [ask(conf, label, *of_split, sessions, passive, items) for of_split in moments.by_split()]
    of_train = [each for each in asked if each.split == "train"]
    statistics = fit(reduce(DataFrame.unionAll, (e.features for e in of_train)), USER_FEATURES, names)
    targets = names_of(reduce(DataFrame.unionAll, (e.answers for e in of_train)), label)
    if not targets:
        raise InputError(
            f"no user has a label of {conf.task.name} from {moments.train[-1]:%Y-%m-%d} to {moments.validation:%Y-%m-%d}, "
            "expected some to train on: set ds later, or look at task.label.sql"
        )
    tables = {source.name: lake.version(source) for source in (SESSIONS, ITEMS)}
    spec = labelled_spec(conf, size + 1, targets, numbers, statistics, tables)
    joined = (
        beside(
            histories(sessions, items, each.moment, conf),
            normalised(each.features, USER_FEATURES, statistics, names),
            each.answers,
            each.naive,
        ).withColumns({"split": f.lit(each.split), "moment": f.lit(each.moment)})
        for each in asked
    )
    examples = packed(numbered(reduce(DataFrame.unionAll, joined), label, targets, numbers), spec)
    rows = shuffled(examples, conf.task.seed, LABELLED).persist(StorageLevel.DISK_ONLY)
    counts = {row.split: row["count"] for row in rows.groupBy("split").count().collect()}
    facts = {"job": "examples", "ds": conf.ds, "counts": counts, **in_spite}
    lake.overwrite(vocabulary_table(set_id), words.repartition(1).sortWithinPartitions("item_index"), facts)
    lake.overwrite(rows_table(set_id, spec), rows, facts, rows_per_file(spec))
    for frame in (words, rows, *(kept for each in asked for kept in (each.features, each.answers))):
        frame.unpersist()
    return {"set_id": set_id, "items": size + 1 - FIRST_INDEX, "targets": len(targets)} | counts


class Asked(NamedTuple):
    """One snapshot: the features of its users, their answers, and what a baseline knows of them."""

    split: str
    moment: datetime
    features: DataFrame
    answers: DataFrame
    naive: DataFrame | None


def ask(
    conf: Config,
    label: Label,
    split: str,
    moment: datetime,
    sessions: DataFrame,
    passive: DataFrame,
    items: DataFrame,
) -> Asked:
    """Asks the task's question as of a moment; features and answers are kept, as several steps look at them."""
    past = history(sessions, moment, conf.source)
    is_told = set(features_of(label)) <= set(ACTIVITY.by_name)
    features = activity_features(past) if is_told else user_features(past, items)
    seen = views(sessions, passive, items, moment, conf)
    try:
        answers, known = labels(seen, label), naive(seen, label)
    except LabelError as error:
        raise InputError(str(error)) from None
    features, answers = (frame.persist(StorageLevel.DISK_ONLY) for frame in (features, answers))
    return Asked(split, moment, features, answers, known)


def features_of(label: Label) -> list[str]:
    """The features of a user that the task's models are given: numbers alone."""
    try:
        names = inputs(USER_FEATURES, label.features or ACTIVITY.by_name)
    except (UnknownFeature, ValueError) as error:
        raise InputError(f"{error}: set task.label.features") from None
    numeric = [
        name
        for name in names
        if name in USER_FEATURES.by_name and isinstance(USER_FEATURES.by_name[name].to_model, Numeric)
    ]
    if label.features and (wrong := sorted(set(names) - set(numeric))):
        raise InputError(f"{', '.join(wrong)} is no number, expected numbers: set task.label.features")
    return numeric


def check_horizon(conf: Config, label: Label) -> None:
    """Refuses to hold out fewer days than a label takes to come true."""
    if conf.promote.holdout_days < label.horizon_days:
        raise InputError(
            f"promote.holdout_days is {conf.promote.holdout_days}, and a label of {conf.task.name} takes "
            f"{label.horizon_days} days: set promote.holdout_days={label.horizon_days}, or more"
        )
