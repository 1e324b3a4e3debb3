"""Runs of the DAGs in one process, with real jobs on real lakes."""

import os
import subprocess

import pytest
from deltalake import DeltaTable

from tests.airflow_dags.airflows import database, settings_file, tried
from tests.jobs.standalone import cluster
from tests.shop import line, write_log
from tools.airflow_service import ROOT

FIRST, SECOND = "2026-11-02", "2026-11-03"
STEPS = ("logs", "ingest", "gate", "sessionize", "sequence", "quality")
PLAIN = "arguments: [privacy.ids=plain, spark.shuffle_partitions=2]"
SIMULATED = (
    "simulate.events=15000",
    "simulate.days=24",
    "simulate.first_day=2026-02-05",
    "simulate.items=300",
    "simulate.categories=8",
    "simulate.bots=1",
    "simulate.bot_views_per_day=200",
)
SIMULATED_SHOP = (
    "sources: [simulated]",
    "model: gru",
    "monitor: false",
    "publish: false",
    "arguments: [spark.shuffle_partitions=2, promote.holdout_days=7, task.validation_days=7, model.width=16, "
    "model.blocks=1, task.length=64, task.positions=16, train.epochs=1]",
)
LAST = "2026-02-28"

pytestmark = pytest.mark.long  # each runs real jobs, a Spark apiece


def bought(user, ds, n=1):
    return line(user, f"{ds}T10:00:00Z", f"{user}-{ds}-{n}", item_id=f"item{n}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop with one night of logs, and an Airflow that knows it: its folder and its settings."""
    folder = tmp_path_factory.mktemp("shop")
    write_log(folder / "raw", FIRST, bought("ann", FIRST), bought("bob", FIRST), bought("eve", FIRST))
    settings = settings_file(folder, "sources: [plain]", PLAIN)
    database(folder / "home", settings)
    return folder, settings


@pytest.fixture(scope="module")
def night(shop):
    folder, settings = shop
    return tried(folder / "home", settings, "footfall_nightly", ds=FIRST)


def test_a_night_is_green_and_its_tasks_return_the_facts_of_their_jobs(night):
    assert night["state"] == "success"
    assert night["tasks"] == {"announce": "success"} | {f"plain.{step}": "success" for step in STEPS}
    assert night["returned"]["plain.logs"] == [{"files": 1}]
    facts = night["returned"]["plain.ingest"][0]
    assert (facts["files"], facts["events"], facts["quarantined"]) == ("1", "3", "0")
    assert float(facts["seconds"]) > 0


def test_a_night_announces_itself_with_its_tables(night, shop):
    folder, _ = shop
    assert [event["ds"] for event in night["events"]] == [FIRST]
    told = dict(each.split("@") for each in night["events"][0]["tables"].split())
    for table in ("events", "sessions", "sequences", "items", "users", "quality"):
        assert int(told[table]) == DeltaTable(str(folder / "lake" / table)).version()


@pytest.mark.cluster
def test_the_connection_takes_a_night_to_a_cluster(tmp_path):
    write_log(tmp_path / "raw", FIRST, bought("ann", FIRST))
    settings = settings_file(tmp_path, "sources: [plain]", PLAIN)
    database(tmp_path / "home", settings)
    with cluster(tmp_path, workers=1) as found:
        host, port = found.url.rsplit(":", 1)
        connection = {"conn_type": "spark", "host": host, "port": int(port)}
        run = tried(tmp_path / "home", settings, "footfall_nightly", connection, ds=FIRST)
    assert run["state"] == "success"
    assert len(list(tmp_path.glob("worker-0/app-*"))) == len(STEPS) - 1, "each job had executors there"


def test_a_gate_that_finds_what_must_not_be_keeps_the_night_from_going_on(tmp_path):
    write_log(tmp_path / "raw", FIRST, bought("ann", FIRST), "{", "{{", "{{{")
    settings = settings_file(tmp_path, "sources: [plain]", "retries: 0", PLAIN)
    database(tmp_path / "home", settings)
    run = tried(tmp_path / "home", settings, "footfall_nightly", ds=FIRST)
    states = {name: run["tasks"][f"plain.{name}"] for name in STEPS}
    behind = dict.fromkeys(("sessionize", "sequence", "quality"), "upstream_failed")
    assert states == {"logs": "success", "ingest": "success", "gate": "failed"} | behind
    assert (run["state"], run["tasks"]["announce"], run["events"]) == ("failed", "upstream_failed", [])
    assert not (tmp_path / "lake" / "sessions").exists()


def test_a_backfill_takes_in_its_days_and_announces_nothing(shop, night):
    folder, settings = shop
    write_log(folder / "raw", SECOND, bought("zoe", SECOND))
    run = tried(folder / "home", settings, "footfall_backfill", start=FIRST, end="2026-11-04")
    assert run["state"] == "success"
    assert [each["events"] for each in run["returned"]["backfill"]] == ["1"]
    assert run["events"] == night["events"]


def test_upkeep_erases_those_who_asked_and_moves_their_request(shop, night):
    folder, settings = shop
    requests = folder / "erasures"
    requests.mkdir()
    (requests / "request-7.txt").write_text("bob\n")
    run = tried(folder / "home", settings, "footfall_maintenance", ds=FIRST)
    assert run["state"] == "success"
    assert set(run["tasks"].values()) == {"success"}
    assert (requests / "done" / "request-7.txt").exists() and not (requests / "request-7.txt").exists()
    users = DeltaTable(str(folder / "lake" / "users")).to_pyarrow_table()["user_id"].to_pylist()
    assert "bob" not in users and "ann" in users


def test_a_night_a_training_and_a_score(tmp_path):
    """The first training puts the best baseline into service, and says so; the same again changes nothing, and says so."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    simulate = [ROOT / ".venv/bin/spark-submit", "jobs/simulate.py", f"raw={tmp_path}/raw", *SIMULATED]
    subprocess.run(simulate, cwd=ROOT, env=environment, check=True, timeout=1800)
    settings, home = settings_file(tmp_path, *SIMULATED_SHOP), tmp_path / "home"
    database(home, settings)
    assert tried(home, settings, "footfall_nightly", ds=LAST)["state"] == "success"

    first = tried(home, settings, "footfall_retrain", ds=LAST)
    assert first["state"] == "success"
    assert (first["tasks"]["next_item.pretrain"], first["tasks"]["next_item.finetune"]) == (
        "success",
        "skipped",
    )
    champion = first["events"][-1]
    assert (champion["ds"], champion["task"]) == (LAST, "next_item") and int(champion["champion"]) > 0

    again = tried(home, settings, "footfall_retrain", ds=LAST)
    assert (again["state"], again["tasks"]["next_item.announce"]) == ("success", "skipped")
    assert again["events"] == first["events"]

    scored = tried(home, settings, "footfall_score", ds=LAST)
    assert scored["state"] == "success"
    facts = scored["returned"]["predictions.score"][0]
    assert facts["users"] == facts["predictions"] and int(facts["users"]) > 0
