"""Forecast how much of each item and category is sold in the week behind a night, by what models expect of all users.

Reads `sessions`, `items`, and every model that is registered for `examples/<set_id>`, whose task asks of each user and
target whether they buy within a week. Replaces the partition `ds` of `demand`: of each model, and of two baselines that see
only what was sold. The held-out weeks make the quantiles, and those from `demand.first_weeks` on judge as well:
`demand.json` in `report` has each metric of each model with its interval, and how far it lies from the better baseline's.

    spark-submit jobs/demand.py ds=2017-12-28 promote.holdout_days=56 task=demand report=var/tasks
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pyspark.sql import functions as f

from conf.schema import Config
from features.demand import CATEGORY, DEMAND, ITEM, weekly_units
from features.examples import end_of, set_id_of
from features.history import history
from features.lake import Lake
from features.questions import histories
from jobs.files import put_json
from jobs.job import InputError, run
from jobs.judge_labels import newest_by_model
from jobs.judging_labels import answers_of
from jobs.labelled import as_trained, ask, seen_as_of, spec_of_set
from models.forecasts import LEVELS, last_week, of_buyers, quantiles, scales, smoothing
from models.metrics.forecasts import against, sampled_forecasts
from models.registry import Version, connect

BASELINES = ("last_week", "smoothing")


class Sold(NamedTuple):
    """What was sold in each week up to the night, the oldest first; a series is one item or category."""

    series: pd.DataFrame  # kind, target: a row each
    units: np.ndarray  # (weeks, series)
    buyers: np.ndarray  # (weeks, series)


def demand(conf: Config, lake: Lake) -> dict[str, Any]:
    set_id = conf.set_id or set_id_of(conf)
    spec, registry = spec_of_set(lake, set_id), connect(conf.registry, conf.artifacts)
    versions = newest_by_model(registry.versions(conf.task.name, set_id))
    if not versions:
        raise InputError(f"no model of {conf.task.name} is registered for {set_id}: run jobs/train.py first")
    moments = moments_of(conf, spec)
    held, first = len(moments) - 1, conf.demand.first_weeks
    sold = sold_until(conf, lake, spec, moments)
    before, since, kinds = sold.units[:-held], sold.units[-held:], sold.series["kind"].to_numpy()
    per_buyer = before.sum(axis=0) / np.maximum(sold.buyers[:-held].sum(axis=0), 1)
    paths = {name: registry.saved_model_path(version) for name, version in versions.items()}
    points = {"last_week": last_week(sold.units, held + 1), "smoothing": smoothing(sold.units, held + 1)}
    for name, expected in expected_buyers(conf, lake, spec, paths, moments, sold.series).items():
        points[name] = of_buyers(expected, since, per_buyer)
    forecasts = {name: quantiles(each, since, scales(before), kinds, first) for name, each in points.items()}
    rows = rows_of(conf, sold.series, {name: each[-1] for name, each in forecasts.items()}, versions)
    facts = {"job": "demand", "ds": conf.ds, "set_id": set_id, "rows": len(rows)}
    lake.replace_where(DEMAND, lake.spark.createDataFrame(rows, DEMAND.schema), f"ds = '{conf.ds}'", facts)
    models = judged(conf, since[first:], {name: each[:-1] for name, each in forecasts.items()}, kinds)
    told = {
        "task": conf.task.name,
        "ds": conf.ds,
        "set_id": set_id,
        "as_of": spec["as_of"],
        "weeks": [f"{moment:%Y-%m-%d}" for moment in moments[first:-1]],
        "series": {kind: int((kinds == kind).sum()) for kind in (ITEM, CATEGORY)},
        "models": models,
    }
    path = put_json(Path(conf.report) / f"{conf.task.name}.json", told)
    shown = {f"{name}.mae": round(each["mae"]["value"]["mean"], 3) for name, each in models.items()}
    return {"rows": len(rows), "weeks_judged": held - first, **shown, "file": str(path)}


def moments_of(conf: Config, spec: Mapping[str, Any]) -> list[datetime]:
    """The cut of an example set and each week behind it, up to the end of the night."""
    cut, end = datetime.fromisoformat(spec["as_of"]), end_of(conf.ds)
    week, least = timedelta(days=spec["label"]["horizon_days"]), conf.demand.first_weeks + 1
    if (end - cut) % week or (end - cut) // week < least:
        raise InputError(
            f"{(end - cut).days} days lie between the cut of the example set and the end of {conf.ds}, expected weeks of "
            f"{week.days} days, {least} at least: set promote.holdout_days={2 * conf.demand.first_weeks * week.days}"
        )
    return [cut + week * number for number in range((end - cut) // week + 1)]


def sold_until(conf: Config, lake: Lake, spec: Mapping[str, Any], moments: list[datetime]) -> Sold:
    """What was sold of the categories that models know, and of the items that sold best before the first moment."""
    end, days, known = moments[-1], spec["label"]["horizon_days"], spec["label"]["names"]
    seen = seen_as_of(conf, lake, end)
    past = history(seen.sessions, end, conf.source)
    (oldest,) = past.agg(f.max("days_ago")).first()  # type: ignore[misc]
    weeks, needed = int(oldest // days), len(moments) + 2
    if weeks < needed:
        raise InputError(
            f"the lake has {weeks} whole weeks of {days} days up to {conf.ds}, expected {needed} or more: set ds later"
        )
    rows = weekly_units(past, seen.items, days, conf.demand.most_pieces)
    found = rows.where(f.col("target").isin(known) & (f.col("weeks_ago") < weeks)).toArrow().to_pandas()
    units, buyers = (
        found.pivot(index="weeks_ago", columns="target", values=value)
        .reindex(index=range(weeks)[::-1], columns=known)
        .fillna(0.0)
        for value in ("units", "buyers")
    )
    before = units.iloc[: weeks - len(moments) + 1].sum().sort_values(ascending=False, kind="stable")
    is_item = before.index.str.startswith(f"{ITEM} ")
    names = sorted([*before.index[is_item][: conf.demand.items], *before.index[~is_item]])
    series = pd.DataFrame([name.split(" ", 1) for name in names], columns=["kind", "target"])
    return Sold(series, *(each[names].to_numpy(np.float64) for each in (units, buyers)))


def expected_buyers(
    conf: Config,
    lake: Lake,
    spec: dict[str, Any],
    paths: Mapping[str, str],
    moments: list[datetime],
    series: pd.DataFrame,
) -> dict[str, np.ndarray]:
    """Of each model the sum over users of the chance to buy, as of each moment: (moments, series)."""
    then, found = as_trained(conf, spec), []
    places = [spec["label"]["names"].index(f"{kind} {target}") for kind, target in series.to_numpy()]
    for moment in moments:
        seen = seen_as_of(conf, lake, moment)
        asked = ask(then, "", moment, seen)
        users = histories(seen.sessions, seen.items, moment, then)
        said = answers_of(paths, then, spec, asked, users).select("model", f.posexplode("value"))
        total = (
            said.groupBy("model", "pos")
            .agg(f.sum(f.col("col").cast("double")).alias("buyers"))
            .toArrow()
            .to_pandas()
        )
        asked.unpersist()
        found.append(total.pivot(index="model", columns="pos", values="buyers")[places])
    return {name: np.stack([each.loc[name].to_numpy() for each in found]).round(6) for name in paths}


def rows_of(
    conf: Config, series: pd.DataFrame, forecasts: Mapping[str, np.ndarray], versions: Mapping[str, Version]
) -> list[tuple[Any, ...]]:
    """Rows of `demand`, from (series, levels) of each model."""
    week = end_of(conf.ds).date()
    ds = week - timedelta(days=1)
    return [
        (ds, *one, week, *levels, name, versions[name].version if name in versions else None)
        for name, each in forecasts.items()
        for one, levels in zip(series.to_numpy().tolist(), each.tolist(), strict=True)
    ]


def judged(
    conf: Config, units: np.ndarray, forecasts: Mapping[str, np.ndarray], kinds: np.ndarray
) -> dict[str, dict[str, Any]]:
    """Of each model each metric's `value`, and of those of users the `difference` to that of `baseline`, the better one.

    units  (weeks, series);  forecasts  (weeks, series, levels) of each model. Those of categories are `category_mae`, ...
    """
    limits, found = conf.promote, dict[str, dict[str, Any]]()
    for kind, prefix in ((ITEM, ""), (CATEGORY, f"{CATEGORY}_")):
        inside = kinds == kind
        sampled = {
            name: sampled_forecasts(units[:, inside], each[:, inside], LEVELS, limits.resamples, limits.seed)
            for name, each in forecasts.items()
        }
        for name, metrics in sampled.items():
            theirs = {} if name in BASELINES else against(metrics, {b: sampled[b] for b in BASELINES})
            for metric, each in metrics.items():
                of_metric: dict[str, Any] = {"value": each.interval(limits.confidence)._asdict()}
                if metric in theirs:
                    baseline, difference = theirs[metric]
                    of_metric |= {
                        "baseline": baseline,
                        "difference": difference.interval(limits.confidence)._asdict(),
                    }
                found.setdefault(name, {})[f"{prefix}{metric}"] = of_metric
    return found


if __name__ == "__main__":
    run(demand)
