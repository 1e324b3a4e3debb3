"""A job as a command: what it is told and what it says before Spark starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NO_JAVA = {"JAVA_HOME": "/nonexistent"}  # Spark cannot start: what ends well did not start it


def command(*arguments: str, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.parametrize(
    ("job", "arguments", "words"),
    [
        ("sessionize", ["ds=2026-11-02", "features.sesion_gap_minutes=20"], ["features.session_gap_minutes"]),
        ("ingest", ["ds=2026-11-02", "features.late_days=soon"], ["features.late_days", "Integer"]),
        ("sequence", ["ds=tomorrow"], ["ds must be a day as YYYY-MM-DD, got 'tomorrow'"]),
        ("nightly", [], ["ds is missing: give ds=… on the command line"]),
    ],
)
def test_a_wrong_command_line_ends_with_one_line_before_spark_starts(job, arguments, words):
    run = command(f"jobs/{job}.py", *arguments, **NO_JAVA)
    assert run.returncode == 2, run.stderr
    (said,) = run.stderr.splitlines()
    assert said.startswith("error: ")
    assert all(word in said for word in words), said


def test_help_is_what_the_job_says_of_itself():
    run = command("jobs/sessionize.py", "--help", **NO_JAVA)
    assert run.returncode == 0
    assert run.stdout.startswith("Sessionize the events that arrived since the last run.")
    assert "spark-submit jobs/sessionize.py ds=" in run.stdout


def test_input_that_its_user_can_put_right_ends_with_one_line(tmp_path):
    run = command("jobs/ingest.py", "ds=2026-11-02", f"raw={tmp_path / 'none'}", f"lake={tmp_path / 'lake'}")
    assert run.returncode == 2
    assert run.stdout.startswith("ingest: started\n")
    assert f"error: the raw folder {tmp_path / 'none'} does not exist: set raw=" in run.stderr
    assert "Traceback" not in run.stderr
