"""Pretraining, fine-tuning and their comparison as a user runs them, with real ranks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from models.registry import connect
from tests.models.example_sets import labelled_example_set, labelled_rows, random_example_set

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
SMALL = ["model=sasrec", "model.width=8", "model.blocks=1", "model.negatives=8"]
SMALL += ["train.epochs=2", "train.batch_size=8"]
OF_CHURN = ["set_id=answers", "task=churn", "task.label.beside=[]", *SMALL]
USERS = {"train": 80, "validation": 40, "test": 30}


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """A lake with the examples of `next_item`, `history`, and of `churn`, `answers`; and an encoder of the former."""
    folder = tmp_path_factory.mktemp("pretrained")
    sets = folder / "lake" / "examples"
    random_example_set(sets / "history", train=[30, 21], validation=[9])
    rows = {split: labelled_rows(count, seed) for seed, (split, count) in enumerate(USERS.items())}
    labelled_example_set(sets / "answers", rows, "binary", ["yes"])
    told = job(folder, "pretrain", "set_id=history", *SMALL)
    assert "pretrain: sasrec, starting 2 ranks" in told
    assert "pretrain: version=1, model=sasrec, set_id=history" in told
    return folder


def job(shop: Path, name: str, *arguments: str) -> str:
    places = [f"lake={shop}/lake", f"registry=sqlite:///{shop}/mlflow.db", f"artifacts={shop}/artifacts"]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"jobs.{name}", *places, f"report={shop}/report", *arguments],
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=1500,
    )
    return run.stdout if run.returncode == 0 else run.stderr


def registry(shop: Path):
    return connect(f"sqlite:///{shop}/mlflow.db", f"{shop}/artifacts")


def weights(shop: Path, version) -> dict[str, np.ndarray]:
    loaded = tf.saved_model.load(registry(shop).saved_model_path(version))
    return {name: variable.numpy() for name, variable in loaded.named.items()}


def test_an_encoder_is_registered_once_with_weights_by_name_its_vocabulary_and_its_configuration(shop):
    assert "registered already" in job(shop, "pretrain", "set_id=history", *SMALL)
    (version,) = registry(shop).versions("next_item.encoder")
    expected = {"kind": "encoder", "model": "sasrec", "rows_per_epoch_seen": "51", "ranks": "2"}
    assert {name: version.tags[name] for name in expected} == expected
    assert version.tags["recipe"] != version.tags["configuration"]
    params = registry(shop).client.get_run(version.run_id).data.params
    assert params["pretrain.objectives.next_item"] == "1.0"
    loaded = tf.saved_model.load(registry(shop).saved_model_path(version))
    assert {"head.vectors.table", "encoder.blocks.0.query.kernel", "encoder.back"} <= loaded.named.keys()
    assert not [name for name in loaded.named if "objectives" in name]
    assert b"item-7" in loaded.item_ids.numpy()
    files = registry(shop).client.list_artifacts(version.run_id, "configuration")
    assert [file.path for file in files] == ["configuration/configuration.yaml"]


def test_a_frozen_encoder_is_that_which_was_pretrained_bit_for_bit_and_a_share_is_no_candidate(shop):
    told = job(shop, "finetune", *OF_CHURN, "finetune.mode=frozen")
    assert "begins from next_item.encoder v1: of its items 20" in told
    assert "train_users=80, train_rows=80" in told
    (version,), (encoder,) = registry(shop).versions("churn"), registry(shop).versions("next_item.encoder")
    ours, pretrained = weights(shop, version), weights(shop, encoder)
    names = [name for name in ours if name.startswith("encoder.")]
    assert len(names) > 10
    for name in names:
        np.testing.assert_array_equal(ours[name], pretrained[name])
    np.testing.assert_array_equal(ours["vectors.table"][3:23], pretrained["head.vectors.table"][3:23])
    assert (version.tags["encoder"], version.tags["mode"]) == ("1", "frozen")

    told = job(shop, "finetune", *OF_CHURN, f"finetune.encoder={encoder.run_id}", "finetune.share=0.4")
    (share,) = registry(shop).versions("churn.few")
    assert 20 < int(share.tags["train_users"]) < 45
    assert share.tags["rows_per_epoch_seen"] == share.tags["train_users"]
    assert f"train_users={share.tags['train_users']}" in told
    assert share.tags["encoder"] == "1"
    assert len(registry(shop).versions("churn")) == 1


def test_what_does_not_fit_is_refused_in_one_line(shop):
    for arguments, said in (
        (["finetune", *OF_CHURN, "model.width=16"], "has model.width=8, and this training model.width=16"),
        (["finetune", *OF_CHURN, "model=gru"], "has no such version of model=gru (there are: 1 (sasrec))"),
        (["finetune", "set_id=history", *SMALL], "task=next_item has no labels"),
        (["pretrain", *OF_CHURN], "task=churn has labels, expected one that ranks items"),
    ):
        (line,) = job(shop, *arguments).splitlines()
        assert line.startswith("error: ")
        assert said in line


def test_ways_to_begin_are_compared_on_the_same_test_rows_and_trained_once(shop):
    asked = [*OF_CHURN, "few_labels.shares=[0.5]", "few_labels.seeds=1", "few_labels.arms=[scratch,adapters]"]
    told = job(shop, "few_labels", *asked)
    found = json.loads((shop / "report" / "churn.few.json").read_text())
    assert told.count("starting 2 ranks") == len(found["runs"]) == 2, told
    assert [(run["arm"], run["seed"], run["encoder"]) for run in found["runs"]] == [
        ("scratch", 0, "none"),
        ("adapters", 0, "1"),
    ]
    row = next(each for each in found["table"] if (each["arm"], each["metric"]) == ("adapters", "roc_auc"))
    assert row["mean"] == found["runs"][1]["metrics"]["roc_auc"]
    assert 0 < row["train_positives"] < row["train_users"] < USERS["train"]
    page = (shop / "report" / "churn.few.html").read_text()
    assert "pretrained, adapters" in page
    assert f"{row['mean']:.4f}" in page
    again = job(shop, "few_labels", *asked)
    assert "starting" not in again
    assert json.loads((shop / "report" / "churn.few.json").read_text()) == found
