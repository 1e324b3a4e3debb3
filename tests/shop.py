"""A small shop, typed in: rows of events for transforms, raw files for jobs."""

import gzip
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from features.events import EVENTS

DAY = date(2026, 11, 2)


def at(clock: str, day: date = DAY) -> datetime:
    """`at("10:00:01")` on the day of the tests."""
    return datetime.fromisoformat(f"{day.isoformat()} {clock}")


def event(user: str, clock: str | datetime, event_id: str, **more: Any) -> dict[str, Any]:
    """One row of `events`: a purchase, unless told otherwise."""
    time = at(clock) if isinstance(clock, str) else clock
    row = {
        "event_id": event_id,
        "user_id": user,
        "event_ts": time,
        "event_date": time.date(),
        "event_type": "purchase",
        "is_active": True,
        "item_id": None,
        "quantity": 1.0,
        "amount": 1.0,
        "channel": None,
        "attributes": {},
        "source": "plain",
        "arrival_date": time.date(),
        "source_file": "file",
        "ingest_seq": 0,
        "batch": 1,
    }
    return row | more


def events(spark: SparkSession, *rows: dict[str, Any]) -> DataFrame:
    return spark.createDataFrame([tuple(row[c.name] for c in EVENTS.columns) for row in rows], EVENTS.schema)


def line(
    user: str | None, time: str, event_id: str, event_type: str = "purchase", **more: Any
) -> dict[str, Any]:
    """One raw record of the plain format."""
    record = {"event_id": event_id, "user_id": user, "event_ts": time, "event_type": event_type, **more}
    return {name: value for name, value in record.items() if value is not None}


def write_log(raw: Path, ds: str, *lines: dict[str, Any] | str, name: str = "events.json.gz") -> Path:
    """Lands one file of the plain format under its arrival date; a string is written as it is."""
    path = raw / "events" / ds / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    path.write_bytes(gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode())
    return path


def rows_of(frame: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows as sorted tuples, to compare tables by."""
    return sorted((tuple(row) for row in frame.select(*(columns or frame.columns)).collect()), key=repr)
