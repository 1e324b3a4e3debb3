"""What a run says of where it came from, and what it keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import models.environment as of
from conf.load import load
from models.example_set import open_example_set
from models.recording import configuration, curves, recorded
from models.registry import connect
from tests.models.example_sets import random_example_set

ROOT = Path(__file__).parents[2]


def test_a_run_has_the_configuration_and_the_environment_it_was_made_with(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_SECRET", "swordfish")
    registry = connect(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    examples = open_example_set(random_example_set(tmp_path / "set", train=[4], validation=[1]))
    conf = load(["model=gru", "model.width=8"])
    with recorded(registry, conf, examples, hosts=["one", "two", "two"]) as run:
        pass
    (folder,) = (tmp_path / "artifacts").glob("*/artifacts")
    said = yaml.safe_load((folder / "environment/environment.yaml").read_text())
    assert said["ranks"] == 3
    assert said["hosts"] == {"one": 1, "two": 2}
    assert said["python"] == ".".join(map(str, sys.version_info[:3]))
    assert said["hardware"]["cores"] == os.cpu_count()
    assert said["hardware"]["memory_bytes"] > 1e8
    assert said["git_commit"] == of.git_commit()
    pinned = (folder / "environment/requirements.txt").read_text().splitlines()
    assert "tensorflow-cpu==2.15.1" in pinned or "tensorflow==2.15.1" in pinned
    assert all(line.count("==") == 1 for line in pinned)
    kept = yaml.safe_load((folder / "configuration/configuration.yaml").read_text())
    assert kept["model"]["width"] == 8
    params = registry.client.get_run(run.id).data.params
    assert params["examples.version"] == str(examples.version)
    assert "swordfish" not in "".join(f.read_text() for f in folder.rglob("*") if f.is_file())


def test_passwords_of_addresses_and_of_spark_are_not_recorded():
    conf = load(
        [
            "registry=https://ann:swordfish@mlflow:5000",
            "+spark.settings={spark.hadoop.fs.s3a.secret.key: swordfish, spark.sql.ansi.enabled: true}",
        ]
    )
    text = configuration(conf)
    assert "swordfish" not in text
    assert yaml.safe_load(text)["registry"] == "https://(not recorded)@mlflow:5000"
    assert yaml.safe_load(text)["spark"]["settings"]["spark.sql.ansi.enabled"] is True
    assert yaml.safe_load(text)["privacy"]["key_variable"] is None


def test_a_run_has_its_curves_by_step_and_epoch_and_tells_how_far_they_go(tmp_path, capsys):
    registry = connect(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
    conf = load(["model=gru"])
    with registry.run("gru") as run:
        assert run.newest_steps() == {}
        with curves(conf, run, tmp_path / "boards" / "mine", None) as written:
            written._write("step", 50, {"loss": 2.0, "learning_rate": 0.1})
            written._write("epoch", 1, {"loss": 1.5, "ndcg@10": 0.2})
        with curves(conf, run, tmp_path / "boards" / "mine", None) as written:
            written._write("step", 50, {"loss": 9.0})
            written._write("epoch", 1, {"ndcg@10": 9.0})
            written._write("epoch", 2, {"ndcg@10": 0.3})
    history = registry.client.get_metric_history
    assert [(m.step, m.value) for m in history(run.id, "step/loss")] == [(50, 2.0)]
    assert [(m.step, m.value) for m in history(run.id, "loss")] == [(1, 1.5)]
    assert [(m.step, m.value) for m in history(run.id, "ndcg_at_10")] == [(1, 0.2), (2, 0.3)]
    assert f"tensorboard --logdir {tmp_path}/boards\n" in capsys.readouterr().out
    assert len(registry.client.list_artifacts(run.id, "tensorboard")) == 2


def test_the_commit_is_that_of_the_environment_of_the_wheel_or_of_the_checkout(tmp_path, monkeypatch):
    monkeypatch.delenv(of.COMMIT, raising=False)
    monkeypatch.setattr(of, "BUILT_FROM", tmp_path / "commit.txt")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if head.returncode == 0:
        assert of.git_commit().rstrip("+") == head.stdout.strip()
    (tmp_path / "commit.txt").write_text("abc+\n")
    assert of.git_commit() == "abc+"
    monkeypatch.setenv(of.COMMIT, "def")
    assert of.git_commit() == "def"
    assert of.commit_of(tmp_path) is None


@pytest.mark.parametrize("told", ["0123abc", ""])
def test_a_wheel_has_the_commit_it_was_built_from(tmp_path, told):
    subprocess.run(
        [sys.executable, "setup.py", "-q", "egg_info", "-e", str(tmp_path), "build_py", "-d", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {of.COMMIT: told},
        check=True,
        capture_output=True,
    )
    built = tmp_path / "models/commit.txt"
    known = told or of.commit_of(ROOT)
    assert (built.read_text().strip() if built.exists() else None) == known
    assert not (ROOT / "models/commit.txt").exists()
