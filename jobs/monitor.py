"""Watch a night that is over: what models were given, what they said, and what became of what they had said before.

Reads the tables of the chain, `predictions` of the night and of the ones before, and the registry for the age of the model;
replaces the partition `ds`, `task` of `monitoring`, and draws the nights as one HTML page. A measure outside of its limits
ends it with exit code 4, when all that is written. Run again it finds the same, and writes nothing.

    spark-submit jobs/monitor.py ds=2017-12-28 task=next_item
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as f

from conf.schema import Config
from features.drift import Count, bins_of, compared, counted, stability, values
from features.events import EVENTS
from features.examples import end_of
from features.formats import SourceError
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake
from features.monitoring import ALL, DRIFT, FRESHNESS, MONITORING, VOLUME, Measure, breached, by_weekday
from features.predictions import PREDICTIONS
from features.quality import QUALITY
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.users import USERS
from features.watching import day_counts, newest_upto, steps, with_items, with_users
from jobs.files import put
from jobs.hindsight import outcomes
from jobs.job import Breached, InputError, run
from jobs.past_predictions import predicted
from models.registry import connect
from reports import monitor as pages


def monitor(conf: Config, lake: Lake) -> dict[str, Any]:
    try:
        found = measures(conf, lake)
    except SourceError as error:
        raise InputError(str(error)) from None
    is_new = keep(conf, lake, found)
    page = draw(conf, lake)
    broken = breached(found)
    counts: dict[str, Any] = {
        "passed": sum(each.passed is True for each in found),
        "breached": len(broken),
        "nothing_to_judge": sum(each.passed is None for each in found),
        "page": str(page),
    }
    for each in broken:
        print(f"monitor: breach: {each}", flush=True)
    if broken:
        told = "; ".join(map(str, broken))
        raise Breached(
            f"{len(broken)} of {len(broken) + counts['passed']} measures of {conf.ds} are outside of their limits: {told}. "
            f"Look at {page}; limits are keys of `monitor`"
        )
    if not counts["passed"]:
        counts["note"] = "nothing to judge yet: there are too few rows, or no nights before this one"
    elif not is_new:
        counts["note"] = "nothing has changed since it was watched"
    return counts


def measures(conf: Config, lake: Lake) -> list[Measure]:
    """Everything that is watched. Small queries that mostly wait for Spark to plan: they run side by side."""
    with ThreadPoolExecutor() as beside:
        parts = [beside.submit(part, conf, lake) for part in (drifts, outcomes, ages, volumes)]
        return [measure for part in parts for measure in part.result()]


def keep(conf: Config, lake: Lake, found: list[Measure]) -> bool:
    """Replaces the night's measures; false where they are there as they are."""
    mine = f"ds = '{conf.ds}' and task = '{conf.task.name}'"
    if {Measure(*row) for row in lake.read(MONITORING).where(mine).collect()} == set(found):
        return False
    rows = lake.spark.createDataFrame(found, MONITORING.schema)
    lake.replace_where(MONITORING, rows, mine, {"job": "monitor", "ds": conf.ds, "task": conf.task.name})
    return True


def draw(conf: Config, lake: Lake) -> Path:
    """The page of the newest nights of the task, of what is kept of them alone."""
    path = Path(conf.monitor.page or Path(conf.report) / f"monitor_{conf.task.name}.html")
    of_task = lake.read(MONITORING).where(f.col("task") == conf.task.name)
    newest = of_task.select("ds").distinct().orderBy(f.desc("ds")).limit(conf.monitor.page_nights)
    rows = [row.asDict() for row in of_task.join(newest, "ds").collect()]
    return put(path, pages.render(conf.task.name, rows, conf.monitor.shadow))


def drifts(conf: Config, lake: Lake) -> list[Measure]:
    """How far the newest days' behaviour, and this night's predictions, have moved from those before them."""
    asked, ds = conf.monitor, date.fromisoformat(conf.ds)
    answers, author = predicted(conf, lake, conf.task.name, ds)
    frames = inputs(conf, lake, ds) | {"predictions": compared(answers, "ds", ds, 1, asked.reference_days)}
    parts = [
        values(frame, expressions, "monitor.drift.{}.value")
        for of, frame in frames.items()
        if (expressions := {name: each.value for name, each in asked.drift.items() if each.of == of})
    ]
    counts: dict[str, list[Count]] = {}
    for row in counted(reduce(DataFrame.unionByName, parts)).collect() if parts else []:
        counts.setdefault(row.name, []).append(Count(*row))
    is_young = begun_after(lake, ds - timedelta(days=asked.days - 1 + asked.reference_days))
    found = []
    for name, each in asked.drift.items():
        bins = bins_of(counts.get(name, []))
        before, now = (sum(side) for side in zip(*bins, strict=True)) if bins else (0, 0)
        index = stability(bins) if min(before, now) >= asked.least_rows else None
        meaning = f"population stability index: {each.meaning}"
        measure = Measure(ds, conf.task.name, f"drift_{name}", ALL, DRIFT, meaning, index, rows=now)
        if each.of == "predictions":
            measure = measure._replace(**author)
        found.append(measure.held(upper=each.upper, is_enough=each.of == "predictions" or not is_young))
    return found


def begun_after(lake: Lake, day: date) -> bool:
    """Whether the shop is younger than what it would be held against: its users and items grow older each night."""
    (oldest,) = lake.read(SESSIONS).agg(f.min("start_date")).first()  # type: ignore[misc]
    return oldest is None or oldest > day


