"""Airflow on this machine: API server, scheduler, DAG processor and triggerer, on loopback, with SQLite.

python -m tools.airflow_service        what `make airflow` does: until Ctrl-C
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from airflow_dags.settings import PLACES, load
from jobs.rank import at_parents_end
from tools.airflow_api import Airflow

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv-airflow" / "bin"
HOME = ROOT / "var" / "airflow" / "home"
PORT = 8080
USER = "admin"
POOLS = {"footfall_spark": 1, "footfall_gpu": 1}
DAGS = 5
# A server of logs would listen on all interfaces; on one machine they are read from its disk.
OTHERS = ("scheduler --skip-serve-logs", "dag-processor", "triggerer --skip-serve-logs")
PATIENCE = 600  # seconds for a component to answer, on a slow machine
SPARK = {"conn_type": "spark", "host": "local[2]"}
SHOP = ROOT / "var" / "airflow" / "shop"
FIRST_LOAD = (
    "2017-12-27"  # what arrived up to the end of this day is loaded; the nights behind it are Airflow's
)


def environment(home: Path, port: int = PORT, settings: str = "demo", **more: str) -> dict[str, str]:
    """What every component and every command of `airflow` needs to be told, by variables."""
    home.mkdir(parents=True, exist_ok=True)
    secret, password = secret_of(home / "secret"), secret_of(home / "password")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({USER: password}))
    passwords.chmod(0o600)
    told = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "airflow_dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "airflow_dags" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secret,
        "AIRFLOW__API_AUTH__JWT_SECRET": secret,
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # seconds; a file that changes is read at once
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "3",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # seconds; 5 are too few for a machine that Spark is busy on
        "AIRFLOW_CONN_FOOTFALL_SPARK": json.dumps(SPARK),
        "FOOTFALL_AIRFLOW": settings,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "airflow_dags" / "plugins")]),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **told, **more}


def secret_of(file: Path) -> str:
    """Made once, and readable by its owner alone."""
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
    return file.read_text()


@contextmanager
def running(told: dict[str, str], components: Sequence[str] = OTHERS) -> Iterator[Airflow]:
    """An Airflow with the DAGs' pools; the API server first, whom the others and every task ask."""
    subprocess.run([BIN / "airflow", "db", "migrate"], env=told, check=True, stdout=subprocess.DEVNULL)
    url = told["AIRFLOW__API__BASE_URL"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that what was started is ended
    with ExitStack() as started:
        started.enter_context(component("api-server", told))
        awaited(f"{url}/api/v2/monitor/health")
        airflow = Airflow(url, USER, secret_of(Path(told["AIRFLOW_HOME"], "password")))
        for pool, slots in POOLS.items():
            airflow.put_pool(pool, slots)
        for name in components:
            started.enter_context(component(name, told))
        yield airflow


@contextmanager
def component(command: str, told: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """One of Airflow's processes, as the head of a group that ends with it; what it says is in AIRFLOW_HOME."""
    with Path(told["AIRFLOW_HOME"], f"{command.split()[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / "airflow", *command.split()],
            env=told,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=at_parents_end(signal.SIGTERM),
        )
    try:
        yield process
    finally:
        end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def awaited(url: str) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                sys.exit(f"{url} does not answer after {PATIENCE} s: look into api-server.log")
            time.sleep(1)


def ready(airflow: Airflow) -> None:
    """Waits until the DAGs have been read."""
    end = time.monotonic() + PATIENCE
    while airflow.get("/dags")["total_entries"] < DAGS:
        if errors := airflow.get("/importErrors")["import_errors"]:
            sys.exit(errors[0]["stack_trace"])
        if time.monotonic() > end:
            sys.exit(f"the DAGs were not read in {PATIENCE} s: look into dag-processor.log")
        time.sleep(1)


def make_shop() -> None:
    """Lands the demo's logs, and loads those before the first night into a lake of its own, where that is not done yet."""
    loaded = SHOP / "loaded"
    if loaded.exists():
        return
    print("a year of logs is landed and loaded, once: some minutes", flush=True)
    environment = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": str(ROOT)}
    shop = load("demo")
    places = [f"{name}={getattr(shop, name)}" for name in PLACES]
    for program, job, *arguments in (
        ("python", "land_complete_journey", f"raw={shop.raw}"),
        ("spark-submit", "nightly", f"ds={FIRST_LOAD}", *places, *shop.arguments),
    ):
        command = [ROOT / ".venv" / "bin" / program, f"jobs/{job}.py", *arguments]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
    SHOP.mkdir(parents=True, exist_ok=True)
    loaded.touch()


def main() -> None:
    make_shop()
    told = environment(
        HOME, int(os.environ.get("AIRFLOW_PORT", PORT)), os.environ.get("FOOTFALL_AIRFLOW", "demo")
    )
    print("Airflow starts: half a minute", flush=True)
    with running(told) as airflow:
        ready(airflow)
        print(
            f"Airflow: {airflow.url}, user {USER}, password {secret_of(HOME / 'password')} (Ctrl-C stops it)\n"
            f"All up to {FIRST_LOAD} is loaded: switch footfall_nightly on, and trigger it with ds=2017-12-28, or give it a "
            "backfill from 2017-12-28 to 2017-12-30. Then footfall_retrain and footfall_score, with ds=2017-12-30.",
            flush=True,
        )
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("stopped")
