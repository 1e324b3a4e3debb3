"""A night under a running Airflow, from which a Spark driver, a task and the scheduler are taken by kill -9.

One Airflow for all tests, which build on each other: two nights of a small shop, and beside them a lake that nobody
disturbed. A receiver takes the alerts.
"""

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from tests.airflow_dags.airflows import settings_file
from tests.conftest import PLAIN
from tests.jobs.standalone import free_port
from tests.shop import line, write_log
from tools.airflow_service import ROOT, component, environment, ready, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

FIRST, LATE, EMPTY = "2026-11-02", "2026-11-05", "2026-11-06"
NIGHTLY = "footfall_nightly"
SCHEDULER = "scheduler --skip-serve-logs"
OTHERS = ("dag-processor", "triggerer --skip-serve-logs")
LAUNCHER = "org.apache.spark.launcher.Main"
"""A Java of a second with the driver's own arguments, which says how the driver is to be started."""
PATIENCE = 3600
TABLES = ("events", "quarantine", "ingested_files", "sessions", "sequences", "items", "users")
SETTINGS = (
    "sources: [plain]",
    "arguments: [privacy.ids=plain, spark.shuffle_partitions=2]",
    'start: "2026-11-02"',
    'end: "2026-11-06"',
    "retries: 2",
    "retry_minutes: 0.1",
    "look_minutes: 0.1",
    "night_deadline_hours: 0.005",
)


