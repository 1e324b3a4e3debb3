"""Demand of a small shop: forecasts of a night, and what judges them."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.demand import DEMAND
from features.lake import Lake
from jobs.demand import demand
from jobs.examples import examples
from jobs.job import InputError
from jobs.train import train
from tests.jobs.nights import night, shop
from tests.shop import line, rows_of, write_log

pytestmark = pytest.mark.long  # a night, an example set, a training, and four moments asked
FIRST, DS, LATER = date(2026, 9, 7), "2026-11-29", "2026-12-06"
WEEKS, USERS = 12, 6
SETTINGS = [
    "task=demand",
    "model=naive",
    "task.length=16",
    "task.positions=4",
    "task.label.snapshots=1",
    "promote.holdout_days=21",
    "promote.resamples=50",
    "demand.items=2",
    "demand.first_weeks=1",
    "features.late_days=120",
]


def purchases() -> list[dict]:
    """Each week the same half of the users take three milk each, all take a tea, and one takes jam, which sells least.

    Behind the night they take all of it by the dozen.
    """
    lines = []
    for week in range(WEEKS + 1):
        dozens = 12.0 if week == WEEKS else 1.0
        for user in range(USERS):
            at = datetime.combine(FIRST + timedelta(weeks=week, days=user), datetime.min.time(), UTC)
            baskets = [("tea", 1.0)]
            baskets += [("milk", 3.0)] if user % 2 else []
            baskets += [("jam", 1.0)] if user == 0 else []
            for item, pieces in baskets:
                told = {"item_id": item, "quantity": pieces * dozens, "amount": pieces}
                time = f"{at:%Y-%m-%d}T10:0{user}:00Z"
                lines.append(line(f"user {user}", time, f"{user}-{week}-{item}", **told))
    return lines


@pytest.fixture(scope="module")
def season(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demand")
    (folder / "raw" / "items").mkdir(parents=True)
    catalogue = [{"item_id": "milk", "category": "dairy"}, {"item_id": "tea", "category": "drinks"}]
    (folder / "raw" / "items" / "catalogue.json").write_text("".join(json.dumps(x) + "\n" for x in catalogue))
    conf = shop(folder, DS, *SETTINGS, f"report={folder / 'report'}")
    lake = Lake(spark, conf.lake)
    write_log(folder / "raw", LATER, *purchases())
    night(spark, replace(conf, ds=LATER))
    examples(conf, lake)
    with pytest.raises(InputError) as without_model:
        demand(conf, lake)
    train(conf)
    said = demand(conf, lake)
    told, rows = json.loads(Path(said["file"]).read_text()), rows_of(lake.read(DEMAND))
    with pytest.raises(InputError) as too_few_weeks:
        demand(replace(conf, demand=replace(conf.demand, first_weeks=4)), lake)
    return SimpleNamespace(**locals())


def test_a_row_a_series_and_model_for_the_week_behind_the_night(season):
    assert {row[:4] for row in season.rows} == {
        (date(2026, 11, 29), kind, target, date(2026, 11, 30))
        for kind, target in (
            ("item", "milk"),
            ("item", "tea"),
            ("category", "dairy"),
            ("category", "drinks"),
        )
    }, "jam sells least of the three items, and has no category"
    assert {row[7:] for row in season.rows} == {("naive", 1), ("last_week", None), ("smoothing", None)}
    assert all(row[4] <= row[5] <= row[6] for row in season.rows)


def test_what_is_sold_alike_each_week_is_forecast_as_it_is_whatever_comes_behind_the_night(season):
    for row in season.rows:
        if row[2] == "tea":
            assert row[4:7] == pytest.approx((USERS,) * 3, abs=0.8), row
        if row[2] == "milk":
            assert row[5] == pytest.approx(9.0, abs=1.2), row


def test_each_metric_stands_beside_that_of_the_better_baseline(season):
    told = season.told
    assert told["weeks"] == ["2026-11-16", "2026-11-23"]
    assert told["series"] == {"item": 2, "category": 2}
    for name in ("mae", "wape", "pinball", "category_mae"):
        own = told["models"]["naive"][name]
        baselines = {b: told["models"][b][name]["value"]["mean"] for b in ("last_week", "smoothing")}
        assert baselines[own["baseline"]] == min(baselines.values())
        assert own["difference"]["mean"] == pytest.approx(own["value"]["mean"] - min(baselines.values()))
    assert "difference" not in told["models"]["smoothing"]["mae"]


def test_without_a_model_or_enough_weeks_it_says_what_is_missing(season):
    assert "no model of demand is registered" in str(season.without_model.value)
    assert "21 days lie between the cut" in str(season.too_few_weeks.value)
    assert "set promote.holdout_days=56" in str(season.too_few_weeks.value)
