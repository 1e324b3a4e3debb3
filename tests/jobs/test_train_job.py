import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tensorflow as tf

from conf.load import load
from jobs.train import hash_of
from models.registry import connect
from tests.models.example_sets import random_example_set

ROOT = Path(__file__).parents[2]
SMALL = ["model.width=8", "model.negatives=8", "train.epochs=2", "train.batch_size=4", "train.log_steps=2"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A folder with a lake that has one example set, `small`."""
    folder = tmp_path_factory.mktemp("shop")
    random_example_set(folder / "lake" / "examples" / "small", train=[9, 8], validation=[5])
    return folder


def command(shop: Path, *arguments: str) -> list[str]:
    places = [f"lake={shop}/lake", f"registry=sqlite:///{shop}/mlflow.db", f"artifacts={shop}/artifacts"]
    return [sys.executable, "-W", "ignore", "jobs/train.py", *places, *arguments]


def job(shop: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(shop, *arguments),
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        timeout=1200,
    )


def registry(shop: Path):
    return connect(f"sqlite:///{shop}/mlflow.db", f"{shop}/artifacts")


@pytest.mark.parametrize(
    "name", ["frequency_decay", "linear", pytest.param("tifu_knn", marks=pytest.mark.long)]
)
def test_a_baseline_is_fitted_as_of_both_dates_and_registered(shop, name):
    run = job(shop, "set_id=small", f"model={name}")
    assert run.returncode == 0, run.stderr
    (version,) = (v for v in registry(shop).versions("next_item") if v.tags["model"] == name)
    assert version.tags["kind"] == "baseline"
    assert version.tags["set_id"] == "small"
    assert version.tags["as_of"] == "2017-12-01T00:00:00Z"
    assert version.tags["validation_from"] == "2017-11-01T00:00:00Z"
    for folder in (
        registry(shop).saved_model_path(version),
        registry(shop).run_artifact_path(version, "as_of_validation"),
    ):
        assert (Path(folder) / "saved_model.pb").is_file()


def test_an_encoder_is_trained_by_its_ranks_registered_once_and_found_the_second_time(shop):
    run = job(shop, "set_id=small", "model=gru", *SMALL)
    assert run.returncode == 0, run.stderr
    assert "2 ranks are up: 17 rows an epoch" in run.stdout
    assert "epoch 2/2  loss" in run.stdout
    (version,) = (v for v in registry(shop).versions("next_item") if v.tags["model"] == "gru")
    expected = {"kind": "encoder", "ranks": "2", "rows_per_epoch_expected": "17", "rows_per_epoch_seen": "17"}
    assert {name: version.tags[name] for name in expected} == expected
    assert f"train: version={version.version}, model=gru" in run.stdout
    assert_recorded(shop, version.run_id)
    assert_loads_without_horovod(registry(shop).saved_model_path(version))

    again = job(shop, "set_id=small", "model=gru", *SMALL)
    assert f"version={version.version}" in again.stdout
    assert "registered already" in again.stdout
    assert len([v for v in registry(shop).versions("next_item") if v.tags["model"] == "gru"]) == 1


@pytest.mark.long
def test_a_warm_start_goes_from_the_champion_once_also_where_a_rank_is_lost(tmp_path):
    random_example_set(tmp_path / "lake" / "examples" / "before", train=[9, 8], validation=[5], items=20)
    random_example_set(tmp_path / "lake" / "examples" / "after", train=[9, 8], validation=[5], items=25)
    warm = ["model=sasrec", "train.warm_start=champion", *SMALL]
    cold = job(tmp_path, "set_id=before", *warm)
    assert cold.returncode == 0, cold.stderr
    assert "train: next_item has no champion yet to begin from: a cold start" in cold.stdout
    assert "begins from" not in cold.stdout
    (first,) = registry(tmp_path).versions("next_item")
    assert first.tags["warm_start"] == "none"
    registry(tmp_path).set_alias(first, "champion")
    assert "registered already" in job(tmp_path, "set_id=before", *warm).stdout, "not from its own result"

    still = ["set_id=after", *warm, "train.epochs=40", "train.patience=40", "train.learning_rate=1e-12"]
    text = losing_a_rank_behind_epoch_3(tmp_path, *still)
    assert "starting all of them from the last checkpoint" in text
    begins = (
        "begins from next_item v1: of its items 20, from the mean of their category 0, from the mean of all 5"
    )
    assert text.count("begins from") == text.count(begins) == 1
    second = registry(tmp_path).versions("next_item")[-1]
    params = registry(tmp_path).client.get_run(second.run_id).data.params
    assert second.tags["warm_start"] == params["train.warm_start"] == "1"
    assert (params["warm_start.known"], params["warm_start.by_all"]) == ("20", "5")
    before, after = (vectors(tmp_path, version) for version in (first, second))
    np.testing.assert_allclose(after["item-7"], before["item-7"], atol=1e-6)
    assert f"version={second.version}" in job(tmp_path, *still).stdout

    refused = job(tmp_path, *still, "model.width=16")
    assert refused.returncode == 2
    said = r"error: next_item v1 \(sasrec\) has model\.width=8, and this training model\.width=16: give .*\n"
    assert re.fullmatch(said, refused.stderr)


def losing_a_rank_behind_epoch_3(shop: Path, *arguments: str) -> str:
    """Runs the job, ends one of its ranks, and returns what it said."""
    said: list[str] = []
    with subprocess.Popen(
        command(shop, *arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        for line in run.stdout:
            if line.startswith("  epoch 3/") and "from the last checkpoint" not in "".join(said):
                [each for each in psutil.Process(run.pid).children(recursive=True) if is_rank(each)][
                    -1
                ].kill()
            said.append(line)
    assert run.returncode == 0, "".join(said)
    return "".join(said)


def vectors(shop: Path, version) -> dict[str, np.ndarray]:
    """Item -> its vector, of a registered version."""
    loaded = tf.saved_model.load(registry(shop).saved_model_path(version))
    ids = [item_id.decode() for item_id in loaded.item_ids.numpy()]
    return dict(zip(ids, loaded.named["head.vectors.table"].numpy(), strict=True))


def test_a_training_from_another_version_is_another_training():
    def of(*arguments: str) -> str:
        return hash_of(load(["model=gru", *arguments]))

    others = [of("train.warm_start=1"), of("train.warm_start=2")]
    assert len({of(), *others}) == 3
    assert of("train.warm_start=none") == of()
    baseline = [hash_of(load(["model=frequency", f"train.warm_start={each}"])) for each in ("none", "1")]
    assert baseline[0] == baseline[1], "they have no weights"


@pytest.mark.long
def test_ranks_that_lost_one_of_them_are_started_again_and_go_on(shop):
    long = ["train.epochs=40", "train.patience=40", "train.batch_size=4", "model.width=4", "model=gru"]
    with subprocess.Popen(
        command(shop, "set_id=small", *long),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        said = []
        for line in run.stdout:
            said.append(line)
            if line.startswith("  epoch 3/") and "from the last checkpoint" not in "".join(said):
                ranks = [each for each in psutil.Process(run.pid).children(recursive=True) if is_rank(each)]
                assert len(ranks) == 2
                ranks[-1].kill()
    text = "".join(said)
    assert run.returncode == 0, text
    assert "starting all of them from the last checkpoint" in text
    assert "going on behind step" in text
    assert text.count("  epoch 40/40") == 1
    (version,) = (v for v in registry(shop).versions("next_item") if v.tags.get("resumed") == "1")
    client = registry(shop).client
    assert [m.step for m in client.get_metric_history(version.run_id, "loss")] == list(range(1, 41))
    named = client.search_runs([registry(shop).experiment_id], "params.model.width = '4'")
    assert [each.info.status for each in named] == ["FINISHED"]
    assert list(Path(f"{shop}/lake.checkpoints").iterdir()) == []


def is_rank(process: psutil.Process) -> bool:
    words = process.cmdline()
    return "jobs.train_rank" in words and "horovod" not in words[1]


def assert_recorded(shop: Path, run_id: str) -> None:
    client = registry(shop).client
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["model.width"] == "8"
    assert run.data.params["examples.set_id"] == "small"
    assert [m.step for m in client.get_metric_history(run_id, "ndcg_at_10")] == [1, 2]
    assert [f.path for f in client.list_artifacts(run_id)] == ["configuration", "environment", "tensorboard"]
    assert [m.step for m in client.get_metric_history(run_id, "step/loss")] == [2, 4, 6]
    (board,) = Path(f"{shop}/lake.tensorboard").iterdir()
    (log,) = client.list_artifacts(run_id, "tensorboard")
    assert log.path == f"tensorboard/{next(board.iterdir()).name}"


def assert_loads_without_horovod(folder: str) -> None:
    code = f"""
import sys, tensorflow as tf
by_id = tf.saved_model.load({folder!r}).signatures["by_id"]
history = dict(sessions=tf.constant([[1, 1, 2]]), ages=tf.constant([[3.0, 3.0, 1.0]]))
found = by_id(item_ids=tf.constant([["item-3", "item-4", "never seen"]]), **history)
assert "horovod" not in sys.modules and "models" not in sys.modules
print(found["ids"].shape.as_list(), found["ids"][0, 0].numpy().decode().startswith("item-"))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
    assert run.stdout == "[1, 20] True\n", run.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (
            ["set_id=none-such", "model=gru"],
            {},
            "no Delta table in .*none-such/rows: make the example set first",
        ),
        (["model=gru"], {}, "ds is missing"),
        (
            ["set_id=small", "model=sasrec"],
            {"TF_USE_LEGACY_KERAS": "1"},
            "TF_USE_LEGACY_KERAS=1 asks for the",
        ),
        (["set_id=small", "model=gru", "train.ranks=18", *SMALL], {}, "17 rows for 18 ranks"),
        (
            ["set_id=small", "model=gru", "train.memory_gib=0.1", "train.seed=8", *SMALL],
            {},
            r"this training wants 0\.\d+ GiB of memory a rank, and 0\.10 are free .* the largest part is libraries",
        ),
        (
            ["set_id=small", "model=gru", "train.wandb=on"],
            {},
            "train.wandb must be one of off, offline, online",
        ),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(shop, arguments, environment, message):
    run = job(shop, *arguments, **environment)
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert re.match(f"error: .*{message}", line)
    assert not [v for v in registry(shop).versions("next_item") if v.tags["model"] == "sasrec"]
