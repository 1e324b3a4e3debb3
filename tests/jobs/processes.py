"""Jobs of a small shop as processes of their own, each the head of a group that is stopped and killed as one."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import PLAIN

ROOT = Path(__file__).parents[2]
QUICK = "--driver-java-options '-XX:TieredStopAtLevel=1' pyspark-shell"


def start(
    folder: Path,
    job: str,
    *arguments: str,
    lake: str = "lake",
    interrupted: tuple[str, str, str] | None = None,
) -> subprocess.Popen[str]:
    """`interrupted` is a signal, when and where it comes, as tests/jobs/interrupted.py takes them."""
    command = ["-m", "tests.jobs.interrupted", job, *interrupted] if interrupted else [f"jobs/{job}.py"]
    places = (
        f"raw={folder / 'raw'}",
        f"lake={folder / lake}",
        f"registry=sqlite:///{folder / 'mlflow.db'}",
        f"artifacts={folder / 'artifacts'}",
    )
    return subprocess.Popen(
        [sys.executable, *command, "source=plain", PLAIN, "spark.shuffle_partitions=2", *places, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYSPARK_SUBMIT_ARGS": QUICK},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said; a signal is negative."""
    said, _ = process.communicate(timeout=1200)
    return process.returncode, said
