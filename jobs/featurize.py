"""Compute what users and items are like as of the end of a night.

Reads `sessions` and the categories of `items`; replaces the partition `ds` of `user_features`, `item_features` and
`user_item_features`. The night may be the newest or one long past: nothing that happened after it is looked at. Safe to
run again.

    spark-submit jobs/featurize.py ds=2017-12-28 lake=var/demo/lake
"""

from datetime import UTC, datetime
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import end_of
from features.feature import Family
from features.history import history, pairs
from features.item_features import ITEM_FEATURES, item_features
from features.items import ITEMS
from features.lake import Lake
from features.sessions import SESSIONS
from features.user_features import USER_FEATURES, user_features
from features.user_item_features import USER_ITEM_FEATURES, user_item_features
from jobs.job import InputError, run
from jobs.people import sessions_as_of


def featurize(conf: Config, lake: Lake) -> dict[str, Any]:
    as_of = end_of(conf.ds)
    versions = {table.name: lake.version(table) for table in (SESSIONS, ITEMS)}
    sessions = sessions_as_of(conf, lake, as_of, versions["sessions"])
    items = lake.read(ITEMS, versions["items"])
    check_begun(sessions, as_of, "ds")
    past = history(sessions, as_of, conf.source).persist(StorageLevel.DISK_ONLY)
    known = pairs(past).persist(StorageLevel.DISK_ONLY)
    made = (
        (USER_FEATURES, user_features(past, items, known)),
        (ITEM_FEATURES, item_features(past, items, known)),
        (USER_ITEM_FEATURES, user_item_features(past, known)),
    )
    facts = {"job": "featurize", "ds": conf.ds, "as_of": as_of.isoformat(), "tables": versions}
    seen = past.agg(*(f.count_distinct(*family.entity) for family, _ in made)).first()
    counts = {
        family.name: write(conf, lake, family, rows, entities, facts)
        for (family, rows), entities in zip(made, seen, strict=True)  # type: ignore[arg-type]
    }
    for frame in (past, known):
        frame.unpersist()
    return counts


def check_begun(sessions: DataFrame, moment: datetime, key: str) -> None:
    """Refuses a moment before which nothing happened."""
    (oldest,) = sessions.agg(f.min("start_ts")).first()  # type: ignore[misc]
    if oldest is None:
        raise InputError("there are no sessions yet: run ingest and sessionize first")
    if oldest.astimezone(UTC) >= moment:
        raise InputError(
            f"no sessions before {moment:%Y-%m-%d}: the oldest begins on {oldest:%Y-%m-%d}, set {key} later"
        )


def write(conf: Config, lake: Lake, family: Family, rows: DataFrame, seen: int, facts: dict[str, Any]) -> int:
    """Replaces the night's partition of a family's table; refuses to where one of `seen` entities was lost or doubled."""
    rows = rows.withColumn("ds", f.lit(conf.ds).cast("date")).persist(StorageLevel.DISK_ONLY)
    made, entities = rows.agg(f.count("*"), f.count_distinct(*family.entity)).first()  # type: ignore[misc]
    if not seen == made == entities:
        raise AssertionError(
            f"{family.name} must have one row for each of {seen} entities: {made} rows of {entities}"
        )
    lake.replace_where(family.table, rows, f"ds = '{conf.ds}'", facts | {"rows": made})
    rows.unpersist()
    return made


if __name__ == "__main__":
    run(featurize)
