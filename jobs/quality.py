"""Hold what a night made against what is expected of it.

Reads, of each table, what the night can have changed; replaces the partition `ds` of `quality`. A breach that is marked
`stop` ends it with exit code 3, and keeps training and scoring from running until a later check finds it put right or
`quality.override=true` lets it pass: the batches that brought it are looked at again until then.

    spark-submit jobs/quality.py ds=2017-12-28 lake=var/demo/lake
"""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import date, timedelta
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Expectation
from features.batches import Batches, events_of, events_upto, last_batch
from features.drift import Count, bins_of, compared, counted, stability, values
from features.events import EVENTS
from features.formats import SourceError
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Facts, Lake
from features.quality import QUALITY, STOP, Seen, breaches, observed, seen
from features.sequences import SEQUENCES
from features.sessions import SESSIONS, on_days
from features.table import Table
from features.user_features import USER_FEATURES
from features.users import USERS
from jobs.job import InputError, run
from jobs.trust import trusted

LOOKED_AT = (INGESTED_FILES, EVENTS, SESSIONS, USERS, ITEMS, SEQUENCES, USER_FEATURES.table)


def quality(conf: Config, lake: Lake) -> dict[str, Any]:
    before = lake.facts(QUALITY)
    batches = unjudged(lake, conf.ds, before)
    if not batches and conf.ds < before.get("ds", ""):
        return trusted(conf, before) | {"note": f"nothing has arrived since {before['ds']} was checked"}
    state = state_of(conf, lake, batches)
    if before.get("state") == state:
        return trusted(conf, before) | {"note": "nothing has changed since it was checked"}
    try:
        found = all_seen(conf, lake, batches)
    except SourceError as error:
        raise InputError(str(error)) from None
    broken = breaches(found)
    for each in broken:
        print(f"quality: {each.severity}: {each}", flush=True)
    stopped = [str(each) for each in broken if each.severity == STOP]
    facts = {"job": "quality", "ds": conf.ds, "state": state, "stopped": stopped, **batches.facts()}
    facts["overridden"] = bool(stopped) and conf.quality.override
    rows = lake.spark.createDataFrame(found, QUALITY.schema)
    lake.replace_where(QUALITY, rows, f"ds = '{conf.ds}'", facts)
    counts = {
        "passed": sum(each.passed is True for each in found),
        "warned": len(broken) - len(stopped),
        "stopped": len(stopped),
        "nothing_to_judge": sum(each.passed is None for each in found),
    }
    return counts | trusted(conf, facts)


def all_seen(conf: Config, lake: Lake, batches: Batches) -> list[Seen]:
    """What was seen of every expectation. Three small queries that mostly wait for Spark to plan: they run side by side."""
    with ThreadPoolExecutor() as beside:
        parts = (
            beside.submit(expectations, conf, lake, batches),
            beside.submit(drifts, conf, lake),
            beside.submit(feature_drifts, conf, lake),
        )
        return [each for part in parts for each in part.result()]


def unjudged(lake: Lake, ds: str, before: Facts) -> Batches:
    """The batches that came since those that passed; of the same night run again, its own."""
    again = before.get("ds") == ds or (before.get("stopped") and not before["overridden"])
    return Batches(before.get("batches_after" if again else "batches_upto", 0), last_batch(lake))


