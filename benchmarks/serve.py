"""Answers in real time at several rates: `make bench-serve`.

The service (jobs/serve.py) with a SASRec of 100,000 items that reads the last 50 events, each question bringing 50. Beside
it TensorFlow used the usual way: the same model, one call of its signature a request. A client in a process of its own asks
at a fixed rate (benchmarks/serve_load.py); all of it shares the machine's cores. Weights are random: they cost what others
do. CPU is the service's own, a request, which a machine that is busy with other things changes little.

    python -m benchmarks.serve [RATES]        10 to 500 a second where nothing is said, as 100,500
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from conf.schema import Model, Task
from models.registry import CHAMPION, connect

FOLDER = Path("var/bench/serve")
ITEMS, LENGTH, QUESTIONS, SEED = 100_000, 50, 512, 7
RATES = (10, 50, 100, 200, 300, 500)
SECONDS, WARM_SECONDS = 15, 4
SETTINGS = Model(name="sasrec", width=64, blocks=2)
TASK = Task(event_types=["purchase"], length=LENGTH, positions=LENGTH)
HOPELESS = 1000.0  # milliseconds of p50: higher rates tell nothing more


def main(rates: Sequence[int]) -> None:
    console = Console(highlight=False, width=120)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    saved_model = registered_champion()
    bodies = questions()
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("footfall", "tensorflow"):
        with serving(name, saved_model) as (port, process):
            found[name] = at_rates(port, process, bodies, rates)
    console.print(as_table(found))
    cores = len(os.sched_getaffinity(0))
    facts = {
        "cores": cores,
        "items": ITEMS,
        "length": LENGTH,
        "width": SETTINGS.width,
        "seconds": SECONDS,
    } | found
    FOLDER.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    console.print(f"written to {FOLDER.with_suffix('.json')}")


def registered_champion() -> str:
    """A model with random weights in a registry of its own; returns the path of its SavedModel."""
    from models.export import export
    from models.next_item import NextItemModel

    counts = np.random.default_rng(SEED).integers(1, 50, ITEMS + 3)
    counts[:3] = 0
    vocabulary = {"item_index": np.arange(3, ITEMS + 3), "item_id": [f"item-{n}" for n in range(ITEMS)]}
    export(NextItemModel(SETTINGS, TASK, counts, SEED), vocabulary, FOLDER / "model", TASK.k)
    registry = connect(f"sqlite:///{FOLDER.resolve()}/mlflow.db", str(FOLDER.resolve() / "artifacts"))
    with registry.run("sasrec") as run:
        version = registry.register(run, TASK.name, FOLDER / "model", {"model": "sasrec"})
    registry.set_alias(version, CHAMPION)
    return str(FOLDER / "model")


def questions() -> Path:
    """Bodies of questions, one a line: 50 purchases of the last weeks, a day with some hours apart."""
    rng, now = np.random.default_rng(SEED), int(time.time())
    path = FOLDER / "questions.jsonl"
    with path.open("w") as file:
        for _ in range(QUESTIONS):
            times = now - np.sort(rng.integers(3600, 60 * 86400, LENGTH))[::-1]
            items = rng.integers(0, ITEMS, LENGTH)
            events = [
                {"item_id": f"item-{item}", "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))}
                for item, at in zip(items.tolist(), times.tolist(), strict=True)
            ]
            file.write(json.dumps({"events": events}) + "\n")
    return path


@contextmanager
def serving(name: str, saved_model: str) -> Iterator[tuple[int, psutil.Process]]:
    """Within it the service, or the one it is compared with, answers on a port of this machine."""
    port = free_port()
    own = ["serve.port=" + str(port), f"registry=sqlite:///{FOLDER.resolve()}/mlflow.db"]
    own += [f"artifacts={FOLDER.resolve()}/artifacts", f"task.length={LENGTH}"]
    command = {
        "footfall": ["jobs/serve.py", *own],
        "tensorflow": ["-m", "benchmarks.serve_naive", saved_model, str(port)],
    }
    with (FOLDER / f"{name}.log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command[name]], stdout=log, stderr=log)
        try:
            wait_until_ready(port, process)
            yield port, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_ready(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    last = time.monotonic() + seconds
    while time.monotonic() < last and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/ready", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.3)
    raise RuntimeError(f"the service did not get ready: its log is in {FOLDER}")


def at_rates(port: int, process: psutil.Process, bodies: Path, rates: Sequence[int]) -> list[dict[str, Any]]:
    """The client's facts at each rate, up to the first at which answers hopelessly lag behind."""
    ask(port, bodies, min(rates), WARM_SECONDS)
    found: list[dict[str, Any]] = []
    for rate in rates:
        before, load = cpu_of(process), os.getloadavg()[0]
        facts = ask(port, bodies, rate, SECONDS)
        used = (cpu_of(process) - before) * 1e3 / max(1, facts["answered"])
        found.append(facts | {"cpu_ms": round(used, 2), "load_before": round(load, 1)})
        if not found[-1]["p50_ms"] < HOPELESS:
            break
    return found


def cpu_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def ask(port: int, bodies: Path, rate: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.serve_load", "127.0.0.1", str(port), "/v1/predictions"]
    done = subprocess.run(
        [*command, str(rate), str(seconds), str(bodies)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_table(found: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(
        title=f"{ITEMS:,} items, {LENGTH} events a question; milliseconds from when it was to be sent"
    )
    for column in ("", "asked/s", "answered/s", "p50", "p90", "p99", "CPU", "refused", "unanswered"):
        table.add_column(column, justify="left" if not column else "right")
    for name, rows in found.items():
        for row in rows:
            per_second = row["answered"] / SECONDS
            numbers = [f"{row[key]:.1f}" for key in ("p50_ms", "p90_ms", "p99_ms", "cpu_ms")]
            table.add_row(
                name,
                f"{row['rate']:.0f}",
                f"{per_second:.0f}",
                *numbers,
                str(row["refused"]),
                str(row["unanswered"]),
            )
        table.add_section()
    return table


if __name__ == "__main__":
    main([int(rate) for rate in sys.argv[1].split(",")] if sys.argv[1:] else RATES)
