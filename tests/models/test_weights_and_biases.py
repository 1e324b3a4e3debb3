"""Weights & Biases: offline it writes files and asks nobody; where it is missing, that is said."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from models.guard import SetUpError, guard_wandb

ROOT = Path(__file__).parents[2]
WRITES = """
import sys
from pathlib import Path
import numpy as np
from models.guard import guard_wandb
asked = []
sys.addaudithook(lambda event, said: asked.append(said) if event in ("socket.getaddrinfo", "socket.gethostbyname") else None)
from models.weights_and_biases import weights_and_biases
guard_wandb("offline")
with weights_and_biases("offline", Path(sys.argv[1]), "a-run", "gru", "model: {width: 8}") as write:
    write("step", 50, {"loss": 2.5, "item_norm": np.array([1.0, 2.0])})
    write("epoch", 1, {"ndcg@10": 0.25})
assert not asked, asked
"""


def test_where_it_is_missing_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    guard_wandb("off")
    with pytest.raises(
        SetUpError, match=r"train.wandb=offline needs the package wandb.*pip install 'footfall\[wandb\]'"
    ):
        guard_wandb("offline")


def test_offline_everything_is_in_files_and_nobody_is_asked(tmp_path):
    pytest.importorskip("wandb")
    run = subprocess.run(
        [sys.executable, "-c", WRITES, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    (folder,) = (tmp_path / "wandb").glob("offline-run-*-a-run")
    assert run.stdout == f"  Weights & Biases: wandb sync {folder}\n"
    rows = history(folder / "run-a-run.wandb")
    assert [(row["step"], row["step/loss"]) for row in rows if "step" in row] == [("50", "2.5")]
    assert [(row["epoch"], row["epoch/ndcg@10"]) for row in rows if "epoch" in row] == [("1", "0.25")]


def history(path: Path) -> list[dict[str, str]]:
    """What was written at each point: name -> JSON."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    store = DataStore()
    store.open_for_scan(str(path))
    rows = []
    while data := store.scan_data():
        record = wandb_internal_pb2.Record.FromString(data)
        if record.HasField("history"):
            rows.append({".".join(i.nested_key) or i.key: i.value_json for i in record.history.item})
    return rows
