"""The answers in an example set of a task with labels, all of a split at once: small beside the histories."""

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
    stretches = epoch_of(plan(examples.files(split), 0, 1), 0, Order(shuffled=False))
    length = examples.lengths()["labels"][1]
    parts = list(read(stretches, COLUMNS))
    joined = (np.concatenate([part[name] for part in parts]) for name in COLUMNS)
    return Answers(*(np.frombuffer(b"".join(rows), "<f4").reshape(-1, length) for rows in joined))
