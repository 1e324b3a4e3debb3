"""Programs of tests as ranks on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

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


def assert_ranks_learn_alike(examples: str, folder: Path, case: str) -> None:
    """Two ranks with parts of a batch learn what one rank learns with the whole, and judge alike (kind_rank.py)."""
    left = {}
    for ranks in (1, 2):
        (folder / str(ranks)).mkdir()
        ended = horovodrun(ranks, "-m", "tests.models.kind_rank", examples, str(folder / str(ranks)), case)
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        left[ranks] = [np.load(folder / str(ranks) / f"{rank}.npz") for rank in range(ranks)]
    (alone,) = left[1]
    for rank in left[2]:
        for name in alone.files:
            np.testing.assert_allclose(alone[name], rank[name], rtol=1e-3, atol=1e-4)
    assert (
        alone["losses"][-1] < 0.97 * alone["losses"][0]
    )  # ten steps of a question that chance answers at 0.69
