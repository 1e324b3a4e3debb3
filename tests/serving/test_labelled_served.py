"""Tasks with labels in real time: what the night answers, by the history until now and last night's features."""

import time
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from conf.load import load
from conf.schema import Model
from features.kernels import model_input as nightly_input
from models.answers import Answers
from models.export_labelled import export_labelled
from models.label_scoring import NO_INPUTS, NOT_ASKED, answers
from models.labelled import Asked, LabelledModel
from serving.labelled import NOT_KNOWN
from tests.serving.served import (
    ITEMS,
    MIDNIGHT,
    NIGHT,
    SIZE,
    Served,
    as_sequences,
    behaviours,
    exported,
    items_table,
    publish,
    publish_told,
)
from tests.serving.test_service import moment, ready, until

FEATURES = ["recency", "tenure", "spend"]
NUMBERS = {"features": len(FEATURES), "naive": 1}
TASKS = {"churn": [""], "spend": [""], "next_event": ["drinks", "food", "other"]}
USERS = behaviours(40, seed=15)
NOBODY_S = "user-00003"  # who has no features


def task_of(name: str):
    return replace(load([f"task={name}"]).task, length=64, positions=16)


def exported_labelled(folder, name: str):
    """A model of a task with random weights, none of them 0, so that all that it is given matters."""
    task, names, rng = task_of(name), TASKS[name], np.random.default_rng(4)
    classes = task.label.head == "classes"
    labels = (rng.integers(0, len(names), 50) if classes else rng.random(50) < 0.5).astype(np.float32)[
        :, None
    ]
    told = Answers(labels, np.ones_like(labels), rng.integers(0, 3, (50, 1)).astype(np.float32))
    counts = np.append([0, 0, 0], rng.integers(1, 60, SIZE - 3))
    small = Model(name="gru", width=8, blocks=1)
    model = LabelledModel(small, task, counts, told, [Asked(task.label, len(names))], len(FEATURES), 5)
    for variable in model.trainable_variables:
        variable.assign_add(0.2 * rng.standard_normal(variable.shape))
    vocabulary = {"item_index": np.arange(3, SIZE), "item_id": ITEMS, "category": items_table()["category"]}
    widths = {name: {"length": length} for name, length in NUMBERS.items()}
    path = folder / name
    export_labelled(
        model, vocabulary, {"columns": widths, "label": {"names": names, "features": FEATURES}}, path
    )
    return path


def numbers_of(users, seed: int) -> pa.Table:
    """`inputs` as published: of one user the features are null, as of one that Spark has no row of."""
    rng = np.random.default_rng(seed)
    features = [None if user == NOBODY_S else rng.standard_normal(3).tolist() for user in users]
    naive = [[float(each)] for each in rng.integers(0, 3, len(users))]
    lists = pa.list_(pa.float32())
    return pa.table(
        {"user_id": list(users), "features": pa.array(features, lists), "naive": pa.array(naive, lists)}
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Served(tmp_path_factory.mktemp("labelled"))
    shop.crown(shop.register(exported(shop.folder, "frequency_decay")))
    publish(shop.folder / "published", NIGHT, USERS)
    for name in TASKS:
        path = exported_labelled(shop.folder, name)
        shop.models[name] = path, shop.register(path, name, NUMBERS)
        shop.crown(shop.models[name][1])
        publish_told(shop.folder / "published", NIGHT, shop.models[name][1], numbers_of(USERS, 6))
    return shop


@pytest.fixture
def client(shop):
    tasks = {name: task_of(name) for name in TASKS}
    with TestClient(ready(shop.app(tasks=tasks))) as client:
        yield client


def asked(client, task: str, **question):
    response = client.post("/v1/predictions", json={"task": task, "as_of": moment(MIDNIGHT)} | question)
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0]


def nightly(shop, task: str, users, numbers: pa.Table) -> dict[str, dict]:
    """What the night's scoring answers of each user."""
    columns = ["user_id", "items", "event_types", "sessions", "session_starts", "timestamps"]
    sequences = as_sequences(users).select(columns)
    until = pa.array([MIDNIGHT] * len(sequences), pa.int64())
    rows = nightly_input(sequences.append_column("until", until).to_batches(), task_of(task).event_types, [])
    histories = pa.Table.from_batches(rows).sort_by("user_id").drop_columns("excluded")
    put = histories.append_column("features", numbers["features"]).append_column("naive", numbers["naive"])
    batches = put.combine_chunks().to_batches()
    found = pa.Table.from_batches(answers(iter(batches), {task: str(shop.models[task][0])}))
    return {row["user_id"]: row for row in found.to_pylist()}


