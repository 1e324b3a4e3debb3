"""Which item to show in a small simulated shop: what models come to by its log, and by its truth."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from conf.load import load
from features.lake import Lake
from features.world.ads import appeals, chances, click_chance, is_favourite
from jobs.ad_click import ad_click, answers_at, truth_of
from jobs.examples import examples
from jobs.job import InputError
from jobs.simulate import shop_of, simulate
from jobs.train import train
from tests.conftest import PLAIN, SPARK
from tests.features.world.worlds import everyone
from tests.jobs.nights import night

pytestmark = pytest.mark.long  # a shop is made, taken in and trained on
SETTINGS = [
    "source=simulated",
    PLAIN,
    "ds=2026-02-04",
    "simulate.users=300",
    "simulate.days=35",
    "simulate.items=40",
    "simulate.categories=5",
    "simulate.bots=0",
    "task=ad_click",
    "task.length=16",
    "task.positions=4",
    "task.label.snapshots=1",
    "promote.holdout_days=14",
    "promote.resamples=200",
    "model.width=8",
    "model.blocks=1",
    "train.ranks=1",
    "train.epochs=1",
]


@pytest.fixture(scope="module")
def judged(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ads")
    places = [
        f"raw={folder / 'raw'}",
        f"lake={folder / 'lake'}",
        f"registry=sqlite:///{folder / 'mlflow.db'}",
        f"artifacts={folder / 'artifacts'}",
        f"report={folder / 'report'}",
    ]
    conf, naive = (load([*SPARK, *SETTINGS, *places, f"model={name}"]) for name in ("gru", "naive"))
    lake = Lake(spark, conf.lake)
    simulate(conf, lake)
    night(spark, conf)
    examples(conf, lake)
    with pytest.raises(InputError) as without_baseline:
        ad_click(conf, lake)
    train(naive)
    train(conf)
    said = ad_click(conf, lake)
    told = json.loads(Path(said["file"]).read_text())
    return SimpleNamespace(**locals())


def test_each_horizon_behind_the_cut_is_judged(judged):
    told = judged.told
    assert told["horizons"] == ["2026-01-22", "2026-01-29"]
    assert told["items"] == ["i0", "i1", "i2", "i3", "i4"]
    assert told["impressions"] > 500
    assert told["clicks"] / told["impressions"] == pytest.approx(told["shop"]["log"]["mean"])


def test_each_model_and_policy_stands_beside_the_baseline(judged):
    assert set(judged.told["models"]) == {"naive", "gru"}
    models = judged.told["models"] | judged.told["policies"]
    assert set(models) == {"naive", "gru", "linucb_naive", "linucb_gru", "lot"}
    assert set(models["gru"]) == {"roc_auc", "log_loss", "ips", "snips", "dr", "true"}
    assert set(models["lot"]) == {"ips", "snips", "dr", "true"}
    for of_model in models.values():
        for metric, each in of_model.items():
            value, difference = each["value"], each["difference"]
            assert value["low"] <= value["mean"] <= value["high"]
            assert difference["mean"] == pytest.approx(
                value["mean"] - models["naive"][metric]["value"]["mean"]
            )
    assert models["naive"]["roc_auc"]["value"]["low"] > 0.5, "items and positions differ"
    assert models["naive"]["ips"]["difference"] == {"mean": 0, "low": 0, "high": 0}
    worth = judged.told["worth_impressions"]
    assert worth["naive"] < worth["lot"] < judged.told["impressions"]


def test_intervals_of_policies_that_did_not_learn_from_these_days_hold_the_true_value(judged):
    shop, models = judged.told["shop"], judged.told["models"] | judged.told["policies"]
    assert shop["log"]["low"] < shop["true"]["mean"] < shop["log"]["high"]
    for name in ("lot", "naive"):
        for estimator in ("ips", "snips", "dr"):
            value = models[name][estimator]["value"]
            assert value["low"] < models[name]["true"]["value"]["mean"] < value["high"]


def test_the_truth_is_that_by_which_the_shop_was_made(judged):
    world, row = shop_of(judged.conf), np.array([3, 3, 8])
    rows = pd.DataFrame({"user_id": ["u3", "u3", "u8"], "position": [1, 3, 2]})
    found = truth_of(judged.conf, rows, ["i0", "i1", "i2", "i3", "i4"])
    liked, position = is_favourite(world, everyone(world), row), rows["position"].to_numpy()[:, None]
    np.testing.assert_allclose(found.clicks, click_chance(appeals(world), liked, position))
    np.testing.assert_allclose(found.shop, chances(world, everyone(world), row))
    assert truth_of(replace(judged.conf, raw=str(judged.folder)), rows, ["i0"]) is None
    keyed = replace(judged.conf, privacy=replace(judged.conf.privacy, ids="keyed"))
    assert truth_of(keyed, rows, ["i0"]) is None


def test_an_answer_is_that_for_the_item_at_the_position_and_nothing_where_there_is_none():
    spec = {"label": {"names": ["jam at 1", "jam at 2", "tea at 1"]}}
    rows = pd.DataFrame({"position": [1, 2], "gru": [np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])]})
    found = answers_at(rows, spec, ["jam", "tea"], ["gru"])
    assert found["gru"].tolist() == [[0.1, 0.3], [0.5, 0.0]]


def test_without_a_baseline_or_a_week_to_judge_on_it_says_so(judged):
    assert "no baseline of ad_click is registered" in str(judged.without_baseline.value)
    sooner = replace(judged.conf, ds="2026-01-27", set_id=judged.told["set_id"])
    with pytest.raises(
        InputError, match="6 days lie between the cut of the example set and the end of 2026-01-27"
    ):
        ad_click(sooner, judged.lake)
