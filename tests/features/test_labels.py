"""Labels and features as of a moment: nothing of one side is seen on the other."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.load import load
from features.examples import LABELLED
from features.history import history
from features.labelled import Question, Snapshots, Told, beside, labelled_spec, names_of, numbered, packed
from features.labels import LabelError, labels, naive, views
from features.sessions import mark_sessions, to_sessions
from features.user_features import activity_features
from tests.shop import at, event, events, rows_of

TASKS = Path(__file__).parents[2] / "conf" / "task"
NOON = at("12:00:00")
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
MICRO = timedelta(microseconds=1)
CONF = load(["source=plain", "task=purchase", "ds=2026-11-02"])
LETTER = {"is_active": False, "event_type": "letter"}


def shop(*rows: dict) -> list[dict]:
    """Two users who bought before noon, and what is told beside it."""
    past = [
        event("ann", NOON - MICRO, "a", item_id="milk", amount=2.0),
        event("bob", NOON - 3 * DAY, "b", item_id="jam", amount=3.0),
    ]
    return [*past, *rows]


WORLDS = {  # shops in one run of Spark, none of which shares a user with another
    "alone": shop(),
    "inside": shop(
        event("ann", NOON, "c", item_id="jam"),  # at the moment itself
        event("bob", NOON + WEEK - MICRO, "d", item_id="milk"),
        event("eve", NOON + DAY, "e", item_id="milk"),  # of no history: asked nothing
    ),
    "at the end": shop(
        event("ann", NOON, "c", item_id="jam"), event("bob", NOON + WEEK, "d", item_id="milk")
    ),
    "moved": shop(
        event("ann", NOON + 20 * DAY, "c", item_id="jam"), event("bob", NOON + 20 * DAY, "d", amount=9.0)
    ),
    "earlier": shop(event("ann", NOON - DAY, "c", item_id="jam")),
    "letters": shop(
        event("ann", NOON - DAY, "c", attributes={"kind": "A"}, **LETTER),
        event("ann", NOON + DAY, "d", attributes={"kind": "B"}, **LETTER),
    ),
}


class Seen(NamedTuple):
    """What a task makes of each world as of noon: its rows without the world."""

    labels: dict[str, list[tuple]]
    naive: dict[str, list[tuple]]
    features: dict[str, list[tuple]]
    history: dict[str, list[tuple]]
    outcomes: dict[str, list[tuple]]
    views: dict[str, DataFrame]


@pytest.fixture(scope="module")
def seen(spark) -> Seen:
    items = spark.createDataFrame(
        [("milk", "dairy", {"department": "fresh"}), ("jam", "spread", {})],
        "item_id string, category string, attributes map<string,string>",
    )
    rows = [
        row | {"user_id": f"{world}/{row['user_id']}", "event_id": f"{world}/{row['event_id']}"}
        for world, of_world in WORLDS.items()
        for row in of_world
    ]
    everything = events(spark, *rows)
    sessions = to_sessions(mark_sessions(everything.where("is_active"), timedelta(minutes=30))).persist()
    made = views(sessions, everything.where("not is_active"), items, NOON, CONF)
    told = naive(made, CONF.task.label)
    assert told is not None
    columns = ["user_id", "category", "is_active", "bought", f.expr("attributes['kind']").alias("kind")]
    frames = (
        labels(made, CONF.task.label),
        told,
        activity_features(history(sessions, NOON, CONF.source)),
        made["history"].select(*columns),
        made["outcomes"].select(*columns),
    )
    found = Seen(*map(by_world, frames), made)
    sessions.unpersist()
    return found


def by_world(frame: DataFrame) -> dict[str, list[tuple]]:
    found: dict[str, list[tuple]] = {world: [] for world in WORLDS}
    for row in rows_of(frame):
        world, user = row[0].split("/")
        found[world].append((user, *row[1:]))
    return found


def test_an_event_inside_the_horizon_changes_the_label_and_one_at_its_end_does_not(seen):
    of_ann = ("ann", "spread", 1.0, 1.0)
    assert seen.labels["alone"] == seen.labels["moved"] == []
    assert seen.labels["inside"] == [of_ann, ("bob", "dairy", 1.0, 1.0)]
    assert seen.labels["at the end"] == [of_ann]


def test_events_at_the_moment_and_later_change_no_feature_and_nothing_that_a_baseline_knows(seen):
    for of in (seen.features, seen.naive):
        assert of["alone"] == of["inside"] == of["at the end"] == of["moved"] == of["letters"]
        assert of["alone"] != of["earlier"]
    assert seen.naive["alone"] == [("ann", "dairy", 1), ("bob", "spread", 1)]


def test_events_outside_of_sessions_are_seen_with_what_the_source_says_of_them(seen):
    assert seen.outcomes["letters"] == [("ann", None, False, False, "B")]
    assert sorted(seen.history["letters"], key=repr) == [
        ("ann", "dairy", True, True, None),
        ("ann", None, False, False, "A"),
        ("bob", "spread", True, True, None),
    ]


@pytest.mark.parametrize(
    ("key", "sql", "said"),
    [
        (
            "sql",
            "select user_id, 1 as answer from outcomes",
            "gives user_id, answer, expected user_id and label",
        ),
        (
            "sql",
            "select user_id 1 label from",
            "task.label.sql cannot be run over outcomes, impressions, history, sessions, users",
        ),
        (
            "naive",
            "select user_id, 1 as naive from outcomes",
            "task.label.naive cannot be run over history, sessions",
        ),
    ],
)
def test_sql_that_asks_for_what_is_not_there_is_refused_by_its_key(seen, key, sql, said):
    with pytest.raises(LabelError, match=said):
        (labels if key == "sql" else naive)(seen.views, replace(CONF.task.label, **{key: sql}))


@pytest.mark.parametrize("task", sorted(path.stem for path in TASKS.glob("*.yaml")))
def test_the_sql_of_every_task_that_is_shipped_can_be_run(seen, task):
    label = load([f"task={task}"]).task.label
    if label is not None and label.sql:
        assert labels(seen.views, label).columns == ["user_id", "target", "label", "weight"]
        naive(seen.views, label)


def test_the_next_event_is_the_main_department_of_the_next_session(seen):
    told = by_world(labels(seen.views, load(["task=next_event"]).task.label).where("label is not null"))
    assert [row[0] for row in told["inside"]] == ["bob"] and "fresh" in told["inside"][0]
    assert told["alone"] == []


def test_snapshots_lie_a_horizon_apart_and_no_label_of_training_or_validation_reaches_past_the_cut():
    conf = load(["task=churn", "ds=2017-12-28", "promote.holdout_days=28", "task.label.snapshots=2"])
    found = Snapshots.of(conf)
    assert [f"{moment:%m-%d}" for _, moment in found.by_split()] == ["10-06", "09-08", "11-03", "12-01"]
    assert found.validation + timedelta(days=28) == found.test


def test_answers_become_arrays_with_a_place_for_each_target(spark):
    label = replace(CONF.task.label, naive_otherwise="7")
    answers = spark.createDataFrame(
        [("ann", "milk", 1.0, 2.0), ("ann", "jam", 1.0, 1.0), ("bob", "milk", 1.0, 1.0)],
        "user_id string, target string, label double, weight double",
    )
    known = spark.createDataFrame([("ann", "jam", 3.0)], "user_id string, target string, naive double")
    users = spark.createDataFrame(
        [(u, [3, 4, 5], [1, 2, 2], [9.0, 1.0, 1.0]) for u in ("ann", "bob", "cid")],
        "user_id string, items array<int>, sessions array<int>, ages array<float>",
    )
    numbers = spark.createDataFrame([("ann", 0.5), ("bob", 1.5)], "user_id string, x double")  # none of cid
    rows = beside(users, numbers, Told(answers, known)).withColumns(
        {"split": f.lit("train"), "moment": f.lit(NOON)}
    )
    conf = replace(CONF, task=replace(CONF.task, length=2, positions=2, label=label))
    names = names_of(answers, label)
    assert names == ["jam", "milk"]
    made = numbered(rows, [Question(label, names)], ["x"])
    spec = labelled_spec(conf, 9, [Question(label, names)], ["x"], {}, {})
    found = {
        row.example.split("/")[0]: {
            n: np.frombuffer(row[n], np.dtype(kind)).tolist() for n, kind in LABELLED.items()
        }
        for row in packed(made, spec).collect()
    }

    def hash_of(user: str) -> list[int]:
        return list(spark.sql(f"select xxhash64('{user}')").first())

    assert found == {
        "ann": {
            "items": [4, 5],  # the newest that fit
            "sessions": [2, 2],
            "ages": [1.0, 1.0],
            "features": [0.5],
            "labels": [1.0, 1.0],
            "label_weights": [1.0, 2.0],
            "naive": [3.0, 7.0],
            "users": hash_of("ann"),
        },
        "bob": found["bob"]
        | {"labels": [0.0, 1.0], "label_weights": [1.0, 1.0], "naive": [7.0, 7.0], "users": hash_of("bob")},
    }


def test_of_several_questions_one_s_places_come_behind_the_other_s(spark):
    label = CONF.task.label
    classes = replace(label, head="classes", otherwise=None, naive_otherwise="none")
    users = spark.createDataFrame(
        [(u, [3], [1], [1.0]) for u in ("ann", "bob", "cid")],
        "user_id string, items array<int>, sessions array<int>, ages array<float>",
    )
    features = users.select("user_id", f.lit(0.0).alias("x"))
    of_buys = spark.createDataFrame(
        [("ann", "milk", 1.0, 2.0)], "user_id string, target string, label double, weight double"
    )
    knows = spark.createDataFrame([("bob", "jam", 3.0)], "user_id string, target string, naive double")
    of_place = spark.createDataFrame(
        [("ann", "", "b", 1.0), ("cid", "", "a", 1.0)],
        "user_id string, target string, label string, weight double",
    )
    rows = beside(
        users, features, Told(of_buys, knows, "buys"), Told(of_place, None, "next.place")
    ).withColumns({"split": f.lit("train"), "moment": f.lit(NOON)})
    questions = [Question(label, ["jam", "milk"], "buys"), Question(classes, ["a", "b"], "next.place")]
    made = numbered(rows, questions, ["x"])
    assert rows_of(made, "user_id", "labels", "label_weights", "naive") == [
        ("ann", [0.0, 1.0, 1.0], [1.0, 2.0, 1.0], [0.0, 0.0, 1.0]),
        ("bob", [0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [3.0, 0.0, 1.0]),
        ("cid", [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 1.0]),
    ]
    told = labelled_spec(CONF, 9, questions, ["x"], {}, {})
    assert told["label"]["head"] == "several"
    assert told["label"]["names"] == ["buys: jam", "buys: milk", "next.place: a", "next.place: b"]
    assert told["columns"]["labels"]["length"] == 3
    assert [each["names"] for each in told["label"]["questions"]] == [["jam", "milk"], ["a", "b"]]


def test_classes_are_the_most_frequent_labels_and_one_for_all_others(spark):
    label = replace(CONF.task.label, head="classes", otherwise=None, limit=2)
    answers = spark.createDataFrame(
        [(f"u{n}", "", name, 1.0) for n, name in enumerate(["b", "b", "c", "a", "c", "d"])],
        "user_id string, target string, label string, weight double",
    )
    assert names_of(answers, label) == ["b", "c", "other"]
    assert names_of(answers, replace(label, limit=4)) == ["a", "b", "c", "d"]
    assert names_of(answers, replace(label, limit=4, otherwise="none")) == ["a", "b", "c", "d", "none"]
    users = spark.createDataFrame(
        [(f"u{n}", [3], [1], [1.0]) for n in range(7)],
        "user_id string, items array<int>, sessions array<int>, ages array<float>",
    )
    features = users.select("user_id", f.lit(0.0).alias("x"))
    rows = beside(users, features, Told(answers, None)).withColumns(
        {"split": f.lit("train"), "moment": f.lit(NOON)}
    )
    made = numbered(rows, [Question(label, ["b", "c", "other"])], ["x"])
    assert rows_of(made, "user_id", "labels") == [
        ("u0", [0.0]),
        ("u1", [0.0]),
        ("u2", [1.0]),
        ("u3", [2.0]),
        ("u4", [1.0]),
        ("u5", [2.0]),
    ], "u6 has no label, and is not asked"
