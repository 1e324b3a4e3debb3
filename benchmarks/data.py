"""Sessionize and sequence, here and by DuckDB and by Polars on the same file and cores: `make bench-data`.

Each engine reads the same clicks, makes the same sessions and sequences and writes them; the results are compared before
any time is printed. Spark's start is not counted, nor is any other program's. Polars works in memory, DuckDB and Spark
spill to disk. Only Footfall makes ids of sessions and writes Delta tables.

    python -m benchmarks.data [SIZE…]        millions of events, 1 10 50 where nothing is said
"""

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import duckdb
import psutil
from deltalake import DeltaTable
from rich.console import Console
from rich.table import Table

from benchmarks.clicks import write_clicks
from benchmarks.measured import Measured, measure

FOLDER = Path("var/bench")
CORES = len(os.sched_getaffinity(0))
TOTAL_GB = psutil.virtual_memory().total / 1e9
HEAP_GB = 6  # of Spark
DUCKDB_GB = round(0.75 * TOTAL_GB)  # before it spills: with 6 it ends for want of memory at 50 million events
SESSIONS = "user_id, start_ts, end_ts, event_count, events"
SEQUENCES = (
    "user_id, session_count, length, items, event_types, timestamps, sessions, session_starts, quantities, amounts, "
    "channels"
)
ENGINES: dict[str, Callable[[Path, Path], list[str]]] = {
    "footfall": lambda clicks, out: _command("footfall_engine", clicks, out, CORES, HEAP_GB),
    "duckdb": lambda clicks, out: _command("duckdb_engine", clicks, out, CORES, DUCKDB_GB),
    "polars": lambda clicks, out: _command("polars_engine", clicks, out, CORES),
}


def main(sizes: list[float]) -> None:
    console = Console(highlight=False)
    FOLDER.mkdir(parents=True, exist_ok=True)
    facts = {
        "cores": CORES,
        "machine": platform.machine(),
        "memory_gb": round(TOTAL_GB, 1),
    }
    found = []
    for millions in sizes:
        found.append(compare(millions, console))
        console.print(as_table(found))
        (FOLDER / "data.json").write_text(json.dumps(facts | {"sizes": found}, indent=1) + "\n")
    console.print(f"written to {FOLDER / 'data.json'}")


def compare(millions: float, console: Console) -> dict:
    """What each engine took for one size, once their results are found equal."""
    work = FOLDER / "data"
    shutil.rmtree(work, ignore_errors=True)
    console.print(f"{millions:g} million events: writing them")
    clicks = write_clicks(work / "clicks", round(millions * 1e6))
    took: dict[str, Measured | None] = {}
    digests = {}
    for name, command in ENGINES.items():
        console.print(f"{millions:g} million events: {name}")
        try:
            took[name] = measure(command(clicks, work / name))
            digests[name] = digest(work / name)
        except RuntimeError as error:
            console.print(f"[red]{error}[/]")
            took[name] = None
        shutil.rmtree(work / name, ignore_errors=True)
    check_equal(digests)
    shutil.rmtree(work)
    return {
        "events": round(millions * 1e6),
        "engines": {name: each and asdict(each) for name, each in took.items()},
    }


def digest(out: Path) -> dict[str, tuple]:
    """Of sessions and sequences how many there are, and a hash of all that is in them, whatever their order."""
    db = duckdb.connect()
    db.execute("set timezone='UTC'")
    return {
        "sessions": _digest(db, out / "sessions", SESSIONS, "event_count"),
        "sequences": _digest(db, out / "sequences", SEQUENCES, "length"),
    }


def check_equal(digests: dict[str, dict[str, tuple]]) -> None:
    """Raises where two engines did not make the same."""
    (first, expected), *others = digests.items()
    for name, found in others:
        if found != expected:
            raise AssertionError(f"{name} and {first} differ: {found}, {expected}")


def as_table(found: list[dict]) -> Table:
    table = Table(
        "events", "engine", "seconds", "events a second", "CPU seconds", "memory, GB", "seconds to the faster"
    )
    for size in found:
        others = [each["seconds"] for name, each in size["engines"].items() if each and name != "footfall"]
        for name, each in size["engines"].items():
            if each is None:
                table.add_row(f"{size['events']:,}", name, "failed")
                continue
            ratio = each["seconds"] / min(others) if others else float("nan")
            table.add_row(
                f"{size['events']:,}",
                name,
                f"{each['seconds']:.1f}",
                f"{size['events'] / each['seconds']:,.0f}",
                f"{each['cpu_seconds']:.1f}",
                f"{each['peak_gb']:.1f}",
                f"{ratio:.2f}",
            )
        table.add_section()
    return table


def _digest(db: duckdb.DuckDBPyConnection, path: Path, columns: str, counted: str) -> tuple:
    if path.is_dir():  # a Delta table: the files of its newest version
        files = DeltaTable(str(path)).file_uris()
    else:
        files = [str(path.with_suffix(".parquet"))]
    query = f"select count(*), sum({counted}), bit_xor(hash({columns})) from read_parquet(?, hive_partitioning=false)"
    row = db.execute(query, [files]).fetchone()
    assert row is not None
    return row


def _command(engine: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"benchmarks.{engine}", *(str(argument) for argument in arguments)]


if __name__ == "__main__":
    main([float(size) for size in sys.argv[1:]] or [1, 10, 50])