def state_of(conf: Config, lake: Lake, batches: Batches) -> dict[str, Any]:
    """All that decides what a check says."""
    asked = json.dumps(asdict(conf.quality), sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
    versions = {table.name: lake.version(table) for table in LOOKED_AT}
    return {"ds": conf.ds, "asked": digest, **batches.facts(), "versions": versions}


def expectations(conf: Config, lake: Lake, batches: Batches) -> list[Seen]:
    """Every expectation, each table's in one pass, all in one Spark action."""
    wanted: dict[str, dict[str, Expectation]] = {}
    for name, each in conf.quality.expect.items():
        wanted.setdefault(each.table, {})[name] = each
    if not wanted:
        return []
    frames = changed_rows(conf, lake, batches)
    passes = (observed(table, frames[table], expected) for table, expected in wanted.items())
    ds = date.fromisoformat(conf.ds)
    return [
        seen(ds, row.table, name, value, row.rows, expected)
        for row in reduce(DataFrame.unionByName, passes).collect()
        for (name, expected), value in zip(wanted[row.table].items(), row["values"], strict=True)
    ]


def changed_rows(conf: Config, lake: Lake, batches: Batches) -> dict[str, DataFrame]:
    """Table -> the rows that `batches` can have changed.

    ingested_files   those that arrived in the trailing days up to the night, and new ones: `days_ago`, `is_new`
    events           those of the days on which new events lie: `is_new`
    sessions         those that have a part on these days
    users            those last seen on these days or later
    items, sequences all, as each night writes them whole
    """
    ds = f.lit(conf.ds).cast("date")
    is_new = (f.col("batch") > batches.after) & (f.col("batch") <= batches.upto)
    found = events_of(lake, batches).select("event_date").distinct().collect()
    days = [row.event_date for row in found]
    first = min(days, default=date.fromisoformat(conf.ds) + timedelta(days=1))
    files = lake.read(INGESTED_FILES).withColumns(
        {"days_ago": f.date_diff(ds, f.col("arrival_date")), "is_new": is_new}
    )
    return {
        "ingested_files": files.where((f.col("days_ago") <= conf.quality.trailing_days) | f.col("is_new")),
        "events": events_upto(lake, batches.upto)
        .where(f.col("event_date").isin(days))
        .withColumn("is_new", is_new),
        "sessions": on_days(lake.read(SESSIONS), days),
        "users": lake.read(USERS).where(f.col("last_seen") >= f.lit(first)),
        "items": lake.read(ITEMS),
        "sequences": lake.read(SEQUENCES),
    }


def drifts(conf: Config, lake: Lake) -> list[Seen]:
    """How far the sessions of the newest days have moved from those before them."""
    asked, ds = conf.quality, date.fromisoformat(conf.ds)
    if not asked.drift:
        return []
    sessions = compared(lake.read(SESSIONS), "start_date", ds, asked.drift_days, asked.reference_days)
    frames = {"sessions": sessions, "events": sessions.select("is_reference", f.inline("events"))}
    found = [
        values(frame, expressions, "quality.drift.{}.value")
        for of, frame in frames.items()
        if (expressions := {name: each.value for name, each in asked.drift.items() if each.of == of})
    ]
    limits = {
        name: Expectation(upper=each.upper, severity=each.severity, meaning=each.meaning)
        for name, each in asked.drift.items()
    }
    return held_against(conf, SESSIONS, reduce(DataFrame.unionByName, found), limits)


def feature_drifts(conf: Config, lake: Lake) -> list[Seen]:
    """How far each feature of users has moved from the nights before, where it was made on this one and on some of them."""
    table, ds = USER_FEATURES.table, date.fromisoformat(conf.ds)
    if not lake.exists(table):
        return []
    nights = compared(lake.read(table), "ds", ds, 1, conf.quality.reference_days)
    taken = {each.name: each for each in USER_FEATURES.features if each.to_model is not None}
    limits = {
        name: Expectation(upper=conf.quality.feature_upper, meaning=each.meaning)
        for name, each in taken.items()
    }
    return held_against(conf, table, values(nights, {name: f"`{name}`" for name in taken}, "{}"), limits)


def held_against(conf: Config, table: Table, found: DataFrame, limits: dict[str, Expectation]) -> list[Seen]:
    """The index of each feature in `limits`; none to judge with too few values on either side."""
    counts: dict[str, list[Count]] = {}
    for row in counted(found).collect():
        counts.setdefault(row.name, []).append(Count(*row))
    told = []
    for name, limit in limits.items():
        bins = bins_of(counts.get(name, []))
        reference, now = (sum(side) for side in zip(*bins, strict=True)) if bins else (0, 0)
        index = stability(bins) if min(reference, now) >= conf.quality.least_rows else None
        said = replace(limit, meaning=f"population stability index: {limit.meaning}")
        told.append(seen(date.fromisoformat(conf.ds), table.name, f"drift_{name}", index, now, said))
    return told


if __name__ == "__main__":
    run(quality)
