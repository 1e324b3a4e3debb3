"""A campaign of a small simulated shop, from its logs to what models say of its effect; and what is only an estimate."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from conf.load import load
from conf.schema import Config
from features.lake import Lake
from features.world import truth
from jobs.examples import examples
from jobs.job import InputError
from jobs.observed_effect import observed_effect
from jobs.promote import promote
from jobs.simulate import simulate
from jobs.train import train
from jobs.uplift import uplift
from tests.conftest import PLAIN, SPARK
from tests.jobs.nights import night

pytestmark = pytest.mark.long  # a night, an example set, two trainings
SETTINGS = [
    "source=simulated",
    "task=uplift",
    "ds=2026-01-29",  # campaigns are sent on the 2nd, 9th, 16th and 23rd
    "simulate.users=400",
    "simulate.days=29",
    "simulate.items=60",
    "simulate.campaign_every_days=7",
    "simulate.campaign_days=6",
    "simulate.bots=0",
    "simulate.anonymous_share=0",
    "promote.holdout_days=7",
    "promote.resamples=50",
    "task.label.horizon_days=7",
    "task.label.snapshots=1",
    "task.length=16",
    "task.positions=4",
    "model=gru",
    "model.width=8",
    "model.blocks=1",
    "train.ranks=1",
    "train.epochs=1",
]


def shop(folder: Path, *more: str) -> Config:
    places = [f"{name}={folder / name}" for name in ("raw", "lake", "artifacts", "report")]
    return load([*SPARK, PLAIN, *SETTINGS, f"registry=sqlite:///{folder / 'mlflow.db'}", *places, *more])


@pytest.fixture(scope="module")
def campaign(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("campaign")
    conf = shop(folder)
    lake = Lake(spark, conf.lake)
    simulate(conf, lake)
    night(spark, conf)
    examples(conf, lake)
    with pytest.raises(InputError) as without_model:
        uplift(conf, lake)
    for model in (load(["model=naive"]).model, conf.model):
        train(replace(conf, model=model))
    said = uplift(conf, lake)
    told = json.loads(Path(said["file"]).read_text())
    with pytest.raises(InputError) as promoted:
        promote(conf, lake)
    elsewhere = replace(conf, raw=str(folder / "elsewhere"), report=str(folder / "untold"))
    untold = json.loads(Path(uplift(elsewhere, lake)["file"]).read_text())
    alone = replace(conf, report=str(folder / "estimate"))
    estimate = json.loads(Path(observed_effect(alone, lake)["file"]).read_text())
    with pytest.raises(InputError) as other_task:
        uplift(replace(conf, task=load(["task=churn"]).task), lake)
    return SimpleNamespace(**locals())


def test_the_arms_are_those_of_the_lot(spark, campaign):
    users = spark.read.parquet(f"{campaign.conf.raw}/{truth.TRUE_USERS.name}").collect()
    of_lot = [user.arms["k3"] for user in users if "k3" in user.arms]  # sent on the 23rd
    told = campaign.told
    assert 0.5 * len(of_lot) < told["users"] <= len(of_lot), "of some nothing is known before"
    assert told["treated"] / told["users"] == pytest.approx(0.5, abs=0.1)


def test_an_encoder_stands_beside_each_baseline_and_the_truth(campaign):
    models = campaign.told["models"]
    assert set(models) == {"naive", "gru", "no_effect", "class_transformation", "truth"}
    metrics = {f"{o}_{m}" for o in ("buys", "orders", "spend") for m in ("qini", "uplift_at_10", "error")}
    assert set(models["gru"]) == metrics
    for metric in metrics:
        told, baselines = models["gru"][metric], ("no_effect", "class_transformation", "naive")
        theirs = {name: models[name][metric]["value"]["mean"] for name in baselines}
        best = min if metric.endswith("error") else max
        assert theirs[told["baseline"]] == best(theirs.values())
        for name, value in theirs.items():
            assert told["differences"][name]["mean"] == pytest.approx(told["value"]["mean"] - value)
        assert told["difference"] == told["differences"][told["baseline"]]
    assert "difference" not in models["naive"]["buys_qini"]
    assert models["no_effect"]["buys_qini"]["value"]["mean"] == pytest.approx(0, abs=1e-12)
    assert models["naive"]["buys_qini"]["value"]["mean"] == pytest.approx(0, abs=1e-12), "it ranks nobody"
    assert models["truth"]["orders_error"]["value"]["mean"] == 0
    assert models["truth"]["orders_qini"]["value"]["mean"] > 0


def test_the_mean_effect_is_told_as_observed_in_truth_and_as_said(campaign):
    for outcome in ("buys", "orders", "spend"):
        told = campaign.told["average"][outcome]
        assert told["observed"]["low"] < told["truth"] < told["observed"]["high"]
        assert told["said"]["no_effect"] == 0
    assert Path(campaign.said["file"]).with_suffix(".png").stat().st_size > 10_000


def test_without_the_truth_there_is_no_error_and_the_rest_is_the_same(campaign):
    assert "truth" not in campaign.untold["models"]
    assert campaign.untold["average"]["buys"]["truth"] is None
    of_both = [told["models"]["gru"] for told in (campaign.told, campaign.untold)]
    assert set(of_both[0]) - set(of_both[1]) == {"buys_error", "orders_error", "spend_error"}
    assert of_both[0]["spend_qini"] == of_both[1]["spend_qini"]


def test_an_effect_is_never_promoted(campaign):
    assert "uplift is of an effect (task.label.arms), which the gate does not judge" in str(
        campaign.promoted.value
    )


def test_where_a_lot_decided_the_estimate_keeps_everybody_and_says_what_the_arms_say(campaign):
    told = campaign.estimate
    assert told["kind"].startswith("observational")
    assert told["kept"]["rows"] > 0.95 * told["rows"]
    for effect in told["effects"].values():
        assert effect["low"] < effect["plain"] < effect["high"]
    assert {"recency", "naive", "2026-01-23"} <= set(told["apart"])
    assert (Path(campaign.alone.report) / "uplift.png").stat().st_size > 10_000


def test_what_is_missing_is_said(campaign):
    assert "no model of uplift is registered" in str(campaign.without_model.value)
    assert "churn has no task.label.arms, expected a task of an effect" in str(campaign.other_task.value)
