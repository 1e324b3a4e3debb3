"""What is trained to compare ways to begin, and how it is summed up."""

import json
from dataclasses import replace

import numpy as np
import pytest

from conf.load import load
from jobs.few_labels import interval, of_run, summed
from jobs.train import hash_of, registered_as
from reports.few_labels import of_folder
from reports.few_labels_page import render


def test_each_arm_share_and_seed_is_a_training_of_its_own_and_none_is_a_candidate():
    conf = load(["task=churn", "set_id=small", "train.epochs=6", "train.patience=2"])
    asked = [
        of_run(conf, arm, share, seed)
        for arm in conf.few_labels.arms
        for share in (0.01, 1.0)
        for seed in (0, 1)
    ]
    assert len({hash_of(each) for each in asked}) == len(asked) == 16
    assert {registered_as(each) for each in asked} == {"churn.few"}
    assert [(each.train.epochs, each.train.patience) for each in asked[:4:2]] == [(120, 40), (6, 2)]
    assert [(each.finetune.encoder, each.finetune.mode) for each in asked[::4]] == [
        ("none", "full"),
        ("newest", "frozen"),
        ("newest", "full"),
        ("newest", "adapters"),
    ]
    assert registered_as(replace(conf, step="finetune")) == "churn"


def test_means_have_the_interval_of_students_distribution_and_the_page_shows_them(tmp_path):
    assert interval([0.7]) == {"mean": 0.7, "low": None, "high": None}
    found = interval([0.6, 0.7, 0.65])
    assert found["mean"] == pytest.approx(0.65)
    assert found["high"] - found["mean"] == pytest.approx(4.302653 * 0.05 / np.sqrt(3), rel=1e-6)
    assert found["mean"] - found["low"] == pytest.approx(found["high"] - found["mean"])
    runs = [
        {"arm": arm, "share": share, "seed": seed, "train_users": 25, "train_positives": 3}
        | {"metrics": {"roc_auc": 0.5 + 0.1 * seed + share}}
        for share in (0.01, 0.2)
        for arm in ("scratch", "full")
        for seed in (0, 1)
    ]
    told = summed(load(["task=churn", "set_id=small"]), runs)
    assert [(row["share"], row["arm"], row["seeds"]) for row in told["table"]] == [
        (0.01, "scratch", 2),
        (0.01, "full", 2),
        (0.2, "scratch", 2),
        (0.2, "full", 2),
    ]
    assert told["table"][0]["mean"] == pytest.approx(0.56)
    (tmp_path / "churn.few.json").write_text(json.dumps(told))
    assert of_folder(tmp_path) == [{name: each for name, each in told.items() if name != "runs"}]
    page = render(told)
    assert '<th scope="col">from scratch</th><th scope="col">pretrained, all tuned</th>' in page
    assert '<th scope="row">1%</th><td>25</td><td>3</td><td>2</td>' in page
    assert "0.5600<small>" in page
