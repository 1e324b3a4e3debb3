"""Training with a large catalogue on one rank, beside what the plan of its memory says: `make bench-catalogue`.

For each number of items a random example set of that vocabulary is written, and a SASRec of width 64 trained on it for one
epoch with sampled items, judged, and saved as a checkpoint. Shown are the median seconds of a step, the largest memory that
was seen and the planned one. The smaller catalogues are also trained with Adam for all rows, of which a step costs
what the catalogue costs.

    python -m benchmarks.catalogue [MILLIONS …]        0.1, 1 and 5 million items where nothing is said
"""

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake
from rich.console import Console
from rich.table import Table

from benchmarks.measured import measure, ready
from tests.models.example_sets import set_properties

FOLDER = Path("var/bench/catalogue")
LENGTH, POSITIONS, TARGETS = 64, 32, 10
ROWS = {"train": 2000, "validation": 64}
BATCH = 32
ALL_ROWS_UPTO = 1_000_000  # items


def main(sizes: list[float]) -> None:
    console = Console(highlight=False)
    page = Table(
        "items", "Adam of", "seconds a step", "spread", "memory, GB", "planned, GB", "a checkpoint, s"
    )
    found = []
    for items in (round(size * 1e6) for size in sizes):
        console.print(f"{items:,} items: writing {sum(ROWS.values()):,} examples")
        shutil.rmtree(FOLDER, ignore_errors=True)
        write_examples(items)
        for lazy in (True, False) if items <= ALL_ROWS_UPTO else (True,):
            for left in (FOLDER / "said.json", FOLDER / "checkpoints"):
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
            took = measure([sys.executable, "-m", "benchmarks.catalogue", "train", str(int(lazy))])
            said = json.loads((FOLDER / "said.json").read_text())
            found.append({"items": items, "lazy": lazy, **asdict(took), **said})
            page.add_row(
                f"{items:,}",
                "a step's rows" if lazy else "all rows",
                f"{said['step_seconds']:.3f}",
                f"{said['fast']:.3f} to {said['slow']:.3f}",
                f"{took.peak_gb:.2f}",
                f"{said['planned_gb']:.2f}",
                f"{said['checkpoint_seconds']:.1f}",
            )
    console.print(page)
    (FOLDER.parent / "catalogue.json").write_text(json.dumps(found, indent=1) + "\n")
    console.print(f"written to {FOLDER.parent / 'catalogue.json'}")


def write_examples(items: int) -> None:
    """An example set in which items are as frequent as a Zipf law says, and every one was seen."""
    from models.example_set import SPEC

    random = np.random.default_rng(7)
    columns = {
        name: {"dtype": dtype, "length": length}
        for name, dtype, length in (
            ("items", "int32", LENGTH),
            ("sessions", "int32", LENGTH),
            ("ages", "float32", LENGTH),
            ("targets", "int32", TARGETS),
        )
    }
    spec = {
        "set_id": "catalogue",
        "as_of": "2026-01-01T00:00:00Z",
        "validation_from": "2025-12-01T00:00:00Z",
        "columns": columns,
        "positions": POSITIONS,
        "vocabulary_size": items + 3,
    }
    first = 0
    for split, rows in ROWS.items():
        bought = (items * random.random((rows, LENGTH)) ** 3).astype(np.int32) + 3
        sessions = np.sort(random.integers(1, POSITIONS, (rows, LENGTH)), axis=1).astype(np.int32)
        values = {
            "items": bought,
            "sessions": sessions,
            "ages": np.zeros((rows, LENGTH), np.float32),
            "targets": bought[:, :TARGETS],
        }
        packed = {
            name: pa.array([row.tobytes() for row in array], pa.binary()) for name, array in values.items()
        }
        ids = pa.array(range(first, first + rows), pa.int64())
        table = pa.table({"split": pa.array([split] * rows), "row_id": ids} | packed)
        write_deltalake(FOLDER / "set" / "rows", table, partition_by=["split"], mode="append")
        first += rows
    set_properties(FOLDER / "set" / "rows", {SPEC: json.dumps(spec)})
    indices = np.arange(3, items + 3, dtype=np.int32)
    seen = np.maximum(1, items // (indices.astype(np.int64) - 2))
    words = {"item_index": indices, "item_id": np.char.add("item-", indices.astype(str)), "sessions": seen}
    write_deltalake(FOLDER / "set" / "vocabulary", pa.table(words | {"validation_sessions": seen}))


def train_once(lazy: bool) -> None:
    """Trains an epoch, as a rank of its own."""
    import time

    from conf.schema import Model, Task, Train
    from models.checkpoints import Checkpoints
    from models.example_set import open_example_set
    from models.listening import Listener, Step
    from models.memory import free_memory, memory_plan
    from models.next_item import NextItemModel
    from models.train import start, train

    start(seed=7)
    model = Model(name="sasrec")
    task = Task(event_types=["purchase"], length=LENGTH, positions=POSITIONS)
    settings = Train(ranks=1, batch_size=BATCH, epochs=1, lazy_rows=1 if lazy else 10**9)

    class Steps(Listener):
        def __init__(self) -> None:
            self.seconds: list[float] = []

        def stepped(self, step: Step) -> None:
            self.seconds.append(step.seconds)

    class Timed(Checkpoints):
        took = 0.0

        def save(self, course) -> None:
            began = time.monotonic()
            super().save(course)
            self.took = time.monotonic() - began

    with ready():
        examples = open_example_set(str(FOLDER / "set"))
        plan = memory_plan(model, task, settings, examples, 1, free_memory())
        plan.check()
        made = NextItemModel(model, task, examples.counts("validation_sessions"), seed=7)
        steps, checkpoints = Steps(), Timed(FOLDER / "checkpoints", every=10**9)
        train(made, examples, settings, "ndcg@10", steps, checkpoints=checkpoints)
    fast, median, slow = np.quantile(steps.seconds[3:], (0.1, 0.5, 0.9))  # the first ones make the graph
    said = {"step_seconds": median, "fast": fast, "slow": slow}
    said |= {
        "planned_gb": plan.total / 1e9,
        "terms": dict(plan.terms),
        "checkpoint_seconds": checkpoints.took,
    }
    (FOLDER / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train_once(sys.argv[2] == "1")
    else:
        main([float(each) for each in sys.argv[1:]] or [0.1, 1, 5])