class Live:
    """The Airflow, its scheduler, the alerts that came, and the shop's folder."""

    def __init__(self, folder, airflow, told, alerts):
        self.folder, self.airflow, self.told, self.alerts = folder, airflow, told, alerts

    def night(self, ds):
        return self.airflow.trigger(NIGHTLY, ds=ds)

    def done(self, run):
        end = time.monotonic() + PATIENCE
        while (state := self.airflow.get(f"/dags/{NIGHTLY}/dagRuns/{run}")["state"]) not in (
            "success",
            "failed",
        ):
            assert time.monotonic() < end, f"{run} is {state}"
            time.sleep(5)
        return state

    def task(self, run, task):
        return self.airflow.get(f"/dags/{NIGHTLY}/dagRuns/{run}/taskInstances/{task}")

    def driver(self, job):
        """The process that spark-submit has become for a job of this shop."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for process in Path("/proc").glob("[0-9]*"):
                words = words_of(process)
                if (
                    words
                    and words[0].endswith("java")
                    and LAUNCHER not in words
                    and f"{ROOT}/jobs/{job}.py" in words
                    and f"lake={self.folder}/lake" in words
                ):
                    return int(process.name)
            time.sleep(0.5)
        raise AssertionError(f"{job} never started")

    def until_committed(self, table):
        end = time.monotonic() + PATIENCE
        while not list((self.folder / "lake" / table / "_delta_log").glob("*.json")):
            assert time.monotonic() < end, f"{table} was never committed to"
            time.sleep(0.1)


def words_of(process):
    try:
        return (process / "cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def gone(pid, patience=60):
    end = time.monotonic() + patience
    while Path(f"/proc/{pid}").exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


@pytest.fixture(scope="module")
def alerts():
    """What was told to the webhook, and its address."""
    told = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield told, f"http://127.0.0.1:{server.server_address[1]}/alerts"
    server.shutdown()


@pytest.fixture(scope="module")
def live(tmp_path_factory, alerts):
    folder = tmp_path_factory.mktemp("shop")
    for ds in (FIRST,):
        write_log(
            folder / "raw", ds, *(bought(user, ds, n) for user in ("ann", "bob", "eve") for n in range(3))
        )
    told, address = alerts
    receiver = json.dumps({"conn_type": "http", "host": address, "password": "secret"})
    variables = environment(
        folder / "home",
        free_port(),
        settings_file(folder, *SETTINGS),
        AIRFLOW_CONN_FOOTFALL_ALERTS=receiver,
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="60",
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL="5",
        AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="20",
        AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="30",
    )
    with running(variables, OTHERS) as airflow:
        ready(airflow)
        airflow.unpause(NIGHTLY)
        yield Live(folder, airflow, variables, told)


def bought(user, ds, n):
    return line(user, f"{ds}T1{n}:00:00Z", f"{user}-{ds}-{n}", item_id=f"item{n}")


def undisturbed(folder, ds):
    """The same night by the job alone, in a lake beside."""
    places = [
        f"raw={folder}/raw",
        f"lake={folder}/other",
        f"registry=sqlite:///{folder}/mlflow.db",
        f"artifacts={folder}/artifacts",
    ]
    command = [
        ROOT / ".venv/bin/spark-submit",
        ROOT / "jobs/nightly.py",
        f"ds={ds}",
        "source=plain",
        PLAIN,
        *places,
    ]
    command += ["spark.master=local[2]", "spark.shuffle_partitions=2"]
    subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=PATIENCE
    )


def contents(lake):
    """Table -> its rows, without the number of the batch that brought them: a try that failed may have taken one."""
    found = {}
    for table in TABLES:
        path = lake / table
        rows = DeltaTable(str(path)).to_pyarrow_table().to_pylist() if path.exists() else []
        found[table] = sorted(
            repr({k: v for k, v in row.items() if k not in ("batch", "ingested_at")}) for row in rows
        )
    return found


@pytest.fixture(scope="module")
def disturbed(live):
    """The first night: its driver is killed in ingest, its task in sessionize, the scheduler in sequence."""
    with component(SCHEDULER, live.told) as scheduler:
        run = live.night(FIRST)
        driver = live.driver("ingest")
        live.until_committed("events")  # and before it has ended the ingest by its row of `ingested_files`
        os.kill(driver, signal.SIGKILL)
        assert gone(driver)
        driver = live.driver("sessionize")
        os.kill(parent_of(driver), signal.SIGKILL)
        assert gone(driver), (
            "the driver of a task that was killed must end with it, before the task is tried again"
        )
        live.driver("sequence")
        os.kill(scheduler.pid, signal.SIGKILL)
        with component(SCHEDULER, live.told):  # beside what the first has left at work
            state = live.done(run)
            yield run, state


def test_a_night_whose_processes_were_killed_is_green_in_the_end(live, disturbed):
    run, state = disturbed
    assert state == "success"
    tries = {job: live.task(run, f"plain.{job}")["try_number"] for job in ("ingest", "sessionize")}
    assert tries == {"ingest": 2, "sessionize": 2}


def test_its_tables_are_those_of_an_undisturbed_night(live, disturbed):
    undisturbed(live.folder, FIRST)
    there = contents(live.folder / "lake")
    assert there == contents(live.folder / "other")
    assert len(there["events"]) == 9 and there["sessions"]


def test_the_same_night_again_and_a_task_that_is_cleared_change_nothing(live, disturbed):
    before = contents(live.folder / "lake")
    run, _ = disturbed
    live.airflow.post(
        f"/dags/{NIGHTLY}/clearTaskInstances",
        {"dry_run": False, "dag_run_id": run, "task_ids": ["plain.ingest"], "only_failed": False},
    )
    again = live.night(FIRST)
    assert (live.done(run), live.done(again)) == ("success", "success")
    assert contents(live.folder / "lake") == before
    assert live.airflow.xcom(NIGHTLY, again, "plain.ingest")["files"] == "0"


def test_a_late_night_waits_and_says_so_and_goes_on_once_its_logs_are_there(live, disturbed):
    run = live.night(LATE)
    end = time.monotonic() + PATIENCE
    while live.task(run, "plain.logs")["state"] != "up_for_reschedule":
        assert time.monotonic() < end
        time.sleep(1)
    said = json.dumps(live.airflow.get(f"/dags/{NIGHTLY}/dagRuns/{run}/taskInstances/plain.logs/logs/1"))
    assert f"waiting: no logs of {LATE} have arrived" in said
    write_log(live.folder / "raw", LATE, bought("zoe", LATE, 1))
    assert live.done(run) == "success"
    assert "zoe" in str(contents(live.folder / "lake")["events"])


def test_a_night_of_no_data_is_green_and_has_a_note(live, disturbed):
    (live.folder / "raw" / "events" / EMPTY).mkdir()
    run = live.night(EMPTY)
    assert live.done(run) == "success"
    assert "a night of no data" in live.airflow.xcom(NIGHTLY, run, "plain.logs")["note"]


def test_a_deadline_that_was_missed_was_told(live, disturbed):
    """The night's is 18 seconds: no night makes it."""
    told = [alert for alert in live.alerts if alert["kind"] == "deadline"]
    assert told and told[0]["dag"] == NIGHTLY and "0.005 hours" in told[0]["message"]


def test_a_failure_is_told_with_the_job_its_likely_cause_and_the_command(live, disturbed):
    run = live.night("2026-02-30")  # no such day
    write_log(live.folder / "raw", "2026-02-30", bought("ann", FIRST, 1))
    assert live.done(run) == "failed"
    end = time.monotonic() + 120
    while not (told := [alert for alert in live.alerts if alert["kind"] == "input"]):
        assert time.monotonic() < end, f"nobody was told: {live.alerts}"
        time.sleep(1)
    message = told[0]["message"]
    assert "ingest.py ended with exit code 2" in message and "spark-submit jobs/ingest.py" in message
    assert "ds must be a day as YYYY-MM-DD" in message
    assert live.task(run, "plain.ingest")["try_number"] == 1, (
        "what a retry cannot put right is not tried again"
    )
