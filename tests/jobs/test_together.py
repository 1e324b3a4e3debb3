"""Several tasks that one model learns, as jobs train, register and judge them, on small example sets."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jobs.finetune import finetune
from jobs.job import InputError
from jobs.judge_labels import judge_labels
from jobs.judge_together import judge_together
from jobs.train import train
from models.example_set import open_example_set
from models.judging_labels import exported, said_of
from models.registry import connect
from reports.tasks import compared
from tests.models.labelled_cases import SPLITS, conf_of, several_set


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    several_set(folder / "lake" / "examples")
    places = [
        f"lake={folder}/lake",
        f"registry=sqlite:///{folder}/mlflow.db",
        f"artifacts={folder}/artifacts",
    ]
    more = [
        *places,
        f"report={folder}/report",
        "train.ranks=1",
        "promote.resamples=50",
        "finetune.encoder=none",
    ]
    joint = conf_of("several", "set_id=set", "task.label.balance=pcgrad", "task.label.sharing=mmoe", *more)
    parts = {
        name: conf_of(case, f"set_id={name}", *more)
        for name, case in (("purchase", "two targets"), ("spend", "amount"))
    }
    together = finetune(joint)
    with pytest.raises(InputError) as alone:
        judge_together(joint)
    for conf in parts.values():
        train(replace(conf, model=conf_of("binary", "model=naive").model))
        finetune(conf)
    again = finetune(joint)
    said = judge_together(joint)
    told = json.loads(Path(said["file"]).read_text())
    registry = connect(joint.registry, joint.artifacts)
    return SimpleNamespace(**locals())


def test_one_training_registers_a_version_of_each_task_beside_its_own(judged):
    assert judged.together["rows_per_epoch_seen"] == str(SPLITS["train"])
    assert judged.again["note"] == "registered already, nothing to do"
    found = {
        task: [(v.tags["model"], v.tags["set_id"]) for v in judged.registry.versions(task)]
        for task in ("together", "purchase", "spend")
    }
    assert found == {
        "together": [("gru", "set")],
        "purchase": [("gru_together", "purchase"), ("naive", "purchase"), ("gru", "purchase")],
        "spend": [("gru_together", "spend"), ("naive", "spend"), ("gru", "spend")],
    }
    assert "purchase has no version of gru for purchase: run jobs/finetune.py" in str(judged.alone.value)


def test_each_answers_as_the_model_of_all_does_and_by_the_inputs_of_its_own_task(judged):
    def values(task: str, set_id: str) -> np.ndarray:
        examples = open_example_set(f"{judged.joint.lake}/examples/{set_id}")
        version = judged.registry.versions(task)[0]
        return said_of(exported(judged.registry.saved_model_path(version)), examples, "test")[0]

    of_all = values("together", "set")
    np.testing.assert_allclose(of_all[:, :2], values("purchase", "purchase"), rtol=1e-5)
    np.testing.assert_allclose(of_all[:, 2:], values("spend", "spend"), rtol=1e-5)


def test_the_table_says_of_each_task_whether_it_is_better_learnt_with_others(judged):
    rows = compared("together", judged.told)
    of_purchase, of_spend = ("roc_auc", "pr_auc", "log_loss", "calibration_error"), ("mae", "mse", "spearman")
    assert {row["metric"] for row in rows} == {
        *(f"purchase_{name}" for name in of_purchase),
        *(f"spend_{name}" for name in of_spend),
    }
    assert {(row["model"], row["baseline"]) for row in rows} == {("gru_together", "gru")}
    for row in rows:
        mean, low, high = row["difference"]
        assert low <= mean <= high
        assert mean == pytest.approx(row["value"] - row["baseline_value"])
    (worse,) = [row for row in rows if row["metric"] == "purchase_log_loss"]
    assert (worse["verdict"] == "better") == (worse["difference"][2] < 0), "of a loss less is better"


def test_the_judge_of_a_task_has_both_beside_the_baseline(judged):
    said = judge_labels(judged.parts["purchase"])
    models = json.loads(Path(said["file"]).read_text())["models"]
    assert set(models) == {"naive", "gru", "gru_together"}
