"""Simulate a shop: write its logs, of any size, and beside them the truth about them.

Writes below `raw`, a folder that driver and executors see alike,

    events/<YYYY-MM-DD>/<block>-<n>.json.gz     the records that arrive on a day, to be read by `source=simulated`
    items/items.json.gz                         the catalogue
    identities/<YYYY-MM-DD>/<block>.json.gz     who logs in for the first time: anonymous id, user id, from when
    truth/<table>/*.parquet                     what is known of it all, and what the lake must hold in the end

Users are split into blocks. A task makes one block's records of one day from the seed alone: tasks need nothing of each
other, so that the bytes do not depend on how many run at once, and memory does not grow with the shop. Safe to run again,
and after a kill: what is there is left as it is. A folder that holds anything else is refused.

    spark-submit jobs/simulate.py raw=var/sim/raw simulate.events=1000000 simulate.days=90 simulate.seed=7
    spark-submit jobs/simulate.py raw=var/year/raw simulate=year

docs/simulator.md says what is in it.
"""

import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from conf.load import load
from conf.schema import Config
from features.lake import Lake
from features.table import Table
from features.world import truth
from features.world.behaviour import Outcome
from features.world.lines import catalogue
from features.world.part import block_of, make_part
from features.world.shape import World
from features.world.size import world_of
from jobs import files
from jobs.job import InputError, reader, run

RELEASE = 2  # of what a seed comes to: raised with every change of it
MARK = "_simulated.json"
FACTS = b"footfall.simulated"  # in a Parquet footer
COMPRESSION = 1  # gzip's fastest
Task = tuple[int, int]
"""Block and day."""


def simulate(conf: Config, lake: Lake) -> dict[str, Any]:
    raw, world, began = folder_of(conf), shop_of(conf), time.monotonic()
    claim(raw, world)
    tasks = [(block, day) for block in range(world.blocks) for day in range(world.days)]
    missing = [task for task in tasks if facts_of(raw, world, task) is None]
    without_users = [block for block in range(world.blocks) if not users_file(raw, block).exists()]
    spread(lake.spark, partial(write_users, raw, world), without_users)
    spread(lake.spark, partial(write_part, raw, world), missing)
    counts = write_sums(raw, world, tasks)
    if not missing:
        return {"note": f"{raw} holds this shop already"} | counts
    rate = counts["records"] * len(missing) / len(tasks) / (time.monotonic() - began)
    return (
        {"raw": raw, "users": world.people, "bots": world.bots} | counts | {"records_per_second": round(rate)}
    )


def folder_of(conf: Config) -> Path:
    """The folder to write to; the default, which is the demo's, is never meant."""
    if conf.raw == load([]).raw:
        raise InputError(f"raw is {conf.raw}, the demo's folder: give raw= a folder of this shop's own")
    if "://" in conf.raw:
        raise InputError(
            f"raw must be a folder that driver and executors see alike, got {conf.raw}: give a path"
        )
    return Path(conf.raw).absolute()


def shop_of(conf: Config) -> World:
    try:
        return world_of(conf.simulate, conf.features)
    except ValueError as error:
        raise InputError(str(error)) from None


def claim(raw: Path, world: World) -> None:
    """Marks the folder as this shop's. Refuses one that holds something else, another shop among it."""
    mark, wanted = raw / MARK, description(world)
    if mark.exists():
        held = json.loads(mark.read_text())
        differ = [
            f"{key}={held.get(key)} (now {value})" for key, value in wanted.items() if held.get(key) != value
        ]
        if differ:
            raise InputError(f"{raw} holds another shop, with {', '.join(differ)}: give raw= a new folder")
        return
    others = [path.name for path in raw.glob("*") if path != files.beside(mark)] if raw.exists() else []
    if others:
        raise InputError(f"{raw} holds other data ({min(others)}): give raw= a new folder")
    put(mark, json.dumps(wanted, indent=1).encode() + b"\n")


def description(world: World) -> dict[str, Any]:
    """All that the bytes depend on."""
    rules = {
        "release": RELEASE,
        "features.session_gap_milliseconds": world.gap,
        "features.late_days": world.late_days,
        "features.max_events_per_user_day": world.most_events,
    }
    return rules | {f"simulate.{key}": value for key, value in asdict(world.conf).items()}


def spread(
    spark: SparkSession, write: Callable[[Any], None], tasks: Sequence[Any], slices: int | None = None
) -> None:
    """Runs `write` for each of the tasks, on whatever cores Spark has."""
    if tasks:
        spark.sparkContext.parallelize(tasks, slices or len(tasks)).foreach(write)


