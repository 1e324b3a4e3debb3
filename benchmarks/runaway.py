"""A robot among the visitors: millions of events of one user on one day, in a small memory: `make bench-runaway`.

Two users flood a lake of ordinary ones: one with active events, far more than the cap, one with passive ones, of which none
are capped. Sessionize and sequence then run in a heap of one gigabyte, once with a thousandth of the flood and once with all
of it. Shown are seconds, the memory of Spark and its Python together, and what became of the two.

    python -m benchmarks.runaway [MILLIONS]        5 million events of each where nothing is said
"""

import json
import shutil
import sys
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as f
from rich.console import Console
from rich.table import Table

from benchmarks.measured import measure, ready, take_heap
from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.lake import Lake

FOLDER = Path("var/bench/runaway")
HEAP_GB = 1
DAY = date(2026, 1, 2)
MIDNIGHT = datetime(2026, 1, 2)
ROBOT, MAILED, ITEMS, USERS, EVENTS_EACH = "robot", "mailed", 1000, 1000, 60


def main(millions: float) -> None:
    console = Console(highlight=False)
    page = Table(
        "events of each",
        "seconds",
        "CPU seconds",
        "memory, GB",
        "the robot's sessions",
        "the mailed one's sequence",
    )
    found = []
    for events in (round(millions * 1000), round(millions * 1e6)):
        console.print(f"two users with {events:,} events each among {USERS:,} others")
        shutil.rmtree(FOLDER, ignore_errors=True)
        took = measure([sys.executable, "-m", "benchmarks.runaway", "lake", str(events)])
        said = json.loads((FOLDER / "said.json").read_text())
        found.append({"events": events, **asdict(took), **said})
        counts = (str(said[name]) for name in ("sessions", "length"))
        page.add_row(
            f"{events:,}", f"{took.seconds:.1f}", f"{took.cpu_seconds:.1f}", f"{took.peak_gb:.2f}", *counts
        )
    console.print(page)
    (FOLDER.parent / "runaway.json").write_text(
        json.dumps({"heap_gb": HEAP_GB, "runs": found}, indent=1) + "\n"
    )
    console.print(f"written to {FOLDER.parent / 'runaway.json'}")


def in_a_lake(events: int) -> None:
    """Makes the lake, runs the two steps, and says what became of the two users."""
    from conf.load import load
    from features.sequences import SEQUENCES
    from features.sessions import SESSIONS
    from jobs.job import open_lake
    from jobs.sequence import sequence
    from jobs.sessionize import sessionize

    take_heap(HEAP_GB)
    (FOLDER / "raw").mkdir(parents=True)
    lines = [
        f"ds={DAY}",
        f"raw={FOLDER / 'raw'}",
        f"lake={FOLDER / 'lake'}",
        "source=plain",
        "privacy.ids=plain",
    ]
    conf = load(lines)
    lake = open_lake(conf, "benchmark")
    flood(lake, events)
    with ready():
        sessionize(conf, lake)
        sequence(conf, lake)
    [length] = lake.read(SEQUENCES).where(f.col("user_id") == MAILED).select("length").first() or [0]
    said = {"sessions": lake.read(SESSIONS).where(f.col("user_id") == ROBOT).count(), "length": length}
    (FOLDER / "said.json").write_text(json.dumps(said))
    lake.spark.stop()


def flood(lake: Lake, events: int) -> None:
    """One batch of events: those of the two, spread over a day, and those of the others."""
    number = f.col("id")
    rows = [
        as_events(lake.spark.range(events), f.lit(user), number / events, is_active)
        for user, is_active in ((ROBOT, True), (MAILED, False))
    ]
    whose = f.concat(f.lit("user"), (number % USERS).cast("string"))
    rows.append(as_events(lake.spark.range(USERS * EVENTS_EACH), whose, f.rand(7), True))
    for each in rows:
        lake.append(EVENTS, each, {})
    schema = INGESTED_FILES.schema
    empty: dict[str, Any] = {"string": "", "bigint": 1, "date": DAY}
    row = [empty[field.dataType.simpleString()] for field in schema]
    lake.append(INGESTED_FILES, lake.spark.createDataFrame([row], schema), {"batch": 1})


def as_events(numbers: DataFrame, user: Column, share_of_day: Column, is_active: bool) -> DataFrame:
    """One event a number."""
    item = f.concat(f.lit("item"), (f.col("id") % ITEMS).cast("string"))
    values = {
        "event_id": f.concat_ws("-", user, f.col("id").cast("string")),
        "user_id": user,
        "event_ts": f.timestamp_micros(
            (share_of_day * 86_400_000_000).cast("long") + f.unix_micros(f.lit(MIDNIGHT))
        ),
        "event_date": f.lit(DAY),
        "event_type": f.lit("view" if is_active else "mail"),
        "is_active": f.lit(is_active),
        "item_id": item,
        "attributes": f.expr("cast(map() as map<string,string>)"),
        "source": f.lit("plain"),
        "arrival_date": f.lit(DAY),
        "source_file": f.lit("flood.json"),
        "ingest_seq": f.col("id"),
        "batch": f.lit(1),
    }
    columns = EVENTS.columns
    return numbers.select(*(values.get(c.name, f.lit(None)).cast(c.data_type).alias(c.name) for c in columns))


if __name__ == "__main__":
    if sys.argv[1:2] == ["lake"]:
        in_a_lake(int(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 5)
