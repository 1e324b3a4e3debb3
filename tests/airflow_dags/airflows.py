"""Airflow's environment for tests: a throwaway home, and what the DAGs read."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tools.airflow_service import BIN, ROOT, SPARK, environment

PLACES = {
    "RAW": "/data/raw",
    "LAKE": "/data/lake",
    "REGISTRY": "http://mlflow:5000",
    "ARTIFACTS": "/data/artifacts",
}
VARIABLES = {f"AIRFLOW_VAR_FOOTFALL_{name}": value for name, value in PLACES.items()}


def python(
    home: Path, *words: str, settings: str = "default", **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs the python of .venv-airflow."""
    assert (BIN / "python").exists(), "there is no .venv-airflow: run `make setup`"
    told = environment(home, settings=settings, AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR", **more)
    return subprocess.run(
        [BIN / "python", "-W", "ignore", *words],
        env=told,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )


def described(home: Path, settings: str = "default", **more: str) -> dict[str, Any]:
    """What Airflow makes of the DAGs (tests/airflow_dags/described.py)."""
    done = python(home, "-m", "tests.airflow_dags.described", settings=settings, **VARIABLES, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def database(home: Path, settings: str) -> None:
    """An empty database of Airflow's, SQLite in `home`."""
    done = python(home, "-m", "airflow", "db", "migrate", settings=settings)
    assert done.returncode == 0, done.stderr


def tried(home: Path, settings: str, dag: str, connection: Any = SPARK, **params: Any) -> dict[str, Any]:
    """What comes of a run of a DAG in one process (tests/airflow_dags/tried.py), with Spark where `connection` says."""
    done = python(
        home,
        "-m",
        "tests.airflow_dags.tried",
        dag,
        json.dumps(params),
        settings=settings,
        AIRFLOW_CONN_FOOTFALL_SPARK=json.dumps(connection),
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("TRIED: ")]
    assert said, done.stdout[-5000:] + done.stderr[-5000:]
    return json.loads(said[-1].removeprefix("TRIED: "))


def settings_file(folder: Path, *lines: str) -> str:
    """A choice of conf/airflow for a shop in `folder`."""
    places = [f"{name}: {folder}/{name}" for name in ("raw", "lake", "artifacts", "erasures")]
    quick = "spark_conf: {spark.driver.extraJavaOptions: -XX:+UseParallelGC -XX:TieredStopAtLevel=1}"
    own = [*places, f"registry: sqlite:///{folder}/mlflow.db", "driver_memory: 1g", quick, *lines]
    file = folder / "airflow.yaml"
    file.write_text("\n".join(own) + "\n")
    return str(file)
