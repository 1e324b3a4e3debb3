"""Estimate the mean effect of a treatment that was not given by lot: an observation, which no gate looks at.

Reads `sessions`, `items` and `events` as of the moments that examples of a task with `task.label.arms` would have: users,
their features, and what came of them in the arm that they were in. Writes into `report` `<task>.json`: of each outcome the
effect by AIPW, cross-fitted over users, with its interval, on the rows that could as well have been in the other arm; how
many these are; and how far the arms lie apart in each input, before and after weighing. `<task>.png` shows the overlap.

    spark-submit jobs/observed_effect.py ds=2017-12-28 promote.holdout_days=28 task=uplift_observed report=var/tasks
"""

from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Label
from features.labelled import Snapshots
from features.labels import ALL
from features.lake import Lake
from features.normalise import columns_of, fit, normalised
from features.user_features import USER_FEATURES
from jobs.files import put_json
from jobs.job import InputError, reader, run
from jobs.labelled import Asked, ask, features_of, seen_as_of
from models.aipw import FOLDS, TRIM, balance, has_overlap, mean_effect, propensities
from models.uplift import Trial, outcomes_of, trial_of
from reports.effect_charts import overlap

LEAST = 10 * FOLDS  # rows of either arm, and users


class Observed(NamedTuple):
    """Users as of several moments, one row each, who were all in one of both arms."""

    users: np.ndarray  # (rows,) str
    inputs: pd.DataFrame  # (rows, inputs): features, what the task's `naive` knows, and which moment it is
    trials: dict[str, Trial]  # of each outcome


def observed_effect(conf: Config, lake: Lake) -> dict[str, Any]:
    label, limits = conf.task.label, conf.promote
    if label is None or not label.arms:
        raise InputError(
            f"{conf.task.name} has no task.label.arms, expected a task of an effect, such as task=uplift_observed"
        )
    users, inputs, trials = observed(conf, lake, label)
    x, treated = inputs.to_numpy(np.float64), next(iter(trials.values())).treated
    check_arms(conf, treated)
    propensity = propensities(x, treated, users)
    kept, apart = has_overlap(propensity), balance(x, treated, propensity)
    effects = {
        outcome: mean_effect(x, treated, trial.outcome, users, propensity, limits.confidence, limits.seed)
        for outcome, trial in trials.items()
    }
    told = {
        "task": conf.task.name,
        "ds": conf.ds,
        "kind": "observational: no lot, and never a gate's matter",
        "horizon_days": label.horizon_days,
        "moments": [f"{moment:%Y-%m-%d}" for _, moment in Snapshots.of(conf).by_split()],
        "users": len(np.unique(users)),
        "rows": len(users),
        "treated": int(treated.sum()),
        "trim": TRIM,
        "kept": {"rows": int(kept.sum()), "treated": int((kept & treated).sum())},
        "effects": {outcome: effect._asdict() for outcome, effect in effects.items()},
        "apart": {
            name: {"before": float(before), "after": float(after)}
            for name, before, after in zip(inputs.columns, *apart, strict=True)
        },
    }
    path = put_json(Path(conf.report) / f"{conf.task.name}.json", told)
    overlap(propensity, treated, TRIM, list(inputs.columns), *apart, path.with_suffix(".png"))
    shown = {
        outcome: f"{each.mean:+.3f} ({each.low:+.3f} to {each.high:+.3f}), observational"
        for outcome, each in effects.items()
    }
    return {"rows": len(users), "kept": int(kept.sum()), **shown, "file": str(path)}


def observed(conf: Config, lake: Lake, label: Label) -> Observed:
    """What is known of the users as of each of the task's moments, and what came of them."""
    names, moments = features_of(label), Snapshots.of(conf).by_split()
    seen = seen_as_of(conf, lake, min(moment for _, moment in moments))
    asked = [ask(conf, *of_split, seen) for of_split in moments]
    statistics = fit(reduce(DataFrame.unionAll, (each.features for each in asked)), USER_FEATURES, names)
    numbers, _ = columns_of(USER_FEATURES, names)
    found = [as_table(each, normalised(each.features, USER_FEATURES, statistics, names)) for each in asked]
    for each in asked:
        each.unpersist()
    rows = pd.concat(found, ignore_index=True)
    targets = [name for name in rows if name.startswith(tuple(f"{arm} " for arm in label.arms))]
    rows = rows[rows[targets].notna().any(axis=1)]
    labels = rows[targets].to_numpy(np.float64)
    inputs = pd.concat([rows[[*numbers, "naive"]], pd.get_dummies(rows["moment"], dtype=float)], axis=1)
    trials = {
        outcome: trial_of(np.nan_to_num(labels), ~np.isnan(labels), arms)
        for outcome, arms in outcomes_of(targets, label.arms).items()
    }
    return Observed(rows["user_id"].to_numpy(str), inputs, trials)


def as_table(asked: Asked, features: DataFrame) -> pd.DataFrame:
    """The users of a moment: `user_id`, `moment`, features, `naive`, and a column a target, NaN where it is not asked."""
    rows = features.toArrow().to_pandas().assign(moment=f"{asked.moment:%Y-%m-%d}", naive=0.0)
    if asked.naive is not None:
        known = asked.naive.where(f.col("target") == ALL).toArrow().to_pandas().set_index("user_id")["naive"]
        rows["naive"] = rows["user_id"].map(known).fillna(0.0)
    answers = asked.answers.toArrow().to_pandas().pivot(index="user_id", columns="target", values="label")
    return rows.join(answers, on="user_id", how="inner")


def check_arms(conf: Config, treated: np.ndarray) -> None:
    """Refuses to compare arms of which one has hardly anybody."""
    least = min(treated.sum(), (~treated).sum())
    if least < LEAST:
        raise InputError(
            f"{treated.sum()} of {len(treated)} rows of {conf.task.name} are treated, expected {LEAST} or more in either "
            "arm: set ds later, or look at task.label.sql"
        )


if __name__ == "__main__":
    run(observed_effect, leases=reader)
