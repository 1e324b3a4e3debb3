"""A search with real ranks: trials, what is kept of them, and one that was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from conf.load import load
from jobs.search import BEAT, opened, overrides
from jobs.search_rank import Telling
from models.course import Epoch
from models.registry import connect
from tests.jobs.trainings import ROOT, arguments, make_shop

SPACE = [
    "search.space.model.width=[8,12]",
    "+search.space.model.heads=[1,5]",
    "search.space.train.learning_rate.low=1e-4",
    "search.space.train.learning_rate.high=1e-1",
    "~search.space.model.blocks",
    "~search.space.model.dropout",
    "~search.space.train.batch_size",
]


def test_overrides_are_what_a_command_line_has():
    values = {"model.width": 64, "train.learning_rate": 0.001234567890123, "model.loss": "softmax"}
    assert overrides(values) == "model.width=64 train.learning_rate=0.001234567890123 model.loss=softmax"


def test_a_training_that_falls_behind_the_median_of_those_before_has_enough_and_others_do_not(tmp_path):
    given = [f"search.storage=sqlite:///{tmp_path}/studies.db", "search.study=small"]
    conf = load(["model=gru", *given, "search.startup=3", "search.least_epochs=2"])
    study = opened(conf)

    def told(*values: float) -> list[bool]:
        """Whether a trial whose epochs come to these has enough, epoch by epoch."""
        trial, found = study.ask(), []
        telling = Telling(trial, "ndcg@10")
        for number, value in enumerate(values, start=1):
            telling.ended(Epoch(number, 1.0, {"ndcg@10": value}, 1, 1, 1.0, 1.0, True))
            found.append(telling.has_enough())
        study.tell(trial, max(values))
        return found

    for level in (0.2, 0.3, 0.4):
        assert told(level, level, level) == [False, False, False], "there are too few to compare with"
    assert told(0.1, 0.5, 0.5) == [False, False, False], "the first epoch is too early, the others are ahead"
    assert told(0.5, 0.5, 0.5) == [False, False, False]
    assert told(0.1, 0.2) == [False, True], "the median of the best so far is 0.4"


def command(shop: Path, *more: str) -> list[str]:
    given = [*arguments(shop, "mlflow"), "train.ranks=2", "train.checkpoint_steps=1", f"report={shop}/report"]
    return [sys.executable, "-W", "ignore", "jobs/search.py", *given, *SPACE, "search.startup=3", *more]


def searched(shop: Path, *more: str) -> tuple[str, dict]:
    done = subprocess.run(
        command(shop, *more),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((shop / "report" / "search.json").read_text())


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    make_shop(folder)
    return folder


@pytest.mark.long
def test_a_study_is_made_whole_even_if_it_was_killed_and_registers_nothing(shop):
    process = subprocess.Popen(
        command(shop, "search.trials=4"),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
    )
    killed = -1
    for line in process.stdout:  # killed in the middle of the first training that is one
        killed = int(line.split()[2].rstrip(":")) if line.startswith("search: trial") else killed
        if "epoch 1/3  loss" in line:
            process.send_signal(signal.SIGKILL)
    process.wait(60)
    time.sleep(2 * BEAT + 5)

    output, told = searched(shop, "search.trials=4")
    trials = told["every_trial"]
    assert told["trials"]["complete"] + told["trials"].get("pruned", 0) == 4
    assert told["trials"]["fail"] == 1 and trials[killed]["state"] == "fail"
    again = [trial for trial in trials[killed + 1 :] if trial["params"] == trials[killed]["params"]]
    assert len(again) == 1 and "going on behind step" in output
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert told["best"]["value"] == max(trial["value"] for trial in complete)
    assert told["overrides"] == overrides(
        next(t for t in complete if t["number"] == told["best"]["number"])["params"]
    )
    # Five heads divide no width: such a trial is told as what it is.
    assert all(
        ("refused" in trial) == (trial["params"]["model.heads"] == 5)
        for trial in trials
        if trial["state"] != "fail"
    )
    assert {path.name for path in (shop / "report").iterdir()} >= {"search.json", "search_history.png"}

    registry = connect(f"sqlite:///{shop}/mlflow.db", f"{shop}/mlflow")
    assert registry.all_versions() == []
    runs = registry.client.search_runs([registry.experiment_id])
    (parent,) = [run for run in runs if MLFLOW_PARENT_RUN_ID not in run.data.tags]
    trained = [trial for trial in trials if "found" in trial]
    children = {run.info.run_id for run in runs} - {parent.info.run_id}
    assert children == {trial["found"]["run"] for trial in trained}, "the killed one's run went on"
    assert all(
        run.data.tags[MLFLOW_PARENT_RUN_ID] == parent.info.run_id
        for run in runs
        if run.info.run_id in children
    )
    assert not any((shop / "lake.checkpoints").glob("*"))

    output, same = searched(shop, "search.trials=4")
    assert same["every_trial"] == trials and "to go" not in output
