"""The ledger and the registry's alias: stopped between them, overtaken, and back again."""

from dataclasses import replace
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from conf.load import load
from conf.schema import Config
from features.promotions import DONE, LOST, PENDING, PROMOTION, PROMOTIONS
from jobs.job import InputError
from jobs.ledger import append, champion_of, decisions, record, settle, settle_at_start
from jobs.promote import request_of
from jobs.report import metrics
from jobs.rollback import rollback
from models.registry import CHAMPION, Registry, connect
from models.registry_down import RegistryDown

TASK, TOLD = "next_item", {"job": "test"}


@pytest.fixture
def registry(conf: Config, tmp_path) -> Registry:
    """A registry with three versions of the task, none of them champion."""
    found = connect(conf.registry, conf.artifacts)
    found.client.create_registered_model(TASK)
    for _ in range(3):
        found.client.create_model_version(TASK, tmp_path.as_uri(), tags={"model": "frequency"})
    return found


def move(request: str, to: int, of: int | None, promoted: bool = True) -> dict:
    """A decision of the gate: version `to` against the champion `of`."""
    return dict.fromkeys(PROMOTIONS.schema.names) | {
        "request_id": request,
        "decided_at": datetime(2026, 11, 2, to, tzinfo=UTC),
        "ds": date(2026, 11, 2),
        "task": TASK,
        "challenger": f"model {to}",
        "challenger_version": to,
        "champion": of and f"model {of}",
        "champion_version": of,
        "promoted": promoted,
        "metric": "ndcg@10",
        "challenger_value": 0.2,
        "champion_value": of and 0.1,
        "users": 10,
        "reason": "it is better",
        "judged": [],
        "tables": {},
        "requested_by": "test",
        "kind": PROMOTION,
        "guards": [],
    }


def states(lake) -> list[tuple]:
    rows = lake.read(PROMOTIONS).select("request_id", "state").collect()
    return sorted(tuple(row) for row in rows)


def test_a_move_is_written_before_and_after_it_is_made_and_goes_back_again(lake, conf, registry):
    first, second = record(lake, registry, [move("a/0", 1, None), move("a/1", 2, 1)], TOLD)
    assert (first["state"], second["state"], champion_of(registry, TASK)) == (DONE, DONE, 2)
    refused = record(lake, registry, [move("b/0", 3, 2, promoted=False)], TOLD)
    assert (refused[0]["state"], champion_of(registry, TASK)) == (DONE, 2)
    assert states(lake) == [("a/0", DONE), ("a/0", PENDING), ("a/1", DONE), ("a/1", PENDING), ("b/0", DONE)]
    assert [entry["challenger_version"] for entry in decisions(lake, "a")] == [1, 2]

    conf.champion = 2
    back = rollback(conf, lake)
    assert (back["champion"], back["state"], champion_of(registry, TASK)) == ("model 1 v1", DONE, 1)
    version = lake.version(PROMOTIONS)
    assert "rolled back before" in rollback(conf, lake)["note"]
    assert (lake.version(PROMOTIONS), champion_of(registry, TASK)) == (version, 1)
    conf.champion = None
    with pytest.raises(InputError, match="next_item v1 was the first champion: there is none before it"):
        rollback(conf, lake)


@pytest.mark.parametrize(
    ("stands", "state", "champion"),
    [
        (None, DONE, 2),  # stopped before the alias was moved
        (2, DONE, 2),  # stopped behind it
        (3, LOST, 3),  # another was first
    ],
)
def test_what_was_left_pending_is_settled_by_the_next_run(lake, registry, stands, state, champion):
    if stands:
        registry.set_alias(registry.version(TASK, stands), CHAMPION)
    append(lake, [move("a/0", 2, None) | {"state": PENDING}], TOLD)
    (entry,) = settle(lake, registry, TASK, TOLD)
    assert (entry["state"], champion_of(registry, TASK)) == (state, champion)
    assert ("took the champion's place meanwhile" in entry["reason"]) is (state == LOST)
    assert states(lake) == sorted([("a/0", state), ("a/0", PENDING)])
    assert settle(lake, registry, TASK, TOLD) == []


