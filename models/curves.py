"""The curves of a training: numbers of its steps and epochs, written to each place that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import rmtree

import numpy as np
import tensorflow as tf

from models.course import Course, Epoch
from models.listening import Listener, Step

STEP, EPOCH = "step", "epoch"  # what a curve is drawn over: steps of all epochs, or epochs, both from 1
Number = float | np.ndarray  # an array is drawn as a histogram, where a place has such
Place = Callable[[str, int, Mapping[str, Number]], None]
"""Keeps numbers by name: of STEP or EPOCH, and the how manieth of these."""


class Curves(Listener):
    """Writes the numbers of every `every` steps, means over these, and those of each epoch.

    known  `step/loss`, `epoch/loss`, … -> the newest of which the places have it: a training that was stopped goes over
           some steps twice, and writes them once
    """

    def __init__(self, every: int, known: Mapping[str, int], *places: Place):
        self.every, self.known, self.places = every, known, places
        self.steps: list[Step] = []  # since those that were written

    def started(
        self, course: Course, model: tf.Module, optimizer: tf.keras.optimizers.legacy.Optimizer
    ) -> None:
        self.table, self.optimizer = model.tables[0], optimizer

    def stepped(self, step: Step) -> None:
        self.steps.append(step)
        if step.of_all % self.every == 0:
            norms = norms_of(self.table)
            sizes = {"item_norm_mean": float(norms.mean()), "item_norm_max": float(norms.max())}
            numbers = numbers_of(self.steps) | {"learning_rate": rate_of(self.optimizer)} | sizes
            self._write(STEP, step.of_all, numbers)
            self.steps = []

    def ended(self, epoch: Epoch) -> None:
        numbers = {"loss": epoch.loss, "seconds": epoch.seconds, **epoch.metrics}
        self._write(EPOCH, epoch.number, numbers | {"item_norm": norms_of(self.table)})

    def _write(self, axis: str, at: int, numbers: Mapping[str, Number]) -> None:
        new = {name: each for name, each in numbers.items() if at > self.known.get(f"{axis}/{name}", 0)}
        for write in self.places if new else ():
            write(axis, at, new)


def numbers_of(steps: list[Step]) -> dict[str, Number]:
    """Means over some steps: a target's loss, a step's gradient norm, rows a second, % of the time that rows took."""
    seconds = sum(step.seconds for step in steps)
    targets = sum(float(step.taken.weight) for step in steps)
    return {
        "loss": sum(float(step.taken.total) for step in steps) / max(targets, 1.0),
        "gradient_norm": float(np.mean([float(step.taken.norm) for step in steps])),
        "rows_per_second": sum(step.rows for step in steps) / seconds,
        "waiting_percent": 100 * sum(step.waited for step in steps) / seconds,
    }


def norms_of(table: tf.Variable) -> np.ndarray:
    """The lengths of the vectors of items that were seen, which the others' zeros are not: (items,) float32."""
    norms = tf.norm(table, axis=1).numpy()  # (vocabulary_size,)
    return norms[norms > 0]


def rate_of(optimizer: tf.keras.optimizers.legacy.Optimizer) -> float:
    """The learning rate of its last step."""
    rate = optimizer.learning_rate
    if isinstance(rate, tf.keras.optimizers.schedules.LearningRateSchedule):
        return float(rate(optimizer.iterations - 1))
    return float(rate)


def tensorboard(folder: Path, anew: bool) -> Place:
    """TensorBoard's log in a folder of its own; `anew`: what is there is of another training, and is deleted."""
    if anew:
        rmtree(folder, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(folder))

    def write(axis: str, at: int, numbers: Mapping[str, Number]) -> None:
        with writer.as_default(step=at):
            for name, number in numbers.items():
                summary = tf.summary.histogram if isinstance(number, np.ndarray) else tf.summary.scalar
                summary(f"{axis}/{name}", number)
        writer.flush()

    return write
