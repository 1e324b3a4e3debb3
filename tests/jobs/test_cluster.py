"""A night on a standalone cluster, with Footfall from its wheel alone, ends in the same tables as on one machine."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from conf.load import load
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.users import USERS
from jobs.nightly import nightly
from models.baselines import fit
from models.export import export
from models.registry import CHAMPION, connect
from tests.jobs.standalone import ELSEWHERE, PYTHON, build_wheel, cluster
from tests.shop import line, rows_of, write_log

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
NIGHT = "2026-11-03"
TABLES = (INGESTED_FILES, QUARANTINE, SESSIONS, SEQUENCES, ITEMS, USERS, PREDICTIONS)


def write_logs(raw: Path) -> None:
    """Two days of three users: a session over midnight, a late event, a record twice, one that is none."""
    write_log(
        raw,
        "2026-11-02",
        line("ann", "2026-11-02T10:00:00Z", "a1", item_id="milk"),
        line("ann", "2026-11-02T10:20:00Z", "a2", item_id="bread"),
        line("bob", "2026-11-02T23:50:00Z", "b1", item_id="jam"),
        line("bob", "2026-11-02T09:00:00Z", "b0", "mail"),
        "not a record",
    )
    write_log(
        raw,
        "2026-11-03",
        line("bob", "2026-11-03T00:10:00Z", "b2", item_id="milk"),
        line("cleo", "2026-11-03T08:00:00Z", "c1", item_id="tea"),
        line("ann", "2026-11-02T09:45:00Z", "a0", item_id="jam"),
        line("ann", "2026-11-02T10:00:00Z", "a1", item_id="milk"),
        line(None, "2026-11-03T08:00:00Z", "x1", item_id="tea"),
    )


def register_champion(registry: str, artifacts: str, folder: Path) -> None:
    """A champion that knows four items, as a training would have left it."""
    indices = np.array([3, 4, 5, 6])
    vocabulary = {"item_index": indices, "item_id": ["milk", "bread", "jam", "tea"]}
    export(fit("frequency", 7, indices, np.array([4, 3, 2, 1])), vocabulary, folder / "model", k=3)
    store = connect(registry, artifacts)
    with store.run("frequency") as run:
        tags = {"model": "frequency", "kind": "baseline", "set_id": "typed in", "configuration": "none"}
        store.set_alias(store.register(run, "next_item", folder / "model", tags), CHAMPION)


def test_the_pythons_of_the_cluster_do_not_find_the_repository(tmp_path):
    command = [PYTHON, "-c", "import pyspark, delta, features"]
    found = subprocess.run(command, cwd=tmp_path, env=ELSEWHERE, capture_output=True, text=True)
    assert "No module named 'features'" in found.stderr


def test_a_night_on_a_cluster_equals_the_night_on_one_machine(spark, tmp_path):
    raw, registry, artifacts = (
        tmp_path / "raw",
        f"sqlite:///{tmp_path / 'mlflow.db'}",
        str(tmp_path / "artifacts"),
    )
    write_logs(raw)
    register_champion(registry, artifacts, tmp_path)
    shop = ["source=plain", f"ds={NIGHT}", f"raw={raw}", f"registry={registry}", f"artifacts={artifacts}"]
    shop += [
        "spark.shuffle_partitions=2",
        "features.user_buckets=2",
        f"privacy.key_file={tmp_path / 'ids.key'}",
    ]

    here = Lake(spark, str(tmp_path / "here"))
    nightly(load([*shop, "spark.master=local[2]", f"lake={here.root}"]), here)

    there = Lake(spark, str(tmp_path / "there"))
    (tmp_path / "cluster").mkdir()
    wheel = build_wheel(tmp_path)
    with cluster(tmp_path / "cluster", workers=2) as spark_cluster:
        done = spark_cluster.submit(wheel, "jobs/nightly.py", *shop, f"lake={there.root}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "events=7" in done.stdout, done.stdout
    for table in TABLES:
        expected = rows_of(here.read(table))
        assert expected, f"{table.name} is empty, nothing to compare"
        assert rows_of(there.read(table)) == expected