def test_a_rollback_that_was_stopped_is_carried_out_and_does_not_go_back_twice(lake, conf, registry):
    record(lake, registry, [move("a/0", 1, None), move("a/1", 2, 1), move("a/2", 3, 2)], TOLD)
    append(lake, [move("back", 2, 3) | {"state": PENDING, "kind": "rollback"}], TOLD)
    assert "carried out now, and no more" in rollback(conf, lake)["note"]
    assert champion_of(registry, TASK) == 2


def test_a_registry_without_a_champion_and_another_one_than_expected_are_said(lake, conf, registry):
    with pytest.raises(InputError, match="next_item has no champion: there is nothing to go back from"):
        rollback(conf, lake)
    registry.set_alias(registry.version(TASK, 3), CHAMPION)
    with pytest.raises(InputError, match="v3 came into service by no row of the ledger"):
        rollback(conf, lake)
    conf.champion = 1
    with pytest.raises(InputError, match="v3 is champion, expected v1"):
        rollback(conf, lake)


def test_a_version_whose_files_were_changed_does_not_go_into_service(lake, conf, registry, tmp_path):
    registry.client.create_model_version(TASK, tmp_path.as_uri(), tags={"digest": 64 * "0"})
    (entry,) = record(lake, registry, [move("a/0", 4, None)], TOLD)
    assert (entry["state"], entry["promoted"], champion_of(registry, TASK)) == (LOST, False, None)
    assert "the files of v4 are not those that were registered" in entry["reason"]


def test_what_is_pending_is_settled_by_scoring_too_where_nobody_writes(lake, conf, registry):
    append(lake, [move("a/0", 2, None) | {"state": PENDING}], TOLD)
    settle_at_start(conf, lake, registry)
    assert (champion_of(registry, TASK), states(lake)) == (2, [("a/0", DONE), ("a/0", PENDING)])


def test_a_registry_that_is_down_is_said_at_once():
    with pytest.raises(
        RegistryDown, match=r"the registry http://127\.0\.0\.1:9 does not answer .*make services"
    ):
        connect("http://user:secret@127.0.0.1:9", "mlflow-artifacts:/")


def test_a_request_is_another_once_another_model_of_the_night_is_trained():
    conf = load(["task=churn", "ds=2026-11-23", "set_id=churn-1"])
    three, four = ([SimpleNamespace(version=number) for number in range(1, last + 1)] for last in (3, 4))
    named = replace(conf, promote=replace(conf.promote, challenger=4))
    requests = [request_of(conf, three), request_of(conf, four), request_of(named, four)]
    assert requests == [f"churn/2026-11-23/churn-1/{about}" for about in ("up-to-v3", "up-to-v4", "v4")]
    assert request_of(named, three) == requests[2], "who is named is the same, whatever else there is"


def test_the_report_tells_what_was_judged_and_each_encoder_against_each_baseline(lake, conf):
    asked = ("test", datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
    values, none, metric = (0.2, 0.1, 0.3), (None, None, None), "ndcg@10/first"
    judged = [
        (*asked, 10, "popularity", "baseline", 1, metric, *values, *none),
        (*asked, 10, "gru", "encoder", 2, metric, *values, -0.1, -0.2, 0.0),
    ]
    against = [(*asked, "gru", 2, "popularity", 1, metric, -0.1, -0.2, 0.0)]
    append(lake, [move("a/0", 1, None) | {"judged": judged, "against": None, "state": DONE}], TOLD)
    append(lake, [move("a/1", 2, 1) | {"judged": judged, "against": against, "state": DONE}], TOLD)
    (question,) = metrics(conf, lake)
    baseline, encoder = question["models"]
    assert (baseline["against"], baseline["against_best_baseline"]) == ({}, {})
    between = {"difference": -0.1, "low": -0.2, "high": 0.0}
    assert encoder["against"] == {"popularity v1": {metric: between}}
    assert encoder["against_best_baseline"] == {metric: between}
