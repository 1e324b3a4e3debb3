"""The DAGs as Airflow reads them: no error, exact edges, policy, assets, commands that the jobs accept."""

import re

import pytest

from conf.load import load
from tests.airflow_dags.airflows import PLACES, described
from tools.airflow_service import ROOT

NAMES = ("nightly", "retrain", "score", "backfill", "maintenance")
EDGES = {
    "footfall_nightly": {
        "complete_journey.logs": ["complete_journey.ingest"],
        "complete_journey.ingest": ["complete_journey.gate"],
        "complete_journey.gate": ["complete_journey.sessionize"],
        "complete_journey.sessionize": ["complete_journey.sequence"],
        "complete_journey.sequence": ["complete_journey.quality"],
        "complete_journey.quality": ["announce"],
        "announce": [],
    },
    "footfall_retrain": {
        "next_item.examples": ["next_item.baselines"],
        "next_item.baselines": ["next_item.kind"],
        "next_item.kind": ["next_item.finetune", "next_item.pretrain"],
        "next_item.pretrain": ["next_item.promote"],
        "next_item.finetune": ["next_item.promote"],
        "next_item.promote": ["next_item.announce"],
        "next_item.announce": [],
    },
    "footfall_score": {
        "nights": ["predictions.monitor", "predictions.publish", "predictions.score"],
        "predictions.score": ["predictions.monitor", "predictions.publish"],
        "predictions.monitor": [],
        "predictions.publish": [],
    },
    "footfall_backfill": {"ranges": ["backfill"], "backfill": []},
    "footfall_maintenance": {
        "requests": ["done", "erase"],
        "erase": ["done"],
        "done": ["optimize"],
        "optimize": ["retain"],
        "retain": [],
    },
}
NEEDS = {"backfill.py": ("start", "end"), "erase.py": ("users",), "versions.py": ()}
TRAININGS = ("next_item.pretrain", "next_item.finetune")


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """All that Airflow says of the DAGs, by conf/airflow/default.yaml, of a shop that publishes."""
    own = tmp_path_factory.mktemp("settings") / "own.yaml"
    own.write_text("publish: true\n")
    return described(tmp_path_factory.mktemp("airflow"), str(own))


def steps(read):
    """(DAG, task, what is said of it) of each step that is a job."""
    return [
        (name, task, said)
        for name, dag in read["dags"].items()
        for task, said in dag["tasks"].items()
        if said["command"]
    ]


def test_they_are_read_without_errors_or_warnings(read):
    assert (read["errors"], read["warnings"]) == ({}, {})
    assert sorted(read["dags"]) == sorted(EDGES)


def test_a_file_does_no_work_when_it_is_read(read):
    assert {file: seconds for file, seconds in read["cpu_seconds"].items() if seconds >= 0.5} == {}
    assert sorted(read["cpu_seconds"]) == sorted(f"{name}.py" for name in NAMES), (
        "no other file may be taken for a DAG"
    )


@pytest.mark.parametrize("dag", EDGES)
def test_steps_follow_each_other_as_they_must(read, dag):
    tasks = read["dags"][dag]["tasks"]
    assert {name: said["downstream"] for name, said in tasks.items()} == EDGES[dag]


@pytest.mark.parametrize("dag", EDGES)
def test_a_dag_is_the_same_once_it_was_written_and_read(read, dag):
    said = read["dags"][dag]
    assert said["tasks_read_back"] == {name: task["downstream"] for name, task in said["tasks"].items()}
    assert said["pools_read_back"] == {name: task["pool"] for name, task in said["tasks"].items()}


@pytest.mark.parametrize("dag", EDGES)
def test_nothing_is_caught_up_with_and_one_run_goes_at_a_time(read, dag):
    assert (read["dags"][dag]["catchup"], read["dags"][dag]["max_active_runs"]) == (False, 1)


