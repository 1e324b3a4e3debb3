"""What a night costs on a lake of a year, beside the load of the year: rows, bytes and seconds by table: `make bench-night`.

Simulates a shop, loads all its days but the last, and runs the night of the last one: each in a process of its own, by the
steps of the nightly job up to `sequence`. What was read before a commit counts for the table that it was made to. Spark's
start is not counted. Rows and bytes are those of Spark's event log: of files, and of what was kept on disk in between.

    python -m benchmarks.night [MILLIONS [DAYS]]        50 million events on 365 days where nothing is said
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table as Page

FOLDER = Path("var/bench/night")
BIN = Path(sys.executable).parent
STEP = "step"
WIDTH = 120  # of what goes to a file
FOUND = "benchmark: "
MOST_ROWS, MOST_SECONDS = 0.03, 0.10  # of a night, by those of the load: what is aimed at


@dataclass
class Cost:
    """Of the writing of one table."""

    seconds: float = 0.0
    rows_read: int = 0
    bytes_read: int = 0
    bytes_shuffled: int = 0
    rows_written: int = 0
    bytes_written: int = 0


@dataclass
class Took:
    """One run of the steps: table -> what it cost."""

    ds: str
    events: int
    tables: dict[str, Cost] = field(default_factory=dict)

    def all(self) -> Cost:
        return added(self.tables.values())


def main(millions: float, days: int) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    raw = simulated(millions, days, console)
    dates = sorted(path.name for path in (raw / "events").iterdir())
    shutil.rmtree(FOLDER / "lake", ignore_errors=True)
    runs = []
    for name, ds in (("load", dates[-2]), ("night", dates[-1])):
        console.print(f"{name}: up to {ds}")
        runs.append(in_a_process(ds, raw))
    load, night = runs
    console.print(as_page(load, night))
    facts = {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "days": len(dates),
        "load": asdict(load),
        "night": asdict(night),
    }
    (FOLDER.parent / "night.json").write_text(json.dumps(facts, indent=1) + "\n")
    console.print(f"written to {FOLDER.parent / 'night.json'}")


def simulated(millions: float, days: int, console: Console) -> Path:
    """The logs of a shop; those that are there stay, so that a second run begins with the load."""
    raw = FOLDER / f"raw-{millions:g}-{days}"
    console.print(f"simulating {millions:g} million events on {days} days in {raw}")
    command: list[str | Path] = [
        BIN / "spark-submit",
        "--driver-memory",
        "1g",
        "jobs/simulate.py",
        f"raw={raw}",
    ]
    command += [f"simulate.events={round(millions * 1e6)}", f"simulate.days={days}"]
    subprocess.run(command, check=True)
    return raw


def in_a_process(ds: str, raw: Path) -> Took:
    """Runs the steps up to `ds` in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.night", STEP, ds, str(raw)]
    told: dict[str, Any] | None = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(FOUND):
                told = json.loads(line.removeprefix(FOUND))
            else:
                print(line, end="", flush=True)
    if process.returncode or told is None:
        sys.exit(f"{' '.join(command)} failed with exit code {process.returncode}")
    tables = {name: Cost(**cost) for name, cost in told.pop("tables").items()}
    return Took(**told, tables=tables)


def steps(ds: str, raw: str) -> None:
    """In that process: ingest, sessionize, sequence, and what Spark's event log says of them."""
    from conf.load import load
    from jobs.ingest import ingest
    from jobs.job import open_lake, progress, say
    from jobs.sequence import sequence
    from jobs.sessionize import sessionize

    logs = FOLDER / "log"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    conf = load([f"ds={ds}", f"raw={raw}", f"lake={FOLDER / 'lake'}", "source=simulated"])
    logged = {
        "enabled": "true",
        "dir": logs.absolute().as_uri(),
        "compress": "false",
        "rolling.enabled": "false",
    }
    conf.spark.settings.update({f"spark.eventLog.{name}": value for name, value in logged.items()})
    lake = open_lake(conf, "benchmark")
    lake.spark.range(1000).groupBy("id").count().collect()  # Spark is up

    marks: list[tuple[float, str]] = [(time.time(), "")]
    facts = {}
    with lake.guarded(lambda table: marks.append((time.time(), table.name))), progress("benchmark", lake):
        for step in (ingest, sessionize, sequence):
            facts[step.__name__] = say(step, conf, lake)
    lake.spark.stop()
    (log,) = logs.iterdir()
    with log.open() as lines:
        tables = costs(marks, tasks(lines))
    took = Took(ds, facts["ingest"]["events"], tables)
    print(FOUND + json.dumps(asdict(took)), flush=True)


