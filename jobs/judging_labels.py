"""Models of a task with labels before the same question: what they answer of users whose labels came true since.

Each model is asked as the example set that it was trained on has asked: with its features, scaled as there, and its
targets. The labels are those of the night's own set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame

from conf.schema import Config
from features.examples import Cut
from features.lake import Lake
from features.questions import histories
from jobs.groups import segments
from jobs.job import InputError, settled
from jobs.judging import TEST, Judgement, how, name_of
from jobs.labelled import Asked, Seen, as_trained, ask, inputs_of, rows_of, seen_as_of, spec_of_set
from models.fairness import split_answers
from models.guards import Guard, answered_guard, calibration_guard
from models.label_metrics import aligned, sampled
from models.label_scoring import ANSWERS_SCHEMA, answers
from models.registry import Registry, Version

CALIBRATION = "calibration_error"


@dataclass(frozen=True)
class Answered(Judgement):
    """Of answers to a task's questions; `users` are those whom every model has answered."""

    answered: dict[str, np.ndarray]  # model -> whom it has answered of all who were asked, bool (asked,)

    def guards(self, conf: Config, challenger: str, champion: str) -> list[Guard]:
        limits = conf.promote.guards
        found = [
            *self.group_guards(conf, challenger, champion),
            answered_guard(self.answered[challenger], share=limits.answered_share, **how(conf)),
        ]
        if CALIBRATION in self.metrics[challenger]:
            ours, theirs = (self.metrics[name][CALIBRATION] for name in (challenger, champion))
            difference = (ours - theirs).interval(conf.promote.confidence)
            found.append(calibration_guard(difference, limits.calibration_rise))
        return found


class Said(NamedTuple):
    """What a model says of all who were asked, in their order."""

    values: np.ndarray  # (asked, targets or classes); NaN: no answer
    seconds: np.ndarray  # (asked,); NaN: no answer


def on_validation_days(conf: Config, lake: Lake, registry: Registry, trained: Sequence[Version]) -> Judgement:
    """All as they are: baselines are fitted on training rows alone, those days chose the encoders' epochs."""
    return judge(conf, lake, "validation", paths_by_set(registry, trained), Cut.of(conf).validation_from)


def on_held_out_days(conf: Config, lake: Lake, registry: Registry, versions: Sequence[Version]) -> Judgement:
    return judge(conf, lake, TEST, paths_by_set(registry, versions), Cut.of(conf).as_of)


def paths_by_set(registry: Registry, versions: Sequence[Version]) -> dict[str, dict[str, str]]:
    """Example set -> the models that were trained on it -> the folder of their SavedModel."""
    found: dict[str, dict[str, str]] = {}
    for version in versions:
        found.setdefault(version.tags["set_id"], {})[name_of(version)] = registry.saved_model_path(version)
    return found


def judge(
    conf: Config, lake: Lake, question: str, models: Mapping[str, Mapping[str, str]], as_of: datetime
) -> Answered:
    """Asks `models`, see `paths_by_set`, of the users of the night's example set as of a moment.

    The driver holds the labels, and a few numbers for each user and model; histories stay with the workers.
    """
    label, seen = conf.task.label, seen_as_of(conf, lake, as_of)
    assert label is not None and conf.set_id is not None
    spec = spec_of_set(lake, conf.set_id)
    asked = ask(conf, question, as_of, seen)
    told = settled(rows_of(conf, spec, asked, seen).select("user_id", "labels", "label_weights"))
    rows = told.toArrow().to_pandas().sort_values("user_id")
    groups = {}
    if question == TEST:
        known = histories(seen.sessions, seen.items, as_of, conf)
        groups = segments(conf, known, rows["user_id"].tolist(), as_of, seen)
    said = {}
    for set_id, paths in models.items():
        own = spec_of_set(lake, set_id)
        check_head(conf, own, paths)
        then, names = as_trained(conf, own), own["label"]["names"]
        again = asked if set_id == conf.set_id else ask(then, question, as_of, seen)
        found = answered_by(paths, then, own, again, seen, told)
        again.unpersist()
        for name in paths:
            there = found[found["model"] == name].set_index("user_id").reindex(rows["user_id"])
            values = aligned(_stacked(there["value"], len(names)), names, spec["label"]["names"], label.head)
            said[name] = Said(values, there["seconds"].to_numpy(np.float64))
    asked.unpersist()
    return measured(conf, question, as_of, rows, groups, said)