@pytest.mark.parametrize("task", TASKS)
def test_bulk_and_real_time_give_the_same(shop, client, task):
    night = nightly(shop, task, USERS, numbers_of(USERS, 6))
    assert sum(row["reason"] is None for row in night.values()) > 30
    for user, row in night.items():
        answer = asked(client, task, user_id=user)
        assert answer["reason"] == row["reason"] and answer["items"] == [], user
        if row["reason"]:
            assert answer["value"] is None and answer["answers"] == []
        elif TASKS[task] == [""]:
            for name in ("value", "low", "high"):
                expected = pytest.approx(row[name][0], rel=1e-5, abs=1e-5) if row[name] else None
                assert answer[name] == expected, user
        else:
            order = np.argsort(-np.array(row["value"]), kind="stable")
            assert [each["name"] for each in answer["answers"]] == [TASKS[task][place] for place in order]
            values = [each["value"] for each in answer["answers"]]
            assert values == pytest.approx([row["value"][place] for place in order], rel=1e-5, abs=1e-5)


def test_what_happens_goes_on_from_last_night_with_its_features(shop, client):
    """The same events, some of them published and the rest asked with: the same answer, by the same features."""
    user, done = max(USERS.items(), key=lambda pair: len(pair[1]))
    folder, cut = shop.folder / "published in part", len(done) - 5
    publish(folder, NIGHT, {user: done[:cut]})
    publish_told(folder, NIGHT, shop.models["churn"][1], numbers_of(USERS, 6))
    since = [
        {"item_id": None if e.item is None else ITEMS[e.item], "event_type": e.kind, "at": moment(e.at)}
        for e in done[cut:]
    ]
    whole = asked(client, "churn", user_id=user)
    app = shop.app(f"publish.folder='{folder}'", tasks={"churn": task_of("churn")})
    with TestClient(ready(app)) as part:
        assert asked(part, "churn", user_id=user)["value"] != pytest.approx(whole["value"], rel=1e-4)
        found = asked(part, "churn", user_id=user, events=since)
    assert found["value"] == pytest.approx(whole["value"], rel=1e-5)
    assert (found["features_ds"], found["events"]) == (NIGHT, whole["events"])


def test_who_has_no_features_or_no_history_is_told_so(client):
    assert asked(client, "churn", user_id=NOBODY_S)["reason"] == NO_INPUTS
    assert asked(client, "churn")["reason"] == NOT_ASKED
    assert (
        asked(client, "churn", events=[{"item_id": "bread", "at": moment(MIDNIGHT - 9)}])["reason"]
        == NOT_KNOWN
    )
    refused = client.post("/v1/explanations", json={"task": "churn"})
    assert refused.status_code == 404 and NOT_ASKED in refused.json()["message"]


def test_every_task_answers_at_once_and_says_what_it_answers(client):
    response = client.post(
        "/v1/predictions", json={"user_id": "user-00001", "as_of": moment(MIDNIGHT)}
    ).json()
    assert [each["task"] for each in response["predictions"]] == list(TASKS)
    about = {each["task"]: each for each in client.get("/v1/about").json()["tasks"]}
    assert about["churn"]["answers"] == ["churn"] and about["next_event"]["answers"] == TASKS["next_event"]
    assert client.get("/ready").status_code == 200


@pytest.mark.parametrize(("task", "name"), [("churn", "churn"), ("next_event", "food")])
def test_an_answer_is_explained_by_leaving_events_out(client, task, name):
    user = max(USERS, key=lambda each: len(USERS[each]))
    of = {"task": task, "user_id": user, "as_of": moment(MIDNIGHT)}
    told = client.post("/v1/explanations", json=of | {"items": [name]}).json()
    answer = asked(client, task, user_id=user)
    value = answer["value"] or next(each["value"] for each in answer["answers"] if each["name"] == name)
    assert told["items"][0]["item_id"] == name
    assert told["items"][0]["score"] == pytest.approx(value, rel=1e-5)
    assert len(told["items"][0]["changes"]) == len(told["events"]) > 0 and any(told["items"][0]["changes"])
    wrong = client.post("/v1/explanations", json=of | {"items": ["tea"]})
    assert wrong.status_code == 404 and "does not answer for 'tea'" in wrong.json()["message"]


def test_a_champion_comes_into_service_with_the_night_that_was_scored_by_it(shop):
    path, first = shop.models["churn"]
    folder = shop.folder / "published since"
    app = shop.app(f"publish.folder='{folder}'", tasks={"churn": task_of("churn")})
    with TestClient(app) as client:

        def by_whom(user: str = "user-00001") -> tuple[int, str]:
            answer = asked(client, "churn", user_id=user)
            return answer["model_version"], answer["features_ds"]

        publish(folder, NIGHT, USERS)
        until(lambda: "churn was not published" in client.get("/ready").json()["status"])
        publish_told(folder, NIGHT, first, numbers_of(USERS, 6))
        until(lambda: client.get("/ready").status_code == 200)
        assert by_whom() == (first.version, NIGHT)
        second = shop.register(path, "churn", NUMBERS)
        shop.crown(second)
        time.sleep(1)  # some looks at the registry
        assert by_whom() == (first.version, NIGHT)
        publish_told(folder, "2026-11-03", second, numbers_of(USERS, 7))
        until(lambda: by_whom() == (second.version, "2026-11-03"))
    shop.crown(first)
