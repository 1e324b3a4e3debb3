"""Sort users into groups by what a model knows of them, and say what sets each group apart.

Reads the histories of users as of the end of `ds`, and the champion of the task, where that has no vectors the challenger,
else the newest encoder that was pretrained on the task's examples. Replaces the partition `ds` of `user_groups`; writes
segments.json into `report`: the groups, how far they are those of the night before, and how much of what users spent in the
last `groups.horizon_days` is explained by groups as of before these, beside fifths of recency, frequency and money.

    spark-submit jobs/group_users.py ds=2017-12-28 task=next_item
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import end_of
from features.history import history
from features.items import ITEMS
from features.lake import Lake
from features.parts import whole
from features.questions import histories
from features.user_groups import USER_GROUPS, bought_by_group, names_of
from features.users import users
from jobs.files import put_json
from jobs.job import InputError, run, settled
from jobs.people import sessions_as_of
from models.metrics import mean_and_interval
from models.metrics.groups import adjusted_rand, carried_on, explained, fifths
from models.registry import CHALLENGER, CHAMPION, Registry, Version, connect
from models.similar_items import has_vectors
from models.user_vectors import NEAREST_SCHEMA, VECTORS_SCHEMA, grouped, nearest, user_vectors
from models.warm_start import encoders_of


@dataclass(frozen=True)
class Groups:
    """Users in groups, as of a moment."""

    rows: DataFrame  # user_id, user_group, cosine
    middles: np.ndarray  # (groups, width)
    fits: dict[int, float]  # number of groups -> how well it fits


def group_users(conf: Config, lake: Lake) -> dict[str, Any]:
    registry = connect(conf.registry, conf.artifacts)
    version = with_vectors(registry, conf.task.name)
    path = registry.saved_model_path(version)
    as_of = end_of(conf.ds)
    sessions = settled(sessions_as_of(conf, lake, as_of))
    groups = groups_of(conf, lake, sessions, as_of, path)
    numbers, agreement = since_the_night_before(conf, lake, groups)
    renumbered = f.element_at(f.array(*map(f.lit, numbers.tolist())), f.col("user_group") + 1)
    rows = settled(groups.rows.withColumn("user_group", renumbered.cast("int")))
    sizes = {row.user_group: row["count"] for row in rows.groupBy("user_group").count().collect()}
    past = history(sessions, as_of, conf.source)
    bought = bought_by_group(rows, past, lake.read(ITEMS)).collect()
    names = names_of([tuple(row) for row in bought], sizes)
    named = lake.spark.createDataFrame(sorted(names.items()), "user_group int, name string")
    said = {"ds": f.lit(conf.ds).cast("date"), "model": f.lit(version.tags["model"])}
    written = (
        rows.join(f.broadcast(named), "user_group")
        .withColumns(said | {"model_version": f.lit(version.version)})
        .select(*(column.name for column in USER_GROUPS.columns))
    )
    facts = {"job": "group_users", "ds": conf.ds, "model_version": version.version, "groups": len(sizes)}
    lake.replace_where(USER_GROUPS, written, f"ds = '{conf.ds}'", facts)
    told: dict[str, Any] = {
        "ds": conf.ds,
        "model": f"{version.task} v{version.version}, {version.tags['model']}",
        "users": sum(sizes.values()),
        "groups": [{"group": g, "users": sizes[g], "name": names[g]} for g in sorted(sizes)],
        "silhouette": groups.fits,
        "adjusted_rand": agreement,
        **spending(conf, lake, version, path, past),
    }
    place = put_json(Path(conf.report) / "segments.json", told)
    shown = ("users", "adjusted_rand", "explained", "explained_by_rfm", "note")
    return (
        {"groups": len(sizes)} | {name: told[name] for name in shown if name in told} | {"file": str(place)}
    )


def with_vectors(registry: Registry, task: str) -> Version:
    """The champion, the challenger, or the newest pretrained encoder: the first that has a vector for a history."""
    candidates = (registry.by_alias(task, CHAMPION), registry.by_alias(task, CHALLENGER))
    for version in (*candidates, *registry.versions(encoders_of(task))[::-1]):
        if version and has_vectors(registry.saved_model_path(version)):
            return version
    raise InputError(
        f"neither champion nor challenger of {task} has vectors of users, and {encoders_of(task)} has no version: "
        f"pretrain an encoder (jobs/pretrain.py task={task})"
    )


def groups_of(conf: Config, lake: Lake, sessions: DataFrame, as_of: datetime, path: str) -> Groups:
    """Groups made from `groups.sampled` users at most, whose vectors the driver holds, and every user's among them."""
    asked = conf.groups
    known = histories(sessions, lake.read(ITEMS), as_of, conf)
    vectors = settled(known.mapInArrow(partial(user_vectors, model_path=path), VECTORS_SCHEMA))
    few = vectors.orderBy(f.xxhash64("user_id"), "user_id").limit(asked.sampled).toArrow()
    if len(few) <= asked.most:
        raise InputError(f"{len(few)} users have a history, expected more than groups.most={asked.most}")
    sample = np.stack(few["vector"].to_numpy())
    middles, fits = grouped(sample, asked.least, asked.most, asked.seed)
    rows = vectors.mapInArrow(partial(nearest, middles=middles), NEAREST_SCHEMA)
    return Groups(settled(rows), middles, fits)


