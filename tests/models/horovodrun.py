"""Programs of tests as ranks on this machine."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOROVODRUN = Path(sys.executable).with_name("horovodrun")


def horovodrun(ranks: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with these arguments on each of `ranks` ranks, however it ends."""
    command = [HOROVODRUN, "--gloo", "-np", str(ranks), "-H", f"localhost:{ranks}"]
    quiet = {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*command, sys.executable, *arguments],
        env=os.environ | quiet,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