def tasks(lines: Iterable[str]) -> Iterator[tuple[float, Cost]]:
    """When each task of an event log ended, and what it read and wrote."""
    for line in lines:
        if not line.startswith('{"Event":"SparkListenerTaskEnd"'):
            continue
        event = json.loads(line)
        if not (metrics := event.get("Task Metrics")):
            continue
        read, written = metrics["Input Metrics"], metrics["Output Metrics"]
        yield (
            event["Task Info"]["Finish Time"] / 1000,
            Cost(
                rows_read=read["Records Read"],
                bytes_read=read["Bytes Read"],
                bytes_shuffled=metrics["Shuffle Write Metrics"]["Shuffle Bytes Written"],
                rows_written=written["Records Written"],
                bytes_written=written["Bytes Written"],
            ),
        )


def costs(marks: Sequence[tuple[float, str]], done: Iterable[tuple[float, Cost]]) -> dict[str, Cost]:
    """What was done up to the last mark of each table, from the one of another table before it, or from the first.

    marks            done          after
    0 s              0 s  9 rows   events    3 s  7 rows
    2 s  events      1 s  5 rows   sessions  2 s  1 row
    3 s  events      3 s  2 rows
    5 s  sessions    4 s  1 row
    """
    found: dict[str, Cost] = defaultdict(Cost)
    for (begin, _), (end, table) in pairwise(marks):
        found[table].seconds += end - begin
    for at, cost in done:
        if at <= marks[0][0]:
            continue
        table = next((name for end, name in marks if end >= at), marks[-1][1])
        found[table] = added([found[table], cost])
    return dict(found)


def added(costs: Iterable[Cost]) -> Cost:
    return Cost(*(sum(each) for each in zip(*(astuple(cost) for cost in costs), strict=True)))


def as_page(load: Took, night: Took) -> Page:
    page = Page(title="a night, and the load of all days before it")
    for name in ("table", "", "seconds", "rows read", "MB read", "MB shuffled", "rows written", "MB written"):
        page.add_column(name, justify="left" if name in ("table", "") else "right")
    costs = [(table, load.tables[table], night.tables.get(table, Cost())) for table in load.tables]
    for table, *both in [*costs, ("all", load.all(), night.all())]:
        for name, cost in zip(("load", "night"), both, strict=True):
            page.add_row(
                table if name == "load" else "",
                name,
                f"{cost.seconds:.1f}",
                f"{cost.rows_read:,}",
                f"{cost.bytes_read / 1e6:,.1f}",
                f"{cost.bytes_shuffled / 1e6:,.1f}",
                f"{cost.rows_written:,}",
                f"{cost.bytes_written / 1e6:,.1f}",
            )
        page.add_section()
    rows = night.all().rows_read / load.all().rows_read
    seconds = night.all().seconds / load.all().seconds
    page.caption = (
        f"{night.events:,} events on {load.events:,}: {rows:.1%} of the load's rows read (aim {MOST_ROWS:.0%}), "
        f"{seconds:.1%} of its seconds (aim {MOST_SECONDS:.0%})"
    )
    return page


if __name__ == "__main__":
    if sys.argv[1:2] == [STEP]:
        steps(*sys.argv[2:])
    else:
        given = sys.argv[1:]
        main(float(given[0]) if given else 50, int(given[1]) if given[1:] else 365)
