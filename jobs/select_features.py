"""Choose the features that tell something of what users do next, and reduce the numeric ones to principal components.

Reads `sessions` and `items` as of moments before the cut of `promote.holdout_days`, so that no night on which a model is
judged has a say. Users as of `selection.snapshots` moments, a horizon apart, are the training rows; users as of one more,
the last horizon before the cut, are the validation rows; who they are is what was known at the first of these. Looks at a
seeded sample of at most `selection.max_users` users, since scikit-learn holds it in the driver's memory. Writes the choice,
`features.selected.yaml`, and a page about it, `features.html`, into `report`. The same lake and arguments give the same
choice.

    spark-submit jobs/select_features.py ds=2017-12-27 selection.target=spend lake=var/demo/lake report=var/demo
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import Cut
from features.feature import UnknownFeature
from features.history import history
from features.items import ITEMS
from features.lake import Lake
from features.normalise import MISSING, columns_of, fit, inputs, normalised
from features.outcomes import TARGETS, outcomes, sampled
from features.relevance import Components, Findings, Rows, as_facts, search
from features.selection import Component, Selected, load_selected, write_selected
from features.sessions import SESSIONS
from features.user_features import USER_FEATURES, user_features
from jobs.featurize import check_begun
from jobs.job import InputError, reader, run
from jobs.people import sessions_as_of
from reports.selection import render

LEAST = 50  # rows of training, and of validation
DIGITS = 7  # of a component's weights


@dataclass(frozen=True)
class Moments:
    """Users are looked at as of each of `training` and as of `validation`; the target is of the horizon behind each."""

    training: tuple[datetime, ...]
    validation: datetime
    horizon: timedelta

    @staticmethod
    def of(conf: Config) -> "Moments":
        horizon = timedelta(days=conf.selection.horizon_days)
        last = Cut.of(conf).as_of - horizon
        return Moments(
            tuple(last - horizon * n for n in range(1, conf.selection.snapshots + 1)), last, horizon
        )


def select_features(conf: Config, lake: Lake) -> dict[str, Any]:
    names, moments, settings = candidates(conf), Moments.of(conf), conf.selection
    versions = {table.name: lake.version(table) or 0 for table in (SESSIONS, ITEMS)}
    sessions, items = sessions_as_of(conf, lake, min(moments.training)), lake.read(ITEMS)
    check_begun(sessions, moments.training[0], "ds")
    users = sampled(sessions, moments.validation, settings.max_users, settings.seed)
    own = sessions.join(f.broadcast(users), "user_id", "left_semi").persist(StorageLevel.DISK_ONLY)
    training = [rows_as_of(conf, own, items, moment) for moment in moments.training]
    train = reduce(DataFrame.unionAll, training).persist(StorageLevel.DISK_ONLY)
    valid = rows_as_of(conf, own, items, moments.validation).persist(StorageLevel.DISK_ONLY)
    statistics = fit(train, USER_FEATURES, names)
    numbers, categories = columns_of(USER_FEATURES, names)
    known, judged = (
        collected(normalised(rows, USER_FEATURES, statistics, names, ["_target"]), numbers, categories)
        for rows in (train, valid)
    )
    check_tellable(conf, known, judged)
    found = search(
        known, judged, numbers, categories, MISSING,
        settings.correlation, settings.variance, settings.trees, settings.seed,
    )  # fmt: skip
    for frame in (own, train, valid):
        frame.unpersist()
    selected = Selected(
        USER_FEATURES.name,
        moments.validation + moments.horizon,
        moments.training[0],
        tuple(found.choice.kept),
        statistics,
        principal(found.components),
        versions,
        configuration_of(conf),
    )
    return written(conf, selected, found, facts_of(conf, moments, known, judged, found))


def candidates(conf: Config) -> list[str]:
    """The features and crosses that are looked at."""
    try:
        return inputs(USER_FEATURES, conf.selection.candidates or None)
    except UnknownFeature as error:
        raise InputError(f"{error}: set selection.candidates") from None
    except ValueError as error:
        raise InputError(str(error)) from None


def rows_as_of(conf: Config, sessions: DataFrame, items: DataFrame, moment: datetime) -> DataFrame:
    """The features of users as of a moment, and `_target`: what each did in the horizon behind it."""
    until = moment + timedelta(days=conf.selection.horizon_days)
    features = user_features(history(sessions, moment, conf.source), items)
    answers = outcomes(sessions, moment, until, conf.source).select(
        "user_id", f.col(conf.selection.target).alias("_target")
    )
    return features.join(answers, "user_id", "left").fillna(0.0, ["_target"])


def collected(rows: DataFrame, numbers: Sequence[str], categories: Sequence[str]) -> Rows:
    """The rows in memory, in an order of their own that does not depend on partitions."""
    table = rows.toArrow()
    columns = {name: table[name].to_numpy() for name in (*numbers, *categories, "_target")}
    order = np.lexsort(
        [columns[name] for name in (*numbers, "_target")] + [table["user_id"].to_numpy().astype("U")]
    )

    def stacked(chosen: Sequence[str], dtype: str) -> np.ndarray:
        shape = (len(order), len(chosen))
        return (
            np.column_stack([columns[name][order] for name in chosen]).astype(dtype)
            if chosen
            else np.empty(shape, dtype)
        )

    return Rows(
        stacked(numbers, "float64"), stacked(categories, "int64"), columns["_target"][order].astype("float64")
    )


def check_tellable(conf: Config, train: Rows, valid: Rows) -> None:
    """Refuses to choose by too few rows, or where all targets are alike."""
    days, target = conf.selection.horizon_days, conf.selection.target
    for what, rows in (("training", train), ("validation", valid)):
        if len(rows.target) < LEAST:
            raise InputError(
                f"{what} has {len(rows.target)} users with a session before its moment, {LEAST} are needed: "
                "set ds later, selection.horizon_days or promote.holdout_days lower, or selection.max_users higher"
            )
        if np.ptp(rows.target) == 0:
            raise InputError(
                f"selection.target={target} is {rows.target[0]:g} for every user of {what}, {days} days on: set another "
                "selection.target or selection.horizon_days"
            )


def principal(found: Components) -> tuple[Component, ...]:
    """The components that are kept, with their weights over scaled features."""
    return tuple(
        Component(
            f"pc{number + 1}",
            rounded(found.explained[number]),
            rounded(found.offsets[number]),
            {name: rounded(weight) for name, weight in zip(found.columns, weights, strict=True)},
        )
        for number, weights in enumerate(found.weights)
    )


def rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def configuration_of(conf: Config) -> dict[str, Any]:
    """What of the configuration decides a choice."""
    source, settings = conf.source, asdict(conf.selection)
    del settings["path"]
    shop = ("name", "shop_timezone", "view_types", "cart_types", "purchase_types")
    return {
        "ds": conf.ds,
        "promote.holdout_days": conf.promote.holdout_days,
        **{f"source.{key}": getattr(source, key) for key in shop},
        "features.session_gap_minutes": conf.features.session_gap_minutes,
        **{f"selection.{key}": value for key, value in settings.items()},
    }


def facts_of(conf: Config, moments: Moments, train: Rows, valid: Rows, found: Findings) -> dict[str, Any]:
    """What the page shows."""
    settings = conf.selection
    sides = (("training", moments.training, train), ("validation", (moments.validation,), valid))
    return {
        "source": conf.source.name,
        "target": settings.target,
        "meaning": TARGETS[settings.target],
        "horizon_days": settings.horizon_days,
        "max_users": settings.max_users,
        "correlation_limit": settings.correlation,
        "variance": settings.variance,
        "rows": [
            {
                "what": what,
                "moments": [f"{moment:%Y-%m-%d}" for moment in at],
                "rows": len(rows.target),
                "mean": float(rows.target.mean()),
            }
            for what, at, rows in sides
        ],
        "command": conf.report_command,
        **as_facts(found),
    }


def written(conf: Config, selected: Selected, found: Findings, facts: dict[str, Any]) -> dict[str, Any]:
    """Writes the choice and the page; what the job says."""
    folder = Path(conf.report)
    choice, page = Path(conf.selection.path or folder / "features.selected.yaml"), folder / "features.html"
    write_selected(choice, selected)
    assert load_selected(choice) == selected
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(facts))
    return {
        "users": facts["rows"][1]["rows"],
        "features": len(found.choice.reasons),
        "kept": len(found.choice.kept),
        "components": len(found.components.weights),
        "r2_with_all": round(found.with_all.r2, 4),
        "r2_with_kept": round(found.with_kept.r2, 4),
        "choice": str(choice),
        "page": str(page),
    }


if __name__ == "__main__":
    run(select_features, leases=reader)
