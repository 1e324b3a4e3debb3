"""What one event, one user and one row cost, on this machine: the constants that docs/scale.md is computed from.

Takes what `make demo`, `make bench-data`, `make bench-night` and `make bench-train` left in var/, and measures what scoring
a user costs with two vocabularies. Where a step's own CPU seconds are not known all cores' time is taken, a bound from
above.

    python -m benchmarks.scale_measured        writes benchmarks/scale.json
"""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from deltalake import DeltaTable

from benchmarks.train import LENGTH, MODEL, TASK, processor
from models.next_item import NextItemModel

FACTS, FOUND, DEMO = Path("benchmarks/scale.json"), Path("var/bench"), Path("var/demo")
TABLES = ("events", "sessions", "sequences", "users", "items", "predictions")
USERS, BATCH, VOCABULARIES = 256, 64, (10_000, 100_000)


def main() -> None:
    demo, seconds = read(DEMO / "facts.json"), read(DEMO / "seconds.json")
    data, night, train = (read(FOUND / f"{name}.json") for name in ("data", "night", "train"))
    largest = data["sizes"][-1]
    name, flow = "make bench-data", demo["flow"]
    clicks = largest["engines"]["footfall"]["cpu_seconds"] / largest["events"]
    load = seconds["first_load"] * demo["hardware"]["cores"] / flow["events"]
    raw = sum(each.stat().st_size for each in (DEMO / "raw").rglob("*") if each.is_file())
    sizes = {table: of_a_row(DEMO / "lake" / table) for table in TABLES}
    shuffled = sum(cost["bytes_shuffled"] for cost in night["load"]["tables"].values())
    a_user, a_user_and_item = of_scores()
    ours, trained = "python -m benchmarks.scale_measured", "make bench-train"
    epoch = statistics.median(turn["cpu_seconds"] for turn in train["epochs"]["footfall"])
    found = {
        "raw_bytes_an_event": (raw / flow["events"], "bytes", "make demo"),
        "ingest_cpu_an_event": (load - clicks, "CPU s, at most", "make demo"),
        "sessionize_cpu_an_event": (clicks, "CPU s, of sessionize and sequence", name),
        "sequence_cpu_a_kept_event": (clicks, "CPU s, at most, of sessionize and sequence", name),
        "events_a_session": (flow["in_sessions"] / flow["sessions"], "events", "make demo"),
        "events_a_sequence": (flow["in_sessions"] / flow["users"], "events", "make demo"),
        **{f"{table}_bytes_a_row": (size, "bytes", "make demo") for table, size in sizes.items()},
        "shuffle_bytes_an_event": (shuffled / night["load"]["events"], "bytes", "make bench-night"),
        "score_cpu_a_user": (a_user, f"CPU s, {LENGTH} events", ours),
        "score_cpu_a_user_and_item": (a_user_and_item, "CPU s", ours),
        "train_length": (train["length"], "events an example", trained),
        "train_cpu_a_row": (epoch / train["rows"], "CPU s", trained),
    }
    for each, (value, unit, command) in found.items():
        if value <= 0:
            raise SystemExit(f"{each} came to {value:g} {unit}, expected more than 0: run `{command}` anew")
    constants = {
        each: {"value": float(f"{value:.3g}"), "unit": unit, "command": command}
        for each, (value, unit, command) in found.items()
    }
    machine = {**demo["hardware"], "processor": processor().get("Model name", "unknown")}
    FACTS.write_text(json.dumps({"machine": machine, "constants": constants}, indent=1) + "\n")
    print(f"written to {FACTS}")


def read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise SystemExit(
            f"no {path}: run `make demo`, `make bench-data`, `make bench-night` and `make bench-train`"
        )
    return json.loads(path.read_text())


def of_a_row(table: Path) -> float:
    """Bytes on disk of a stored row."""
    files = pa.record_batch(DeltaTable(table).get_add_actions(flatten=True)).to_pydict()
    return sum(files["size_bytes"]) / sum(files["num_records"])


def of_scores() -> tuple[float, float]:
    """CPU seconds of scoring a user, and those that each item adds, with the model of `make bench-train`."""
    chance, cpu = np.random.default_rng(7), []
    for size in VOCABULARIES:
        model = NextItemModel(MODEL, TASK, np.ones(size, np.int64), 7)
        score = tf.function(model.score)
        items = tf.constant(chance.integers(3, size, (BATCH, LENGTH)), tf.int32)
        sessions = tf.constant(np.tile(np.arange(1, LENGTH + 1), (BATCH, 1)), tf.int32)
        ages, turns = tf.zeros((BATCH, LENGTH)), []
        for _ in range(1 + USERS // BATCH):  # the first makes the graph
            before = time.process_time()
            tf.math.top_k(score(items, sessions, ages), TASK.k)[0].numpy()
            turns.append((time.process_time() - before) / BATCH)
        cpu.append(statistics.median(turns[1:]))
    an_item = (cpu[1] - cpu[0]) / (VOCABULARIES[1] - VOCABULARIES[0])
    return cpu[0] - an_item * VOCABULARIES[0], an_item


if __name__ == "__main__":
    main()
