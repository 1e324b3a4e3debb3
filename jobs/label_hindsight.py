"""What answers of a task with labels came to: those of a past night beside the labels that have come true since."""

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Label
from features.examples import end_of
from features.labelled import OTHER
from features.labels import ALL as ONE
from features.labels import past_views
from features.lake import Lake
from features.monitoring import ALL, Measure
from features.watching import segments_of
from jobs.labelled import answers_of, seen_as_of
from jobs.past_predictions import predicted
from models.label_metrics import measured

PREDICTED = "share of the users who were asked for whom there was an answer"


def answers_realised(conf: Config, lake: Lake, task: str, kind: str) -> list[Measure]:
    """How the answers of the night a horizon ago stand beside what came true since, by segment.

    The driver holds the labels and the answers of that night, a few numbers a user, as the gate does.
    """
    label, ds = conf.task.label, date.fromisoformat(conf.ds)
    assert label is not None
    asked_on = ds - timedelta(days=label.horizon_days)
    every, author = predicted(conf, lake, task, asked_on)
    if not author:
        return []
    start = end_of(asked_on.isoformat())
    seen = seen_as_of(conf, lake, start)
    answers, _ = answers_of(conf, start, seen)
    came = answers.toArrow().to_pandas()
    people = known(
        conf, past_views(*seen, start, conf)["users"], every.where(f.col("ds") == f.lit(asked_on)), start
    )
    names = names_of(label, people)
    told, weights = truths(label, names, people, came)
    values, has_answer = said(label, names, people)
    is_asked = weights.any(axis=1)
    measures = []
    for segment, inside in segments(people).items():
        asked = is_asked & inside
        judged = asked & has_answer
        if not asked.any():
            continue
        values_of = (
            measured(label.metrics, told[judged], values[judged], weights[judged], np.nan)
            if judged.any()
            else {}
        )
        found = {
            name: (value, f"{name.replace('_', ' ')} of the answers", int(judged.sum()))
            for name, value in values_of.items()
        }
        found["predicted"] = (float(judged.sum() / asked.sum()), PREDICTED, int(asked.sum()))
        for name, (value, meaning, rows) in found.items():
            of_name = f"{kind}_{name}"
            value_or_none = None if np.isnan(value) else float(value)
            measures.append(
                Measure(
                    ds, conf.task.name, of_name, segment, kind, meaning, value_or_none, rows=rows, **author
                )
            )
    return measures


def known(conf: Config, users: DataFrame, tonight: DataFrame, start: datetime) -> pd.DataFrame:
    """Those who were known at that moment, what was answered of them, and in which segments they were."""
    told = tonight.select(f.col("entity").alias("user_id"), "ids", "scores", "value")
    in_segments = segments_of(start, conf.monitor.activity, conf.monitor.new_days)
    rows = users.select("user_id", *in_segments).join(told, "user_id", "left")
    return rows.toArrow().to_pandas().sort_values("user_id", ignore_index=True)


def names_of(label: Label, people: pd.DataFrame) -> list[str]:
    """The targets or classes that were answered; ONE where it is a single number."""
    if label.head != "classes" and people["value"].notna().any():
        return [ONE]
    return sorted({str(name) for ids in people["ids"].dropna() for name in ids})


def truths(
    label: Label, names: list[str], people: pd.DataFrame, came: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray]:
    """What came true and its weight, each (users, targets); of classes their places. A weight of 0: not asked."""
    row = {user: place for place, user in enumerate(people["user_id"])}
    place_of = {name: place for place, name in enumerate(names)}
    is_classes, width = label.head == "classes", 1 if label.head == "classes" else len(names)
    usual = 0.0
    weight = 0.0 if label.otherwise is None else 1.0
    if label.otherwise is not None:
        usual = place_of.get(label.otherwise, 0) if is_classes else float(label.otherwise)
        weight = float(not is_classes or label.otherwise in place_of)
    told, weights = np.full((len(row), width), float(usual)), np.full((len(row), width), weight)
    for user, target, value, by in came[["user_id", "target", "label", "weight"]].itertuples(index=False):
        at = row.get(user)
        column = 0 if is_classes else place_of.get(target)
        if at is None or column is None:
            continue
        if is_classes:
            place = place_of.get(value, place_of.get(OTHER))
            told[at, 0], weights[at, 0] = (0.0, 0.0) if place is None else (place, by)
        else:
            told[at, column], weights[at, column] = value, by
    return told, weights


def said(label: Label, names: list[str], people: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """What was answered, (users, targets or classes), and of whom, bool (users,)."""
    if names == [ONE] and label.head != "classes":
        values = people["value"].to_numpy(np.float64)[:, None]
        return values, ~np.isnan(values[:, 0])
    place_of = {name: place for place, name in enumerate(names)}
    values = np.zeros((len(people), len(names)))
    has_answer = people["ids"].notna().to_numpy()
    for at in np.flatnonzero(has_answer):
        places = [place_of[str(name)] for name in people["ids"].iloc[at]]
        values[at, places] = people["scores"].iloc[at]
    return values, has_answer


def segments(people: pd.DataFrame) -> dict[str, np.ndarray]:
    """Segment -> who is in it, bool (users,); all of them first."""
    found: dict[str, Any] = {ALL: np.ones(len(people), bool)}
    for column in ("users", "activity"):
        for name in sorted(people[column].unique()):
            found[f"{column}: {name}"] = (people[column] == name).to_numpy()
    return found