def check_head(conf: Config, spec: Mapping[str, Any], models: Iterable[str]) -> None:
    """Refuses models that answer another kind of question than the task asks by now."""
    assert conf.task.label is not None
    head, expected = spec["label"]["head"], conf.task.label.head
    if head != expected:
        raise InputError(
            f"{', '.join(models)} has the head {head}, expected {expected} as {conf.task.name} has now: give the task "
            "another name, and it has a champion of its own"
        )


def answered_by(
    models: Mapping[str, str],
    conf: Config,
    spec: dict[str, Any],
    asked: Asked,
    seen: Seen,
    told: DataFrame,
) -> pd.DataFrame:
    """What models trained on a set with this spec, and as `conf` says, answer of the users in `told`."""
    users = histories(seen.sessions, seen.items, asked.moment, conf)
    users = users.join(told.select("user_id"), "user_id", "left_semi")
    found = answers_of(models, conf, spec, asked, users).toArrow().to_pandas()
    unanswered = found[found["reason"].notna()]
    if len(unanswered):
        print(f"judge: {unanswered['user_id'].nunique()} users left out, e.g. {unanswered['reason'].iloc[0]}")
    return found


def answers_of(
    models: Mapping[str, str], conf: Config, spec: dict[str, Any], asked: Asked, users: DataFrame
) -> DataFrame:
    """What models trained on a set with this spec, and as `conf` says, answer of users who come with their histories."""
    spread = inputs_of(conf, spec, asked, users).repartition(conf.spark.shuffle_partitions, "user_id")
    return spread.mapInArrow(partial(answers, models=dict(models)), ANSWERS_SCHEMA)


def measured(
    conf: Config,
    question: str,
    as_of: datetime,
    rows: pd.DataFrame,
    groups: Mapping[str, np.ndarray],
    said: Mapping[str, Said],
) -> Answered:
    """The judgement, of the users whom all have answered and of the targets that all know.

    rows  `user_id`, `labels` and `label_weights`, in the order of what was said, and of `groups`, bool (asked,)
    """
    label, limits = conf.task.label, conf.promote
    assert label is not None
    answered = {name: ~np.isnan(each.seconds) for name, each in said.items()}
    kept = np.all([*answered.values(), np.ones(len(rows), bool)], axis=0)
    if not kept.any():
        raise InputError(
            f"{question}: no user has a label of {conf.task.name} from {as_of:%Y-%m-%d} that every model answers, expected "
            "some to judge on: ingest those days, or set promote.holdout_days to others"
        )
    labels, weights = (np.stack(rows[name].to_numpy()[kept]) for name in ("labels", "label_weights"))
    values = {name: each.values[kept] for name, each in said.items()}
    if label.head != "classes":
        weights = weights * np.all([~np.isnan(each).all(axis=0) for each in values.values()], axis=0)
    names = list(dict.fromkeys([*label.metrics, *([CALIBRATION] if label.head == "binary" else [])]))
    metrics = sampled(names, labels, weights, values, limits.resamples, limits.seed)
    groups = {name: member[kept] for name, member in groups.items()}
    splits = split_answers(names[0], labels, weights, values, groups, limits.resamples, limits.seed)
    seconds = {name: each.seconds[kept] for name, each in said.items()}
    users, until = rows["user_id"].to_numpy()[kept].tolist(), as_of + timedelta(days=label.horizon_days)
    return Answered(question, as_of, until, users, metrics, splits, seconds, answered)


def _stacked(values: pd.Series, width: int) -> np.ndarray:
    """(rows, width) of arrays, NaN where there is none."""
    nothing: np.ndarray = np.full(width, np.nan, np.float32)
    return np.stack([each if isinstance(each, np.ndarray) else nothing for each in values])