def write_part(raw: Path, world: World, task: Task) -> None:
    """Writes a block's records of a day and their truth; its sessions come last: where they are, all is there."""
    block, day = task
    part, ds = make_part(world, block, day), world.date(day).isoformat()
    pieces = cut(part.lines, world.conf.lines_per_file)
    contents = {
        f"events/{ds}/{block:05}-{number}.json.gz": gzipped(piece) for number, piece in enumerate(pieces)
    }
    if part.logins:
        contents[f"identities/{ds}/{block:05}.json.gz"] = gzipped(json_lines(part.logins))
    for name, content in contents.items():
        put(raw / name, content)
    put_table(raw, truth.JOINED_SESSIONS, f"{ds}-{block:05}", part.joined_sessions)
    facts = part.facts | {"files": {name: len(content) for name, content in contents.items()}}
    told = part.sessions.replace_schema_metadata({FACTS: json.dumps(facts).encode()})
    put_table(raw, truth.TRUE_SESSIONS, f"{ds}-{block:05}", told)


def facts_of(raw: Path, world: World, task: Task) -> dict[str, Any] | None:
    """What `write_part` counted; None where it has not been done, or a file of logs is gone."""
    block, day = task
    path = raw / truth.TRUE_SESSIONS.name / f"{world.date(day)}-{block:05}.parquet"
    if not path.exists():
        return None
    facts = json.loads(pq.read_schema(path).metadata[FACTS])
    there = all(_size(raw / name) == size for name, size in facts["files"].items())
    return facts if there else None


def write_users(raw: Path, world: World, block: int) -> None:
    put_table(raw, truth.TRUE_USERS, f"{block:05}", truth.users_table(world, block_of(world, block).users))


def users_file(raw: Path, block: int) -> Path:
    return raw / truth.TRUE_USERS.name / f"{block:05}.parquet"


def write_sums(raw: Path, world: World, tasks: Sequence[Task]) -> dict[str, int]:
    """Writes what is known of the shop as a whole; returns how much of everything there is."""
    told = {task: facts_of(raw, world, task) for task in tasks}
    lost = [task for task, facts in told.items() if facts is None]
    if lost:
        raise InputError(f"{len(lost)} files below {raw} went while others were written: run this again")
    disorder: Counter[tuple[int, str, str]] = Counter()
    arms: Counter[tuple[int, int]] = Counter()
    outcomes = []
    for (_, day), facts in told.items():
        assert facts is not None
        disorder.update({(day, kind, outcome): many for kind, outcome, many in facts["records"]})
        outcomes += [Outcome(**facts["outcome"])] if facts["outcome"] else []
        arms.update({(campaign, arm): many for campaign, arm, many in facts["arms"]})
    put(raw / "items" / "items.json.gz", gzipped(json_lines(catalogue(world))))
    put_table(raw, truth.TRUE_ITEMS, "items", truth.items_table(world))
    put_table(raw, truth.TRUE_PROMOTIONS, "promotions", truth.promotions_table(world))
    put_table(raw, truth.TRUE_CAMPAIGNS, "campaigns", truth.campaigns_table(world, outcomes, arms))
    put_table(raw, truth.TRUE_ADS, "ads", truth.ads_table(world))
    put_table(raw, truth.DISORDER, "disorder", truth.disorder_table(world, disorder))
    return sums(disorder, [facts for facts in told.values() if facts])


def sums(disorder: Counter[tuple[int, str, str]], facts: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The counts that ingest and sessionize must come to."""
    of: Counter[str] = Counter()
    for (_, _, outcome), many in disorder.items():
        of[outcome] += many
    records, events, duplicates = disorder.total(), of["accepted"], of["duplicate"]
    return {
        "files": sum(name.startswith("events/") for told in facts for name in told["files"]),
        "records": records,
        "events": events,
        "duplicates": duplicates,
        "quarantined": records - events - duplicates,
        "sessions": sum(told["sessions"] for told in facts),
        "capped": sum(told["capped"] for told in facts),
    }


def cut(lines: pa.StringArray, most: int) -> list[memoryview]:
    """The text of the lines, in as few pieces of at most `most` lines as there can be, all about the same."""
    if not len(lines):
        return []
    _, ends, content = lines.buffers()
    places, pieces = np.frombuffer(ends, np.int32)[lines.offset :], -(-len(lines) // most)
    at = [places[len(lines) * number // pieces] for number in range(pieces + 1)]
    return [memoryview(content)[first:last] for first, last in pairwise(at)]


def json_lines(records: Sequence[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records).encode()


def gzipped(content: bytes | memoryview) -> bytes:
    """Without a name or a time: the same content, the same bytes."""
    return zlib.compress(content, COMPRESSION, wbits=31)


def put_table(raw: Path, table: Table, name: str, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    put(raw / table.name / f"{name}.parquet", sink.getvalue().to_pybytes())


def put(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; one that holds just that is left as it is."""
    if _size(path) == len(content) and path.read_bytes() == content:
        return
    files.put(path, content)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


if __name__ == "__main__":
    run(simulate, needs=(), leases=reader)