@pytest.mark.parametrize(
    ("dag", "timetable", "hours", "kinds"),
    [
        ("footfall_nightly", "CronDataIntervalTimetable", [6], []),
        ("footfall_retrain", "AssetOrTimeSchedule", [16], ["asset_triggered", "manual", "scheduled"]),
        ("footfall_score", "AssetTriggeredTimetable", [4], ["asset_triggered", "manual"]),
        ("footfall_backfill", "NullTimetable", [], ["manual"]),
        ("footfall_maintenance", "CronDataIntervalTimetable", [], ["manual", "scheduled"]),
    ],
)
def test_when_a_dag_runs_and_by_when_it_must_be_done(read, dag, timetable, hours, kinds):
    said = read["dags"][dag]
    assert (said["timetable"], said["deadline_hours"], said["allowed_run_types"]) == (timetable, hours, kinds)


def test_every_task_is_tried_again_ever_later_ended_in_time_and_told_of(read):
    for dag in read["dags"].values():
        for name, task in dag["tasks"].items():
            assert (task["retries"], task["retry_seconds"], task["backoff"], task["alerts"]) == (
                3,
                120,
                2,
                True,
            ), name
            assert task["timeout_hours"] == (12 if name in TRAININGS else 3), name


def test_drivers_and_trainings_wait_for_a_slot_of_their_own(read):
    pools = {task: said["pool"] for _, task, said in steps(read)}
    by_python = {"announce", "next_item.announce", "next_item.baselines"}
    for task, pool in pools.items():
        expected = (
            "footfall_gpu" if task in TRAININGS else "default_pool" if task in by_python else "footfall_spark"
        )
        assert pool == expected, task


def test_the_gate_judges_whichever_training_there_was(read):
    assert (
        "none_failed_min_one_success"
        in read["dags"]["footfall_retrain"]["tasks"]["next_item.promote"]["trigger_rule"].lower()
    )


def test_what_is_announced_is_what_others_follow(read):
    announced = {
        name: [a for t in dag["tasks"].values() for a in t["announces"]] for name, dag in read["dags"].items()
    }
    follows = {name: dag["follows"] for name, dag in read["dags"].items()}
    assert {name: said for name, said in announced.items() if said} == {
        "footfall_nightly": ["footfall_night"],
        "footfall_retrain": ["footfall_champion"],
    }
    assert {name: said for name, said in follows.items() if said} == {
        "footfall_retrain": ["footfall_night"],
        "footfall_score": ["footfall_champion", "footfall_night"],
    }


@pytest.mark.parametrize("dag", EDGES)
def test_each_parameter_has_its_line(read, dag):
    said = read["dags"][dag]
    assert set(re.findall(r"^- `(\w+)`: \S", said["doc"], re.MULTILINE)) == set(said["params"])
    assert all(said["params"].values())


def test_every_command_is_one_that_its_job_accepts(read):
    told = 0
    for dag, task, said in steps(read):
        job, *arguments = said["command"]
        if not (ROOT / "jobs" / job).exists():
            continue
        conf = load(arguments, NEEDS.get(job, ("ds",)))
        expected = (PLACES["RAW"], PLACES["LAKE"], PLACES["REGISTRY"], PLACES["ARTIFACTS"], True)
        assert (conf.raw, conf.lake, conf.registry, conf.artifacts, conf.wait) == expected, (dag, task)
        assert conf.ds in ("2026-02-26", ""), (dag, task)
        told += 1
    assert told >= 13


@pytest.mark.parametrize("job", ["monitor", "publish"])
def test_what_follows_scoring_gets_its_night_and_task(read, job):
    if not (ROOT / "jobs" / f"{job}.py").exists():
        pytest.skip(f"jobs/{job}.py does not exist")
    said = read["dags"]["footfall_score"]["tasks"][f"predictions.{job}"]
    conf = load(said["command"][1:], ("ds",))
    assert (conf.ds, conf.task.name) == ("2026-02-26", "next_item")


def test_a_night_s_training_begins_from_the_champion_and_a_week_s_does_not(read):
    tasks = read["dags"]["footfall_retrain"]["tasks"]
    begins = {name: load(tasks[name]["command"][1:], ("ds",)).train.warm_start for name in TRAININGS}
    assert begins == {"next_item.pretrain": "none", "next_item.finetune": "champion"}


def test_the_connection_chooses_a_cluster(read):
    conf = load(read["on_a_cluster"][1:], ("ds",))
    assert conf.spark.master == "spark://master:7077"
    assert conf.spark.settings["spark.executorEnv.TZ"] == "UTC", "the settings are those of spark=standalone"