def inputs(conf: Config, lake: Lake, ds: date) -> dict[str, DataFrame]:
    """What drifts, by what it is of: rows of the newest days and of those before, with `is_reference`."""
    asked = conf.monitor
    sessions = compared(lake.read(SESSIONS), "start_date", ds, asked.days, asked.reference_days)
    events = sessions.select("is_reference", f.inline("events"))
    return {
        "sessions": sessions,
        "events": events,
        "users": with_users(sessions, lake.read(USERS)),
        "items": with_items(events, lake.read(ITEMS)),
        "sequences": compared(steps(lake.read(SEQUENCES)), "day", ds, asked.days, asked.reference_days),
    }


def ages(conf: Config, lake: Lake) -> list[Measure]:
    """Days from the newest record of each table to the end of the night, and from the end of the model's training."""
    end, ds = end_of(conf.ds), date.fromisoformat(conf.ds)
    mine = lake.read(PREDICTIONS).where(f.col("task") == conf.task.name)
    day_after = {name: f.date_add(name, 1) for name in ("arrival_date", "ds")}
    records = {
        "ingested_files": (lake.read(INGESTED_FILES), day_after["arrival_date"]),
        "events": (lake.read(EVENTS), f.col("event_ts")),
        "sessions": (lake.read(SESSIONS), f.col("end_ts")),
        "users": (lake.read(USERS), f.col("last_seen")),
        "sequences": (lake.read(SEQUENCES), f.element_at("timestamps", -1)),
        "items": (lake.read(ITEMS), f.col("last_seen")),
        "predictions": (mine, day_after["ds"]),
        "quality": (lake.read(QUALITY), day_after["ds"]),
    }
    wanted = {name: newest_upto(*records[name], end) for name in conf.monitor.freshness if name in records}
    newest = {row.name: row.newest for row in named(wanted)}
    author: dict[str, Any] = {}
    if "champion" in conf.monitor.freshness:
        _, author = predicted(conf, lake, conf.task.name, ds)
        newest["champion"] = trained_upto(conf, author.get("model_version"))
    found = []
    for name, upper in conf.monitor.freshness.items():
        meaning = (
            "days from the end of its training's data"
            if name == "champion"
            else "days since its newest record"
        )
        measure = Measure(
            ds,
            conf.task.name,
            f"freshness_{name}",
            ALL,
            FRESHNESS,
            meaning,
            days_before(end, newest.get(name)),
        )
        found.append(measure._replace(**(author if name == "champion" else {})).held(upper=upper))
    return found


def trained_upto(conf: Config, version: int | None) -> datetime | None:
    """The moment before which what a version was trained on lies; none where nobody knows the version."""
    if version is None:
        return None
    registry = connect(conf.registry, conf.artifacts)
    tags = [each.tags for each in registry.versions(conf.task.name) if each.version == version]
    return datetime.fromisoformat(tags[0]["as_of"]) if tags and "as_of" in tags[0] else None


def days_before(end: datetime, moment: datetime | None) -> float | None:
    """Days from a moment, UTC, to the end of a night."""
    if moment is None:
        return None
    return (end.replace(tzinfo=None) - moment.replace(tzinfo=None)) / timedelta(days=1)


def volumes(conf: Config, lake: Lake) -> list[Measure]:
    """The rows of the night's day, by the mean of the same weekday of the weeks before."""
    asked, ds = conf.monitor, date.fromisoformat(conf.ds)
    first_seen = f.to_date("first_seen")
    days = {
        "ingested_files": (lake.read(INGESTED_FILES), f.col("arrival_date"), "sum(records)"),
        "events": (lake.read(EVENTS), f.col("event_date"), "count(*)"),
        "sessions": (lake.read(SESSIONS), f.col("start_date"), "count(*)"),
        "new_users": (lake.read(USERS), first_seen, "count(*)"),
        "new_items": (lake.read(ITEMS).where("first_seen is not null"), first_seen, "count(*)"),
        "predictions": (
            lake.read(PREDICTIONS).where(f.col("task") == conf.task.name),
            f.col("ds"),
            "count(*)",
        ),
    }
    counts: dict[str, dict[date, int]] = {}
    wanted = {
        name: day_counts(rows, day, ds, asked.weeks, count)
        for name in asked.volume
        for rows, day, count in [days[name]]
    }
    for row in named(wanted):
        counts.setdefault(row.name, {})[row.day] = row.rows
    found = []
    for name, limits in asked.volume.items():
        rows, mean = by_weekday(counts.get(name, {}), ds, asked.weeks)
        ratio = rows / mean if mean else None
        meaning = "rows of the night's day, by the mean of that weekday before"
        measure = Measure(ds, conf.task.name, f"volume_{name}", ALL, VOLUME, meaning, ratio, mean, rows=rows)
        found.append(
            measure.held(limits.lower, limits.upper, is_enough=max(rows, mean or 0) >= asked.least_rows)
        )
    return found


def named(frames: Mapping[str, DataFrame]) -> list[Row]:
    """The rows of all frames, which have the same columns, each with the `name` of its own: one Spark action."""
    told = [frame.withColumn("name", f.lit(name)) for name, frame in frames.items()]
    return reduce(DataFrame.unionByName, told).collect() if told else []


if __name__ == "__main__":
    run(monitor)
