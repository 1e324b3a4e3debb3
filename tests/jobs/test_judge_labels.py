"""Models of a task with labels as jobs train, register and judge them, on a small example set."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest

from jobs.job import InputError
from jobs.judge_labels import judge_labels
from jobs.train import train
from models.registry import connect
from reports.tasks import summed
from tests.models.labelled_cases import SPLITS, conf_of, example_set

pytestmark = pytest.mark.long
ROWS = str(SPLITS["train"])


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    example_set(folder / "lake" / "examples", "two targets")
    places = [
        f"lake={folder}/lake",
        f"registry=sqlite:///{folder}/mlflow.db",
        f"artifacts={folder}/artifacts",
    ]
    more = [*places, f"report={folder}/report", "set_id=set", "train.ranks=1", "promote.resamples=50"]
    conf = conf_of("two targets", *more)
    with pytest.raises(InputError) as without:
        judge_labels(conf)
    train(replace(conf, model=conf_of("two targets", "model=naive").model))
    with pytest.raises(InputError) as ranker:
        train(replace(conf, model=conf_of("two targets", "model=popularity").model))
    trained, again = train(conf), train(conf)
    said = judge_labels(conf)
    told = json.loads(Path(said["file"]).read_text())
    return SimpleNamespace(**locals())


def test_models_are_registered_once_as_baseline_and_encoder(judged):
    versions = connect(judged.conf.registry, judged.conf.artifacts).versions("purchase")
    assert [(v.tags["model"], v.tags["kind"]) for v in versions] == [
        ("naive", "baseline"),
        ("gru", "encoder"),
    ]
    assert judged.trained["rows_per_epoch_seen"] == judged.trained["rows_per_epoch_expected"] == ROWS
    assert judged.again["note"] == "registered already, nothing to do"
    assert "train model=naive first" in str(judged.without.value)
    assert "model is popularity, which is no baseline of purchase, expected one of naive" in str(
        judged.ranker.value
    )


def test_a_summary_has_both_and_the_interval_of_their_difference(judged):
    summary = summed("purchase", judged.told)
    assert summary["purchase.users"] == SPLITS["test"]
    mean, low, high = summary["purchase.difference.log_loss"]
    assert low <= mean <= high < 0
    assert mean == pytest.approx(summary["purchase.log_loss"] - summary["purchase.baseline.log_loss"])


def test_an_input_that_tells_of_the_labels_is_worth_most_and_baselines_are_not_asked(judged):
    told = judged.told["importance"]
    assert (told["metric"], told["permutations"]) == ("log_loss", 5)
    of_encoder = {name: each["mean"] for name, each in told["models"]["gru"].items()}
    assert next(iter(of_encoder)) in ("x0", "history") and of_encoder["x0"] > 0.01
    assert of_encoder["ages"] == 0
    assert told["models"].keys() == {"gru"}
    assert judged.said["gru.worth"].startswith(f"{next(iter(of_encoder))} +")


def test_a_registered_model_answers_raw_ids_as_mlflow_loads_it(judged):
    connect(judged.conf.registry, judged.conf.artifacts)
    model = mlflow.pyfunc.load_model("models:/purchase/2")
    user = {
        "item_ids": [["item-3", "item-4"]] * 2,
        "sessions": [[1, 2]] * 2,
        "ages": [[3.0, 1.0]] * 2,
        "features": [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]],
        "naive": [[0.0, 0.0], [0.0, 0.0]],
    }
    one, other = model.predict(pd.DataFrame(user))["value"]
    assert len(one) == len(other) == 2
    assert one[0] > other[0], "the first feature tells of the first target"
    assert one[1] < other[1]
