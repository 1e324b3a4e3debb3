"""What the report says of groups of users, and of which items they are shown."""

from typing import Any

import numpy as np
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import end_of
from features.fairness import exposure, memberships, scores_by_group
from features.items import ITEMS
from features.labels import groups_of, past_views
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.promotions import PROMOTIONS, newest
from features.users import USERS
from jobs.groups import NEW_DAYS
from jobs.labelled import seen_as_of
from models.metrics.lists import gini_of, long_tail


def fairness(conf: Config, lake: Lake) -> dict[str, Any]:
    return {"tasks": decided(lake), "scores": spread(conf, lake), "exposure": shown(conf, lake)}


def decided(lake: Lake) -> list[dict[str, Any]]:
    """Of each task the champion's metric by group, and the guards of the newest decision, as the ledger has them."""
    found: dict[str, dict[str, Any]] = {}
    for row in newest(lake.read(PROMOTIONS)).orderBy("decided_at", "request_id").collect():
        who = (
            (row.challenger, row.challenger_version) if row.promoted else (row.champion, row.champion_version)
        )
        if groups := [each for each in row.groups or () if (each.model, each.version) == who]:
            found.setdefault(row.task, {"task": row.task, "guards": []}).update(
                model=f"{who[0]} v{who[1]}",
                metric=row.metric,
                as_of=row.ds.isoformat(),
                groups=[each.asDict() for each in groups],
            )
        if row.task in found and row.guards:
            found[row.task]["guards"] = [each.asDict() for each in row.guards]
    return list(found.values())


def spread(conf: Config, lake: Lake) -> list[dict[str, Any]]:
    """How tonight's scores are spread in groups of users, task by task."""
    as_of = end_of(conf.ds)
    groups = memberships(lake.read(USERS), as_of, NEW_DAYS)
    if conf.promote.groups:
        views = past_views(*seen_as_of(conf, lake, as_of), as_of, conf)
        for name, sql in conf.promote.groups.items():
            named = f.concat(f.lit(f"{name}: "), "user_group").alias("user_group")
            groups = groups.unionByName(groups_of(views, name, sql).select("user_id", named))
    tonight = lake.read(PREDICTIONS).where(f.col("ds") == conf.ds)
    return [row.asDict() for row in scores_by_group(tonight, groups).collect()]


def shown(conf: Config, lake: Lake) -> dict[str, Any]:
    """How unequally items are shown tonight, and how much of that is of the long tail; nothing of a task without lists."""
    mine = (f.col("ds") == conf.ds) & (f.col("task") == conf.task.name)
    lists = lake.read(PREDICTIONS).where(mine & f.col("ids").isNotNull())
    found = exposure(lists, lake.read(ITEMS).where("session_count > 0")).toArrow()
    times, sessions = (found[name].to_numpy() for name in ("times", "session_count"))
    if conf.task.label or not times.sum():
        return {}
    is_tail = long_tail(sessions)
    return {
        "task": conf.task.name,
        "items": len(times),
        "shown": int(np.count_nonzero(times)),
        "gini": gini_of(times),
        "tail_items": int(is_tail.sum()),
        "tail_share": float(times[is_tail].sum() / times.sum()),
        "tail_share_of_sessions": float(sessions[is_tail].sum() / sessions.sum()),
    }
