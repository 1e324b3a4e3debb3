"""What a training will take of a machine's memory, told before it takes it.

An estimate by the sizes of arrays; `make bench-catalogue` shows it beside what was taken. Of a GPU's memory it says nothing:
there weights, gradients and activations are not in the machine's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from conf.schema import Model, Task, Train
from models.content import dimensions_of
from models.example_set import TRAIN, ExampleSet
from models.next_item import NextItemModel
from models.shards import plan

FLOAT = 4  # bytes
GIB = 2**30
VALIDATION_ROWS, VALIDATION_SCORES = 64, 80_000_000  # of a batch, at most
WORD = 100  # bytes of an item in the vocabulary: its id, its counts, its share of a sample
PAIR = 16  # bytes of two items in the fit of a linear model
LIBRARIES = 600 * 2**20  # bytes of a rank that has done nothing yet: TensorFlow, Horovod, MLflow
COPIES = {
    "events": 4,
    "encoder": 24,
    "attention": 6,
    "logits": 4,
    "scores": 5,
    "rows": 2,
    "slices": 8,
    "history": 45,
    "content": 2,
}
"""How many arrays of a kind are there at once: the values, their gradients, and what an operation leaves to the next."""
CGROUP = Path("/sys/fs/cgroup")
REMEDIES = {
    "weights": "model.width lower",
    "best weights so far": "model.width lower",
    "averaged weights": "train.average=0, or model.width lower",
    "optimizer": "model.width lower",
    "content": "model.content to a file of shorter vectors",
    "gradients": "train.lazy_rows below the number of items, or train.batch_size lower",
    "activations": "train.parts higher",
    "histories": "train.parts higher",
    "linear model": "model.linear_items lower",
    "logits": "train.parts higher, or model.negatives lower",
    "logits of all items": "model.loss=sampled_softmax",
    "rows being read": "train.window_files lower",
    "scores of validation": "train.ranks lower",
    "vocabulary": "train.ranks lower",
    "libraries": "train.ranks lower",
}


class MemoryPlanError(RuntimeError):
    """A training that would not fit: the text says which part of it is the largest, and what would make that smaller."""


@dataclass(frozen=True)
class Plan:
    """Of one rank: bytes of each part, largest first, and how many it can have."""

    terms: Mapping[str, int]
    available: int

    @property
    def total(self) -> int:
        return sum(self.terms.values())

    def __str__(self) -> str:
        parts = "  ".join(
            f"{name} {_in_gib(size)}" for name, size in self.terms.items() if size >= GIB // 100
        )
        return f"memory of a rank: {_in_gib(self.total)} of {_in_gib(self.available)} GiB  ({parts})"

    def check(self) -> None:
        """Raises `MemoryPlanError` where the rank cannot have what it wants."""
        if self.total > self.available:
            name, size = next(iter(self.terms.items()))
            raise MemoryPlanError(
                f"this training wants {_in_gib(self.total)} GiB of memory a rank, and {_in_gib(self.available)} are free "
                f"for each on this machine: the largest part is {name} ({_in_gib(size)} GiB): set {REMEDIES[name]}"
            )


def memory_plan(
    model: Model, task: Task, train: Train, examples: ExampleSet, ranks: int, available: int
) -> Plan:
    """The plan of a rank of `ranks` that can have `available` bytes; `task` with the lengths of the examples."""
    items, rows = examples.vocabulary_size, train.batch_size // train.parts * (2 if model.consistency else 1)
    encoder = NextItemModel(model, task, np.ones(4, np.int64), train.seed).encoder
    in_encoder = sum(variable.shape.num_elements() for variable in encoder.trainable_variables)
    weights = items * (model.width + 1) + in_encoder
    events = train.batch_size * task.length  # of a rank and step
    sampled = _sampled(model, items, ranks * events)
    if is_lazy := items >= train.lazy_rows and model.loss != "softmax":
        gradients = min(items, ranks * (events + sampled)) * (model.width + 1) * COPIES["slices"]
    else:
        gradients = 3 * weights
    attends = model.name not in ("gru", "lstm", "repeat")
    attention = task.positions**2 * model.members * model.heads * COPIES["attention"] * attends
    encoded = model.blocks * (task.positions * model.width * COPIES["encoder"] + attention)
    is_full = model.loss == "softmax"
    dimensions = dimensions_of(model.content) if model.content else 0
    numbers = {
        "content": items * dimensions * COPIES["content"],
        "weights": weights,
        "best weights so far": weights,
        "averaged weights": weights * bool(train.average),
        "optimizer": 2 * weights + 2 * items * is_lazy,
        "gradients": gradients,
        "activations": rows * (task.length * model.width * COPIES["events"] + encoded),
        "logits of all items" if is_full else "logits": rows
        * task.positions
        * sampled
        * model.members
        * COPIES["logits"],
        "histories": rows * task.positions * task.length * COPIES["history"] * 2 * bool(model.repeat),
        "scores of validation": items * validation_batch(items) * COPIES["scores"],
    }
    terms = {name: FLOAT * count for name, count in numbers.items()}
    terms |= {"vocabulary": WORD * items, "libraries": LIBRARIES}
    if model.linear:
        terms["linear model"] = PAIR * min(model.linear_items, items) ** 2
    terms["rows being read"] = _window(examples, ranks, train.window_files)
    return Plan(dict(sorted(terms.items(), key=lambda term: -term[1])), available)


def validation_batch(items: int) -> int:
    """How many rows are scored at a time: fewer where each has more scores."""
    return max(1, min(VALIDATION_ROWS, VALIDATION_SCORES // items))


def _sampled(model: Model, items: int, events: int) -> int:
    """The items that each position is told from."""
    if model.loss == "softmax":
        return items
    return min(items, events if model.sampling == "batch" else model.negatives)


def _window(examples: ExampleSet, ranks: int, files: int) -> int:
    """Bytes of the largest window that the first rank reads."""
    row = sum(np.dtype(dtype).itemsize * length for dtype, length in examples.lengths(TRAIN).values())
    sizes: Sequence[int] = sorted((p.file.rows for p in plan(examples.files(TRAIN), 0, ranks)), reverse=True)
    return row * sum(sizes[:files]) * COPIES["rows"]


def free_memory(cgroup: Path = CGROUP) -> int:
    """Bytes that this machine, or the control group that this process is in, has left."""
    free = psutil.virtual_memory().available
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())["anon"]
    except OSError:
        return free
    return free if limit == "max" else min(free, int(limit) - int(used))


def _in_gib(size: int) -> str:
    return f"{size / GIB:.2f}"
