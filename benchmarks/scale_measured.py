"""What one event, one user and one row cost, on this machine: the constants that docs/scale.md is computed from.

Two simulated shops, one ten times the other, are loaded, each in a process of its own; what the larger costs more is its
events' and its users', without Spark's start and what a step costs whatever it reads. A model's scores of users are made
with two vocabularies; training is what `make bench-train` found last, a prediction is one of `make demo`.

    python -m benchmarks.scale_measured        writes benchmarks/scale.json
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from deltalake import DeltaTable

FOLDER, FACTS = Path("var/bench/scale"), Path("benchmarks/scale.json")
TRAINED, PREDICTIONS = Path("var/bench/train.json"), "var/demo/lake/predictions"
BIN = Path(sys.executable).parent
SMALL, LARGE, DAYS = 40_000, 400_000, 5
STEPS = ("ingest", "sessionize", "sequence")
TABLES = ("events", "sessions", "sequences", "users", "items")
SCORED, VOCABULARIES = 256, (10_000, 100_000)
LOAD, SCORE = "load", "score"


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    small, large = (loaded(events) for events in (SMALL, LARGE))
    scored = in_a_process(SCORE)
    trained = json.loads(TRAINED.read_text())
    facts = {
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": processor(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "machine": platform.machine(),
        },
        "constants": constants(small, large, scored, trained, of_a_prediction()),
    }
    FACTS.write_text(json.dumps(facts, indent=1) + "\n")
    print(f"written to {FACTS}")


def constants(
    small: dict, large: dict, scored: dict, trained: dict, demo_predictions: float
) -> dict[str, dict[str, Any]]:
    """Name -> value, unit and the command that it came from."""
    ours, reading = (
        "python -m benchmarks.scale_measured",
        f"make bench-train ({trained['rows']:,} rows, load average {trained['load_before']:.0f})",
    )
    events = large["events"] - small["events"]
    users = large["rows"]["sequences"] - small["rows"]["sequences"]
    cpu = {step: large["cpu"][step] - small["cpu"][step] for step in STEPS}
    kept = {table: large["bytes"][table] / large["rows"][table] for table in TABLES}
    per_user = [seconds / SCORED for seconds in scored["cpu"]]
    per_item = (per_user[1] - per_user[0]) / (VOCABULARIES[1] - VOCABULARIES[0])
    turns = trained["epochs"]["footfall"]
    core_seconds = sorted(turn["cpu_seconds"] for turn in turns)[len(turns) // 2]
    read = sorted(turn["cpu_seconds_per_million"] for turn in trained["reading"]["footfall"])
    return {
        "raw_bytes_an_event": _of(large["raw_bytes"] / large["records"], "bytes", ours),
        "ingest_cpu_an_event": _of(cpu["ingest"] / events, "CPU s", ours),
        "sessionize_cpu_an_event": _of(cpu["sessionize"] / events, "CPU s", ours),
        "sequence_cpu_a_user": _of(cpu["sequence"] / users, "CPU s", ours),
        "events_a_user_measured": _of(events / users, "events", ours),
        "events_a_session": _of(large["events"] / large["rows"]["sessions"], "events", ours),
        **{f"{table}_bytes_a_row": _of(size, "bytes", ours) for table, size in kept.items()},
        "predictions_bytes_a_row": _of(demo_predictions, "bytes", "make demo"),
        "shuffle_bytes_an_event": _of(large["shuffled"] / large["events"], "bytes", ours),
        "score_cpu_a_user": _of(per_user[0] - per_item * VOCABULARIES[0], "CPU s", ours),
        "score_cpu_a_user_and_item": _of(per_item, "CPU s", ours),
        "train_length": _of(trained["length"], "events", reading),
        "train_cpu_a_row": _of(core_seconds / trained["rows"], "CPU s", reading),
        "read_cpu_a_row": _of(read[len(read) // 2] / 1e6, "CPU s", reading),
    }


def _of(value: float, unit: str, command: str) -> dict[str, Any]:
    if value <= 0:
        raise SystemExit(
            f"a constant came to {value:g} {unit}, expected more than 0: measure on a quieter machine"
        )
    return {"value": float(f"{value:.3g}"), "unit": unit, "command": command}


def of_a_prediction() -> float:
    """Bytes of a stored row of `predictions`, in the demo's lake."""
    actions = pa.record_batch(DeltaTable(PREDICTIONS).get_add_actions(flatten=True)).to_pydict()
    return sum(actions["size_bytes"]) / sum(actions["num_records"])