def since_the_night_before(conf: Config, lake: Lake, groups: Groups) -> tuple[np.ndarray, float | None]:
    """The number of each group, and how far the groups agree with those of the newest night before; None: there is none."""
    count = len(groups.middles)
    if not lake.exists(USER_GROUPS):
        return np.arange(count), None
    before = lake.read(USER_GROUPS).where(f.col("ds") < f.lit(conf.ds).cast("date"))
    (newest,) = before.agg(f.max("ds")).first()  # type: ignore[misc]
    if newest is None:
        return np.arange(count), None
    then = before.where(f.col("ds") == f.lit(newest)).select("user_id", f.col("user_group").alias("was"))
    cells = groups.rows.join(then, "user_id").groupBy("user_group", "was").count().collect()
    table = np.zeros((count, max((cell.was for cell in cells), default=0) + 1), int)
    for cell in cells:
        table[cell.user_group, cell.was] = cell["count"]
    return carried_on(table), round(adjusted_rand(table), 4)


def spending(conf: Config, lake: Lake, version: Version, path: str, past: DataFrame) -> dict[str, Any]:
    """What groups as of `groups.horizon_days` ago tell of the money spent since, beside fifths of what RFM has.

    past  the history as of the end of `ds`

    Half of the users, by a hash of who they are, teach each group's mean; the others measure it.
    """
    days = conf.groups.horizon_days
    moment = end_of(conf.ds) - timedelta(days=days)
    if datetime.fromisoformat(version.tags["as_of"]) > moment:
        return {
            "note": f"the model has seen days behind {moment:%Y-%m-%d}: what groups tell of spending is not measured"
        }
    sessions = settled(sessions_as_of(conf, lake, moment))
    groups = groups_of(conf, lake, sessions, moment, path).rows
    later = past.where(f.col("days_ago") <= days)
    spent = later.where("bought").groupBy("user_id").agg(whole(f.sum("money")).alias("spent"))
    known = users(sessions, moment, conf.features.user_buckets).select(
        "user_id", f.unix_micros("last_seen").alias("recency"), "session_count", "amount"
    )
    is_held = f.pmod(f.xxhash64(f.lit("held"), "user_id"), f.lit(2)) == 1
    rows = groups.join(known, "user_id").join(spent, "user_id", "left").select(
        "user_group", "recency", "session_count", f.coalesce("amount", f.lit(0.0)).alias("amount"),
        f.coalesce("spent", f.lit(0.0)).alias("spent"), is_held.alias("is_held"),
    )  # fmt: skip
    found = rows.toArrow().to_pandas()
    held, amount = found["is_held"].to_numpy(), found["spent"].to_numpy(np.float64)
    rfm = sum(
        fifths(found[name].to_numpy()) * 5**place
        for place, name in enumerate(("recency", "session_count", "amount"))
    )
    ours, theirs = (explained(each, amount, held) for each in (found["user_group"].to_numpy(), rfm))
    more = (theirs.errors - ours.errors) / ours.variance
    limits = conf.promote
    interval = mean_and_interval(more, limits.resamples, limits.confidence, limits.seed)
    return {
        "horizon_days": days,
        "explained": round(ours.share, 4),
        "explained_by_rfm": round(theirs.share, 4),
        "difference": interval._asdict(),
        "measured_on": int(held.sum()),
    }


if __name__ == "__main__":
    run(group_users)
