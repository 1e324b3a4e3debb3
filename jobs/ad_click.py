"""Judge which item to show: what models say of the clicks behind their cut, and what showing what they say would come to.

Reads what was shown in the horizon before the cut of `examples/<set_id>` and in each behind it up to `ds`, and asks every
model that is registered for that set, as of the start of each. Writes `<task>.json` into `report`: of each model the metrics
of its answers, and of the policy that shows the item with the most clicks expected the clicks an impression, by three
estimators from the log of the shop's own lot; the same of LinUCB on top of each model, and of any item by lot. Each with its
interval, and how far it lies from the baseline's. Of a simulated shop, whose truth is in `raw`, `true` is the true value.

    spark-submit jobs/ad_click.py ds=2026-04-08 promote.holdout_days=28 task=ad_click source=simulated report=var/tasks
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from conf.schema import Config
from features.examples import end_of, set_id_of
from features.labels import views
from features.lake import Lake
from features.questions import histories
from features.world.truth import TRUE_ADS, TRUE_USERS
from jobs.files import put_json
from jobs.job import InputError, reader, run
from jobs.judge_labels import newest_by_model
from jobs.judging_labels import answers_of
from jobs.labelled import as_trained, ask, seen_as_of, spec_of_set
from jobs.train import NAIVE
from models.bandits import best, reranked
from models.label_metrics import sampled_rows
from models.metrics import Sampled
from models.metrics.off_policy import Log, effective_times, off_policy, on_policy
from models.registry import connect


def ad_click(conf: Config, lake: Lake) -> dict[str, Any]:
    set_id = conf.set_id or set_id_of(conf)
    spec, registry = spec_of_set(lake, set_id), connect(conf.registry, conf.artifacts)
    versions = newest_by_model(registry.versions(conf.task.name, set_id))
    if NAIVE not in versions:
        raise InputError(
            f"no baseline of {conf.task.name} is registered for {set_id}: train model={NAIVE} first"
        )
    models = sorted(versions, key=lambda name: name != NAIVE)  # the baseline first
    paths = {name: registry.saved_model_path(versions[name]) for name in models}
    moments = moments_of(conf, spec)
    shown = [shown_since(conf, lake, spec, paths, at).assign(period=n) for n, at in enumerate(moments)]
    rows = with_items_shown_since(pd.concat(shown), moments[1])
    items, periods = sorted(rows["item_id"].unique()), rows["period"].to_numpy()
    log = log_of(rows, items)
    policies = policies_of(log, answers_at(rows, spec, items, models), periods)
    held = periods > 0
    rows, log = rows[held], Log(*(each[held] for each in log))
    policies = {name: Policy(*(each[held] for each in policy)) for name, policy in policies.items()}
    truth = truth_of(conf, rows, items)
    found = {name: worth(conf, log, policy, truth) for name, policy in policies.items()}
    for name, metrics in clicks_of(conf, log, {name: policies[name].expected for name in models}).items():
        found[name] = metrics | found[name]
    own = {"log": on_policy(log, conf.promote.resamples, conf.promote.seed)}
    own |= {"true": of_truth(conf, log, truth.shop, truth)} if truth else {}
    compared = compared_with_baseline(found, conf.promote.confidence)
    told = {
        "task": conf.task.name,
        "ds": conf.ds,
        "set_id": set_id,
        "as_of": spec["as_of"],
        "horizons": [f"{moment:%Y-%m-%d}" for moment in moments[1:]],
        "users": len(np.unique(log.users)),
        "impressions": len(rows),
        "clicks": int(log.rewards.sum()),
        "items": items,
        "shop": {name: each.interval(conf.promote.confidence)._asdict() for name, each in own.items()},
        "worth_impressions": {n: round(effective_times(log, p.chances), 1) for n, p in policies.items()},
        "models": {name: compared[name] for name in models},
        "policies": {name: each for name, each in compared.items() if name not in models},
    }
    path = put_json(Path(conf.report) / f"{conf.task.name}.json", told)
    said = {f"{name}.dr": round(each["dr"].value, 4) for name, each in found.items()}
    return {"impressions": len(rows), "shop": round(own["log"].value, 4), **said, "file": str(path)}


class Policy(NamedTuple):
    """What is shown, and what is expected of it: both (impressions, items)."""

    chances: np.ndarray
    expected: np.ndarray


class Truth(NamedTuple):
    """Of each impression and item: both (impressions, items)."""

    clicks: np.ndarray  # chance of a click
    shop: np.ndarray  # chance by which the shop shows it


def moments_of(conf: Config, spec: Mapping[str, Any]) -> list[datetime]:
    """The start of the horizon before the cut, of which bandits learn first, and of each behind it until the night ends."""
    cut, horizon = datetime.fromisoformat(spec["as_of"]), timedelta(days=spec["label"]["horizon_days"])
    held = (end_of(conf.ds) - cut) // horizon
    if held < 1:
        raise InputError(
            f"{(end_of(conf.ds) - cut).days} days lie between the cut of the example set and the end of {conf.ds}, expected "
            f"{horizon.days} at least: set ds later"
        )
    return [cut + horizon * number for number in range(-1, held)]


def shown_since(
    conf: Config, lake: Lake, spec: dict[str, Any], paths: Mapping[str, str], moment: datetime
) -> pd.DataFrame:
    """What was shown in the horizon behind a moment to users whom every model answers as of it.

    `user_id`, `event_ts`, `item_id`, `position`, `propensity`, `clicked`, and of each model an array over the targets.
    """
    then, seen = as_trained(conf, spec), seen_as_of(conf, lake, moment)
    rows = views(*seen, moment, then)["impressions"].toArrow().to_pandas()
    asked = ask(then, "", moment, seen)
    whose = lake.spark.createDataFrame([(user,) for user in sorted(set(rows["user_id"]))], "user_id string")
    users = histories(seen.sessions, seen.items, moment, then).join(whose, "user_id", "left_semi")
    answers = answers_of(paths, then, spec, asked, users).toArrow().to_pandas()
    asked.unpersist()
    told = answers.pivot(index="user_id", columns="model", values="value").reindex(columns=list(paths))
    joined = rows.merge(told.dropna(), left_on="user_id", right_index=True)
    return joined.sort_values(["user_id", "event_ts", "item_id", "position"])


def with_items_shown_since(rows: pd.DataFrame, moment: datetime) -> pd.DataFrame:
    """Impressions of items that were still shown when judging begins; others no policy could have shown."""
    items = rows.loc[rows["period"] > 0, "item_id"].unique()
    if not len(items):
        raise InputError(
            f"from {moment:%Y-%m-%d} on nothing was shown to users with a history by a chance that was logged: "
            "set ds to another night, or look at the source's attribute propensity"
        )
    return rows[rows["item_id"].isin(items)].reset_index(drop=True)


def policies_of(log: Log, said: Mapping[str, np.ndarray], periods: np.ndarray) -> dict[str, Policy]:
    """Of each model the item that it says most of, the one that a bandit on top of it takes, and any item by lot."""
    lot = np.full_like(said[NAIVE], 1 / said[NAIVE].shape[1])
    bandits = {
        f"linucb_{name}": (reranked(x, log.actions, log.rewards, periods), x) for name, x in said.items()
    }
    found = {name: (best(x), x) for name, x in said.items()} | bandits | {"lot": (lot, said[NAIVE])}
    return {name: Policy(*each) for name, each in found.items()}


def log_of(rows: pd.DataFrame, items: Sequence[str]) -> Log:
    """Impressions as what the shop's lot did, an action an item."""
    actions = rows["item_id"].map({item: place for place, item in enumerate(items)})
    clicked, chances = (rows[name].to_numpy(np.float64) for name in ("clicked", "propensity"))
    return Log(rows["user_id"].to_numpy(), actions.to_numpy(), clicked, chances)


