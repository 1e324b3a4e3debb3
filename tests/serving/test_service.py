"""The service over HTTP: what it answers, what it refuses, and that a new champion or night drops no question."""

import gc
import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from features.kernels import model_input as nightly_input
from features.keyed_ids import keyed_id
from jobs.command import InputError
from models.scoring import best_items, load, on_shelf, scores_of, top_k
from models.shelf import shelf_of
from serving.publication import RULES as RULES_SCHEMA
from serving.users import NotPublished
from serving.users import users as published_users
from serving.wire import Question
from tests.serving.served import (
    ITEMS,
    MIDNIGHT,
    NIGHT,
    TASK,
    Served,
    as_sequences,
    behaviours,
    exported,
    items_table,
    publish,
)

ROOT = Path(__file__).parents[2]
USERS = behaviours(60, seed=5)
SOMEONE = "user-00007"
EVENTS = [
    {"item_id": "bread", "at": "2026-11-03T09:00:00Z"},
    {"item_id": "rice", "at": "2026-11-03T09:05:00Z"},
]
RULES = [
    {"rule_id": "tea", "kind": "boost", "item_id": "green tea", "factor": 1e9, "starts": date(2026, 11, 1)},
    {"rule_id": "no soap", "kind": "block", "item_id": "soap", "starts": date(2026, 11, 1)},
    {
        "rule_id": "over",
        "kind": "block",
        "item_id": "rice",
        "starts": date(2026, 1, 1),
        "ends": date(2026, 2, 1),
    },
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Two registered models, the first of them champion, and a published night."""
    shop = Served(tmp_path_factory.mktemp("served"))
    for name in ("frequency_decay", "sasrec"):
        path = exported(shop.folder, name)
        shop.models[name] = path, shop.register(path)
    publish(shop.folder / "published", NIGHT, USERS, RULES)
    return shop


@pytest.fixture(params=["frequency_decay", "sasrec"])
def champion(request, shop):
    path, version = shop.models[request.param]
    shop.crown(version)
    return path, version


@pytest.fixture
def client(shop):
    shop.crown(shop.models["frequency_decay"][1])
    with TestClient(ready(shop.app())) as client:
        yield client


def ready(app):
    app.state.service.watch.look()
    return app


def first(response):
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0]


def same_as_bulk(shop, champion, users, seed):
    """Each user cut at a random event: what lies before is published, the rest is asked with; beside bulk scoring of all."""
    path, version = champion
    rng, folder = np.random.default_rng(seed), shop.folder / f"published {seed}"
    cuts = {user: int(rng.integers(0, len(done))) for user, done in users.items()}
    publish(folder, NIGHT, {user: done[: cuts[user]] for user, done in users.items()}, RULES)
    columns = ["user_id", "items", "event_types", "sessions", "session_starts", "timestamps"]
    sequences = as_sequences(users).select(columns)
    nightly = sequences.append_column("until", pa.array([MIDNIGHT] * len(sequences), pa.int64()))
    bought = pa.Table.from_batches(nightly_input(nightly.to_batches(), ["purchase"], ["purchase"]))
    shelf = shelf_of(items_table(), pa.Table.from_pylist(RULES, RULES_SCHEMA), date(2026, 11, 2), [])
    expected = pa.Table.from_batches(top_k(iter(bought.to_batches()), str(path), TASK.k, shelf)).to_pylist()
    app = ready(shop.app(f"publish.folder='{folder}'", "score.exclude=[bought]"))
    with TestClient(app) as client:
        for row in expected:
            user = row["user_id"]
            since = [
                {
                    "item_id": None if e.item is None else ITEMS[e.item],
                    "event_type": e.kind,
                    "at": moment(e.at),
                    "channel": e.channel,
                }
                for e in users[user][cuts[user] :]
            ]
            name = {"user_id": user} if cuts[user] else {}
            asked = {**name, "events": since, "as_of": moment(MIDNIGHT)}
            answer = first(client.post("/v1/predictions", json=asked))
            assert answer["reason"] == row["reason"] and answer["model_version"] == version.version
            scores = np.array([item["score"] for item in answer["items"]], np.float32)
            np.testing.assert_allclose(scores, row["scores"], rtol=1e-5, atol=1e-5, err_msg=user)
            tied = {
                score for score in row["scores"] if np.isclose(row["scores"], score, 1e-5, 1e-5).sum() > 1
            }
            for item, other, score in zip(answer["items"], row["ids"], row["scores"], strict=True):
                assert item["item_id"] == other or score in tied, user
    return len(expected)


def moment(micros):
    return (
        datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000).isoformat()
    )


def test_bulk_and_real_time_give_the_same(shop, champion):
    assert same_as_bulk(shop, champion, behaviours(40, 11), 11) > 35


@pytest.mark.long
def test_bulk_and_real_time_give_a_thousand_users_the_same(shop, champion):
    assert same_as_bulk(shop, champion, behaviours(1000, 12), 12) > 950


def test_what_lives_as_long_as_the_service_is_not_looked_through_for_garbage():
    say = "from jobs.serve import gc, without_pauses; without_pauses(); print(gc.get_freeze_count(), *gc.get_threshold())"
    told = subprocess.run([sys.executable, "-c", say], cwd=ROOT, capture_output=True, text=True, timeout=300)
    frozen, young, middle, old = map(int, told.stdout.split())
    assert frozen > 100_000, told.stderr
    assert (young, middle) == gc.get_threshold()[:2] and old > 1_000_000


def test_an_event_changes_the_answer_and_nobody_gets_what_is_best_for_everyone(client):
    nobody = first(client.post("/v1/predictions", json={}))
    assert nobody["reason"] == "no history: what is best for everyone" and nobody["events"] == 0
    since = first(client.post("/v1/predictions", json={"events": [{"item_id": "cocoa"}]}))
    assert since["events"] == 1 and since["reason"] is None
    assert "cocoa" in [item["item_id"] for item in since["items"][:2]]


def test_rules_of_the_night_are_in_the_answer(client):
    """A boost brings green tea up, soap is blocked however often it was bought; a rule that is over blocks nothing."""
    events = [
        {"item_id": name, "at": f"2026-11-03T0{hour}:00:00Z"}
        for hour in range(5)
        for name in ("soap", "rice")
    ]
    ids = [
        item["item_id"] for item in first(client.post("/v1/predictions", json={"events": events}))["items"]
    ]
    assert ids[:2] == ["green tea", "rice"] and "soap" not in ids


def test_a_user_has_one_history_by_either_name_and_k_cuts_it(client):
    asked = {"k": 3, "as_of": "2026-11-03T10:00:00Z"}
    by_name = client.post("/v1/predictions", json=asked | {"user_id": SOMEONE}).json()
    by_entity = client.post("/v1/predictions", json=asked | {"entity": SOMEONE}).json()
    assert by_name == by_entity and by_name["known_user"] and by_name["ds"] == NIGHT
    assert len(by_name["predictions"][0]["items"]) == 3


def test_ids_are_hashed_with_the_lakes_key(shop):
    key = bytes(range(32))
    (shop.folder / "lake.key").write_text(key.hex())
    folder = shop.folder / "published keyed"
    publish(folder, NIGHT, {keyed_id("ann", (key,)): USERS[SOMEONE]})
    with TestClient(ready(shop.app("privacy.ids=keyed", f"publish.folder='{folder}'"))) as client:
        assert client.post("/v1/predictions", json={"user_id": "ann"}).json()["known_user"]
        assert not client.post("/v1/predictions", json={"user_id": "bob"}).json()["known_user"]


def test_leaving_an_event_out_gives_what_the_service_answers_without_it(client):
    asked = {"events": EVENTS, "as_of": "2026-11-03T10:00:00Z"}
    explained = client.post("/v1/explanations", json=asked | {"items": ["rice", "cocoa"]}).json()
    assert [past["item_id"] for past in explained["events"]] == ["bread", "rice"]
    rice, cocoa = explained["items"]
    assert rice["changes"][1] > 0.9 and rice["changes"][0] == 0 and cocoa["changes"] == [0, 0]
    every = {
        item["item_id"]: item["score"] for item in first(client.post("/v1/predictions", json=asked))["items"]
    }
    assert every["rice"] == pytest.approx(rice["score"], abs=1e-5)


def test_a_timeline_and_users_are_listed(client):
    users = client.get("/v1/users?limit=5").json()
    assert len(users) == 5 and set(users) < set(USERS)
    events = client.get(f"/v1/users/{SOMEONE}").json()["events"]
    done = USERS[SOMEONE]
    assert [past["item_id"] for past in events] == ["" if e.item is None else ITEMS[e.item] for e in done]
    assert client.get("/v1/users/stranger").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "error", "said"),
    [
        ({"events": [{"item": "bread"}]}, 422, "invalid", "events.0.item_id: Field required"),
        ({"user_id": "ann", "entity": "ann"}, 422, "invalid", "not both"),
        ({"k": 0}, 422, "invalid", "k: Input should be greater than or equal to 1"),
        ({"task": "next_year"}, 404, "no_task", "expected one of next_item"),
        (
            {"events": [{"item_id": "a", "event_type": "dance"}]},
            422,
            "invalid",
            "expected one of view, cart, purchase, impression, mail",
        ),
        (
            {"events": [{"item_id": "a", "at": "2999-01-01T00:00:00Z"}]},
            422,
            "invalid",
            "more than an hour ahead",
        ),
        ({"events": [{"item_id": "a"}] * 1025}, 422, "invalid", "1025 events, expected 1024 at most"),
        ({"user_id": "x" * 300_000}, 413, "too_large", "more than 262144 bytes"),
    ],
)
def test_a_question_that_makes_no_sense_is_told_why(client, body, status, error, said):
    response = client.post("/v1/predictions", json=body)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert said in response.json()["message"] and "x" * 50 not in response.text


def test_a_body_that_is_no_json_and_a_page_that_is_not_there(client):
    assert (
        client.post("/v1/predictions", content=b"{", headers={"content-type": "application/json"}).status_code
        == 422
    )
    assert client.post("/v1/predictions", data={"a": "b"}).json()["error"] == "not_json"
    assert client.get("/nowhere").json()["error"] == "not_found"
    assert client.get("/page/..%2fapp.py").status_code == 404
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 421


def test_what_fails_inside_is_told_without_a_trace(client, monkeypatch, caplog):
    service = client.app.state.service
    monkeypatch.setattr(service.batcher, "answer", lambda model, questions: 1 / 0)
    response = client.post("/v1/predictions", json={})
    assert response.status_code == 500 and response.json()["error"] == "failed"
    assert "ZeroDivision" not in response.text and "Traceback" not in response.text
    assert "ZeroDivisionError" in caplog.text


def test_too_many_and_too_late_are_told_to_come_again(shop, monkeypatch):
    """One question is held inside, one waits, the third is one too many; what is held is told after the time limit."""
    app = ready(shop.app("serve.queue=1", "serve.timeout_seconds=1.5"))
    gate, began = threading.Event(), threading.Event()
    answer = app.state.service.batcher.answer

    def held(model, questions):
        began.set()
        assert gate.wait(20)
        return answer(model, questions)

    monkeypatch.setattr(app.state.service.batcher, "answer", held)
    with TestClient(app) as client:
        found = {}
        ask = lambda name: found.update({name: client.post("/v1/predictions", json={})})  # noqa: E731
        threads = [threading.Thread(target=ask, args=(name,)) for name in ("held", "waits")]
        threads[0].start()
        assert began.wait(10)
        threads[1].start()
        while not app.state.service.batcher.waiting:
            time.sleep(0.01)
        refused = client.post("/v1/predictions", json={})
        assert (refused.status_code, refused.json()["error"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        for thread in threads:
            thread.join()
        gate.set()
        assert {name: response.json()["error"] for name, response in found.items()} == {
            "held": "too_late",
            "waits": "too_late",
        }


def test_a_key_opens_the_questions_and_health_needs_none(shop, tmp_path):
    (tmp_path / "keys").write_text("a-key-of-the-shop-1\na-key-of-the-shop-2\n")
    with TestClient(ready(shop.app(f"serve.key_file={tmp_path / 'keys'}", "serve.host=0.0.0.0"))) as client:
        assert client.get("/health").status_code == client.get("/ready").status_code == 200
        assert client.post("/v1/predictions", json={}).json()["error"] == "no_key"
        for headers in {"x-api-key": "a-key-of-the-shop-2"}, {"authorization": "Bearer a-key-of-the-shop-1"}:
            assert client.post("/v1/predictions", json={}, headers=headers).status_code == 200
        wrong = {"x-api-key": "a-key-of-the-shop-3"}
        assert client.get("/v1/users", headers=wrong).status_code == 401
        (tmp_path / "keys").write_text("a-key-of-the-shop-3\n")
        assert client.get("/v1/users", headers=wrong).status_code == 200


def test_others_reach_it_with_a_key_only(shop, tmp_path):
    with pytest.raises(InputError, match=r"serve\.host is 0\.0\.0\.0, .* no serve\.key_file"):
        shop.app("serve.host=0.0.0.0")
    (tmp_path / "empty").write_text("short\n")
    with pytest.raises(ValueError, match="holds no key"):
        shop.app(f"serve.key_file={tmp_path / 'empty'}")


def test_a_new_champion_and_a_new_night_are_taken_up_and_no_question_is_dropped(shop):
    old, new = (shop.models[name][1] for name in ("frequency_decay", "sasrec"))
    folder = shop.folder / "published anew"
    publish(folder, NIGHT, USERS)
    shop.crown(old)
    with TestClient(shop.app(f"publish.folder='{folder}'")) as client:
        until(lambda: client.get("/ready").status_code == 200)
        over, found = threading.Event(), []

        def go_on():
            while not over.is_set():
                found.append(client.post("/v1/predictions", json={"user_id": SOMEONE}))

        threads = [threading.Thread(target=go_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(found) > 5)
        publish(folder, "2026-11-03", USERS)
        shop.crown(new)
        until(lambda: served(found[-1]) == (new.version, "2026-11-03"))
        over.set()
        for thread in threads:
            thread.join()
        assert {response.status_code for response in found} == {200}
        assert {served(response)[0] for response in found} == {old.version, new.version}
        text = client.get("/metrics").text
        assert f'footfall_champion_version{{task="next_item"}} {new.version:.1f}' in text
        assert f'footfall_requests_total{{path="/v1/predictions",status="200"}} {len(found)}.0' in text


def served(response):
    answer = response.json()
    return answer["predictions"][0]["model_version"], answer["ds"]


def until(is_so, seconds=180):
    last = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < last, "it did not happen in time"
        time.sleep(0.02)


def test_a_registry_that_is_down_takes_nobodys_champion_away(client, monkeypatch):
    watch = client.app.state.service.watch
    before = watch.state

    def down(*_):
        raise ConnectionError("nobody is there")

    monkeypatch.setattr(watch, "_champion", down)
    watch.look()
    assert watch.state.champions == before.champions
    assert first(client.post("/v1/predictions", json={}))["items"]
    said = re.search(r'footfall_watch_failures_total\{of="registry"\} (\d+)', client.get("/metrics").text)
    assert said and int(said[1]) >= 1  # it looks by itself, too


def test_without_a_champion_it_is_not_ready_and_says_so(shop):
    app = shop.app(tasks={"next_item": TASK, "next_visit": replace(TASK, name="next_visit")})
    app.state.service.watch.look()
    with TestClient(app) as client:
        assert client.get("/ready").json() == {"status": "next_visit has no champion yet"}
        response = client.post("/v1/predictions", json={"task": "next_visit"})
        assert response.status_code == 503 and response.headers["retry-after"] == "5"
        assert first(client.post("/v1/predictions", json={}))["task"] == "next_item"


def test_each_task_answers_with_its_own_champion(shop):
    shop.crown(shop.models["frequency_decay"][1])
    shop.crown(shop.register(shop.models["sasrec"][0], "other"))
    with TestClient(
        ready(shop.app(tasks={"next_item": TASK, "other": replace(TASK, name="other", k=4)}))
    ) as client:
        both = client.post("/v1/predictions", json={"entity": SOMEONE}).json()["predictions"]
    assert [(each["task"], each["model"], len(each["items"])) for each in both] == [
        ("next_item", "frequency_decay", 10),
        ("other", "sasrec", 4),
    ]


def test_the_examples_of_openapi_are_questions_that_are_answered(client):
    schema = client.get("/openapi.json").json()
    examples = schema["components"]["schemas"]["Question"]["examples"]
    assert len(examples) == 2
    for example in examples:
        Question.model_validate(example)
        assert client.post("/v1/predictions", json=example).status_code == 200
    body = schema["paths"]["/v1/predictions"]["post"]
    assert set(body["responses"]) >= {"200", "401", "413", "422", "503"}
    assert json.dumps(schema).count("http") < 5  # nothing of it is somewhere else


def test_scores_of_chosen_items_are_those_of_the_ranking(shop, champion):
    scorer = on_shelf(
        load(str(champion[0])),
        shelf_of(items_table(), pa.Table.from_pylist(RULES, RULES_SCHEMA), date(2026, 11, 2)),
    )
    row = np.array([[5, 9, 5, 12]], np.int32)
    inputs = {
        "items": row,
        "sessions": np.array([[1, 1, 2, 3]], np.int32),
        "ages": np.array([[9, 9, 3, 1]], np.float32),
    }
    indices, scores = best_items(scorer, inputs, 10)
    np.testing.assert_allclose(scores_of(scorer, inputs, indices[0]), scores, atol=1e-5)


def test_a_night_of_a_release_that_knew_no_channels_tells_none_and_one_without_sessions_is_refused(tmp_path):
    written = as_sequences(behaviours(3, 1))
    pq.write_table(written.drop_columns("channels"), tmp_path / "part-0.parquet")
    user = written["user_id"][0].as_py()
    history = published_users(tmp_path).find(user)
    assert history.channels == ("",) * len(history.items)
    pq.write_table(written.drop_columns("sessions"), tmp_path / "part-0.parquet")
    with pytest.raises(NotPublished, match="has no sessions: publish it anew"):
        published_users(tmp_path)
