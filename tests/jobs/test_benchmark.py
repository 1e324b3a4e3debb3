"""jobs/benchmark.py as a command, on sequences in which each item says what comes next."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conf.load import load
from conf.schema import CLASSICAL
from jobs.benchmark import classical
from jobs.files import put_json
from models.leave_one_out import SequenceError, read_sequences

ROOT = Path(__file__).parents[2]
NAMES = {f"{name}@{k}" for name in ("hr", "ndcg", "mrr", "map") for k in (5, 10, 20)}


def told(*arguments: str) -> tuple[int, str, str]:
    """Exit code, and what was printed and said of errors."""
    quiet = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run(
        [sys.executable, "-m", "jobs.benchmark", *arguments],
        cwd=ROOT,
        env=os.environ | quiet,
        capture_output=True,
        text=True,
        timeout=900,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def data(tmp_path) -> Path:
    """60 users who go round a circle of 40 items, each from an item of its own on."""
    rng = np.random.default_rng(1)
    rows = [(rng.integers(40) + np.arange(rng.integers(4, 9))) % 40 for _ in range(60)]
    path = tmp_path / "circle.txt"
    path.write_text("".join(f"{user} {' '.join(map(str, row))}\n" for user, row in enumerate(rows)))
    return path


def test_a_baseline_is_judged_and_the_result_printed_as_it_is_written(data, tmp_path):
    out = tmp_path / "results" / "popularity.json"
    code, said, errors = told(f"data={data}", "model=popularity", f"out={out}", "seed=3", "robustness=true")
    assert code == 0, errors
    result = json.loads(out.read_text())
    assert json.loads(said.splitlines()[-1]) == result
    assert (result["model"], result["seed"], result["users"], result["items"]) == ("popularity", 3, 60, 40)
    assert result["valid"].keys() == result["test"].keys() == NAMES
    assert 0 < result["test"]["hr@5"] < 0.5
    # It looks at no history; a worse one changes nothing.
    assert {v for way in result["robustness"].values() for v in way.values()} == {result["test"]["ndcg@10"]}
    assert [path.name for path in out.parent.iterdir()] == ["popularity.json"]


def test_with_items_held_back_nothing_reads_them(data, tmp_path):
    """The file without them gives the same, and a user who has none left to learn from is refused."""
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("".join(line.rpartition(" ")[0] + "\n" for line in data.read_text().splitlines()))
    held, cut = read_sequences(data, held_back=1), read_sequences(shorter)
    assert held.ids == cut.ids and list(map(list, held.items)) == list(map(list, cut.items))
    with pytest.raises(SequenceError, match=r"line \d+: \d items, expected a user and at least 7 items"):
        read_sequences(data, held_back=4)


@pytest.mark.parametrize("model", CLASSICAL)
def test_classical_models_are_judged_alike(data, model):
    result = classical(load([f"model={model}"]), read_sequences(data))
    assert result["valid"].keys() == result["test"].keys() == NAMES
    # Neighbours on the circle are in the same histories; by chance it would be 5 of 40.
    assert result["test"]["hr@5"] > 0.3


def test_a_linear_model_needs_no_steps(data, tmp_path):
    code, _, errors = told(f"data={data}", "model=linear", f"out={tmp_path / 'linear.json'}")
    assert code == 0, errors
    result = json.loads((tmp_path / "linear.json").read_text())
    assert result["test"]["hr@5"] > 0.8 and result["epochs"] == 0


@pytest.mark.long  # a masked model is told of a fifth of the items at a time
@pytest.mark.parametrize(("model", "epochs"), [("bsarec", 25), ("lstm", 25), ("bert4rec", 60), ("hstu", 25)])
def test_an_encoder_learns_what_comes_next(data, tmp_path, model, epochs):
    out = tmp_path / f"{model}.json"
    sizes = ("model.width=32", "model.dropout=0.0", "model.loss=softmax", "train.batch_size=16")
    course = (f"train.epochs={epochs}", f"train.patience={epochs}", "train.learning_rate=1e-2")
    code, said, errors = told(f"data={data}", f"model={model}", f"out={out}", *sizes, *course)
    assert code == 0, errors
    result = json.loads(out.read_text())
    assert result["test"]["hr@5"] > 0.8
    assert result["valid"]["ndcg@10"] > 0.6
    assert result["parameters"] > 43 * 33
    assert result["best_epoch"] <= result["epochs"] <= epochs
    assert f"epoch 1/{epochs}  loss" in said
    assert [path.name for path in tmp_path.glob(f"{model}*")] == [out.name]  # no checkpoint is left


@pytest.mark.long
def test_a_model_that_learns_what_validated_too_is_tested_after_as_many_epochs_as_the_validation_chose(
    data, tmp_path
):
    out = tmp_path / "refit.json"
    sizes = ("model.width=16", "model.dropout=0.0", "train.batch_size=16", "train.epochs=3")
    code, said, errors = told(f"data={data}", "model=bsarec", f"out={out}", *sizes, "refit=true")
    assert code == 0, errors
    result = json.loads(out.read_text())
    best = result["best_epoch"]
    assert result["refit"] and said.count("ended_at") == best
    assert [path.name for path in tmp_path.glob("refit*")] == [out.name]


def test_a_bad_line_is_refused_in_one_line_with_its_number_and_nothing_is_written(tmp_path):
    (tmp_path / "bad.txt").write_text("1 2 3 4\n2 5\n")
    code, _, errors = told(f"data={tmp_path / 'bad.txt'}", "model=bsarec", f"out={tmp_path / 'out.json'}")
    lines = [line for line in errors.splitlines() if line.startswith("error")]
    assert code == 2
    assert len(lines) == 1 and "bad.txt, line 2: 1 items, expected a user and at least 3 items" in lines[0]
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("model=linear", "refit=true"), "refit=true trains an encoder anew, got model=linear"),
        (("model=ease", "robustness=true"), "robustness=true asks a model of the histories it is given"),
        (("model=bsarec", "model.content=nowhere.parquet"), "nowhere.parquet"),
    ],
)
def test_what_a_model_cannot_be_asked_is_refused_in_one_line(data, tmp_path, given, said):
    code, _, errors = told(f"data={data}", f"out={tmp_path / 'none.json'}", *given)
    assert code == 2 and errors.count("\n") == 1 and said in errors


def test_inputs_that_a_text_file_does_not_tell_are_refused(data, tmp_path):
    code, _, errors = told(f"data={data}", "model=gru", "model.inputs=[hour]", f"out={tmp_path / 'out.json'}")
    assert code == 2, errors
    assert "tells nothing of hour, expected what model.inputs names" in errors
    assert not (tmp_path / "out.json").exists()


def test_a_result_takes_the_place_of_the_one_before_whole(tmp_path):
    out = tmp_path / "out.json"
    put_json(out, {"test": 1})
    put_json(out, {"test": 2})
    assert json.loads(out.read_text()) == {"test": 2}
    assert list(tmp_path.iterdir()) == [out]