def loaded(events: int) -> dict[str, Any]:
    raw = FOLDER / f"raw-{events}"
    command = [BIN / "spark-submit", "--driver-memory", "1g", "jobs/simulate.py", f"raw={raw}"]
    subprocess.run([*command, f"simulate.events={events}", f"simulate.days={DAYS}"], check=True)
    return in_a_process(LOAD, raw, FOLDER / f"lake-{events}")


def in_a_process(*arguments: str | Path) -> dict[str, Any]:
    said = FOLDER / "said.json"
    subprocess.run([sys.executable, "-m", "benchmarks.scale_measured", said, *arguments], check=True)
    return json.loads(said.read_text())


def load(raw: Path, path: Path) -> dict[str, Any]:
    """CPU seconds of each step of a load, and rows and bytes of what it left in the lake."""
    from benchmarks.measured import cpu_seconds
    from conf.load import load as configured
    from jobs.ingest import ingest
    from jobs.job import open_lake
    from jobs.sequence import sequence
    from jobs.sessionize import sessionize

    dates = sorted(each.name for each in (raw / "events").iterdir())
    conf = configured([f"ds={dates[-1]}", f"raw={raw}", f"lake={path}", "source=simulated"])
    lake = open_lake(conf, "benchmark")
    lake.spark.range(1000).groupBy("id").count().collect()  # Spark is up
    cpu, counts = {}, {}
    for step in (ingest, sessionize, sequence):
        before = cpu_seconds(os.getpid())
        counts[step.__name__] = step(conf, lake)
        cpu[step.__name__] = cpu_seconds(os.getpid()) - before
    details = {
        table: lake.spark.sql(f"DESCRIBE DETAIL delta.`{path.absolute()}/{table}`").first()
        for table in TABLES
    }
    rows = {table: lake.spark.read.format("delta").load(str(path / table)).count() for table in TABLES}
    shuffled = sum(each.get("shuffleWriteBytes", 0) for each in _stages(lake.spark))
    lake.spark.stop()
    return {
        "cpu": cpu,
        "rows": rows,
        "bytes": {table: each["sizeInBytes"] for table, each in details.items()},
        "events": counts["ingest"]["events"],
        "records": counts["ingest"]["records"],
        "raw_bytes": sum(each.stat().st_size for each in (raw / "events").rglob("*.gz")),
        "shuffled": shuffled,
    }


def _stages(spark: Any) -> list[dict[str, Any]]:
    from urllib.request import urlopen

    web = spark.sparkContext.uiWebUrl
    with urlopen(
        f"http://127.0.0.1:{web.rsplit(':', 1)[1]}/api/v1/applications/{spark.sparkContext.applicationId}/stages"
    ) as page:
        return json.load(page)


def score() -> dict[str, list[float]]:
    """CPU seconds of scoring users against two vocabularies, with the model of `make bench-train`."""
    import numpy as np
    import tensorflow as tf

    from benchmarks.train import LENGTH, MODEL, TASK
    from models.next_item import NextItemModel

    chance, cpu = np.random.default_rng(7), []
    for size in VOCABULARIES:
        model = NextItemModel(MODEL, TASK, np.ones(size, np.int64), 7)
        score = tf.function(model.score)
        items = tf.constant(chance.integers(3, size, (64, LENGTH)), tf.int32)
        sessions = tf.constant(np.tile(np.arange(1, LENGTH + 1), (64, 1)), tf.int32)
        ages = tf.zeros((64, LENGTH))
        score(items, sessions, ages)
        before = time.process_time()
        for _ in range(SCORED // 64):
            tf.math.top_k(score(items, sessions, ages), TASK.k)[0].numpy()
        cpu.append(time.process_time() - before)
    return {"cpu": cpu}


def processor() -> str:
    lines = subprocess.run(["lscpu"], check=True, capture_output=True, text=True).stdout.splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("Model name"))


if __name__ == "__main__":
    if sys.argv[1:]:
        said, what, *paths = sys.argv[1:]
        Path(said).parent.mkdir(parents=True, exist_ok=True)
        Path(said).write_text(json.dumps(load(*map(Path, paths)) if what == LOAD else score()))
    else:
        main()
