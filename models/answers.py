"""The answers in an example set of a task with labels, all of a split at once: small beside the histories."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.example_set import ExampleSet
from models.inputs import read
from models.shards import Order, epoch_of, plan

COLUMNS = ("labels", "label_weights", "naive")


class Answers(NamedTuple):
    """Of each row and target; a task of classes has one target, whose labels are places in its names."""

    labels: np.ndarray  # (rows, targets) float32
    weights: np.ndarray  # (rows, targets) float32; 0: there is no answer
    naive: np.ndarray  # (rows, targets) float32: what the task's baseline knows


def answers(examples: ExampleSet, split: str) -> Answers:
    """The answers of a split, in the order of its files."""
    return Answers(*read_columns(examples, split, COLUMNS))


def read_columns(examples: ExampleSet, split: str, names: Sequence[str]) -> list[np.ndarray]:
    """Some columns of a split, each (rows, its length), in the order of its files."""
    stretches, lengths = (
        epoch_of(plan(examples.files(split), 0, 1), 0, Order(shuffled=False)),
        examples.lengths(),
    )
    parts = list(read(stretches, names))
    found = []
    for name in names:
        dtype, length = lengths[name]
        packed = b"".join(row for part in parts for row in part[name])
        found.append(np.frombuffer(packed, np.dtype(dtype).newbyteorder("<")).reshape(-1, length))
    return found