def answers_at(
    rows: pd.DataFrame, spec: Mapping[str, Any], items: Sequence[str], models: Sequence[str]
) -> dict[str, np.ndarray]:
    """What each model says of each item at the position of each impression, (impressions, items); 0 where it knows none."""
    places = {name: place for place, name in enumerate(spec["label"]["names"])}
    at = np.array([[places.get(f"{item} at {p}", len(places)) for item in items] for p in rows["position"]])
    nothing: np.ndarray = np.zeros((len(rows), 1))
    return {
        name: np.take_along_axis(np.hstack([np.stack(rows[name].to_list()), nothing]), at, axis=1)
        for name in models
    }


def clicks_of(conf: Config, log: Log, said: Mapping[str, np.ndarray]) -> dict[str, dict[str, Sampled]]:
    """Of each model the task's metrics of what it said of what was shown, all impressions together."""
    assert conf.task.label is not None
    at = np.arange(len(log.actions)), log.actions
    values = {name: each[at] for name, each in said.items()}
    names, limits = conf.task.label.metrics, conf.promote
    return sampled_rows(names, log.users, log.rewards, values, limits.resamples, limits.seed)


def worth(conf: Config, log: Log, policy: Policy, truth: Truth | None) -> dict[str, Sampled]:
    """Clicks an impression of a policy: by each estimator, and the true value where it is known."""
    found = off_policy(log, *policy, conf.promote.resamples, conf.promote.seed)
    return found | ({"true": of_truth(conf, log, policy.chances, truth)} if truth else {})


def of_truth(conf: Config, log: Log, chances: np.ndarray, truth: Truth) -> Sampled:
    expected = log._replace(rewards=(chances * truth.clicks).sum(axis=1))
    return on_policy(expected, conf.promote.resamples, conf.promote.seed)


def compared_with_baseline(
    found: Mapping[str, Mapping[str, Sampled]], confidence: float
) -> dict[str, dict[str, Any]]:
    """Of each model and policy each metric's `value`, and its `difference` to that of the baseline."""
    return {
        name: {
            metric: {
                "value": each.interval(confidence)._asdict(),
                "difference": (each - found[NAIVE][metric]).interval(confidence)._asdict(),
            }
            for metric, each in metrics.items()
        }
        for name, metrics in found.items()
    }


def truth_of(conf: Config, rows: pd.DataFrame, items: Sequence[str]) -> Truth | None:
    """What is known of a simulated shop; nothing of any other, nor of one whose users are behind keys."""
    folder = Path(conf.raw)
    if not (folder / TRUE_ADS.name).exists() or conf.privacy.ids != "plain":
        return None
    ads = pd.read_parquet(folder / TRUE_ADS.name).set_index(["item_id", "position"])
    people = pd.read_parquet(folder / TRUE_USERS.name, columns=["user_id", "anonymous_id", "favourites"])
    named = people.dropna(subset="anonymous_id").assign(user_id=people["anonymous_id"])  # as they were before
    favourites = pd.concat([people, named]).set_index("user_id")["favourites"].loc[rows["user_id"]]
    clicks, weights = [], []
    for item in items:
        of_item = ads.loc[item].loc[rows["position"]]
        liked = np.array([of_item["category"].iloc[0] in each for each in favourites])
        clicks.append(np.where(liked, of_item["click_favourite"], of_item["click"]))
        weights.append(np.where(liked, of_item["weight_favourite"], 1.0))
    shown = np.stack(weights, axis=1)
    return Truth(np.stack(clicks, axis=1), shown / shown.sum(axis=1, keepdims=True))


if __name__ == "__main__":
    run(ad_click, leases=reader)
