"""Checkpoints: the weights of a training, its optimizer's and its course, in a folder that the first rank writes and reads.

Written with TensorFlow's own format, which holds arrays and text and runs no code when it is read. A checkpoint that was not
finished is none: the one before it stays until the new one is whole.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from models.course import Course

COURSE = "course/.ATTRIBUTES/VARIABLE_VALUE"  # what TensorFlow calls the course in a checkpoint


class Checkpoints:
    """Those of one training, in its `folder`, none: there are none. One is written each `every` steps.

    `run` is the training's MLflow run: on the first rank that of the newest checkpoint, and what the next ones will say.
    """

    def __init__(self, folder: Path | None, every: int):
        self.folder, self.every, self.run = folder, every, ""
        self.course = tf.Variable("", dtype=tf.string, trainable=False)
        if self._is_kept and (newest := tf.train.latest_checkpoint(str(folder))):
            self.run = Course.of_text(tf.train.load_variable(newest, COURSE).decode()).run

    @property
    def _is_kept(self) -> bool:
        return self.folder is not None and hvd.rank() == 0

    def open(
        self, model: tf.Module, optimizer: tf.keras.optimizers.legacy.Optimizer, best: Sequence[tf.Variable]
    ) -> Course:
        """Gives every rank the weights and the course of the newest checkpoint; without one, those of the first rank."""
        # Keras makes the rows of an optimizer with its first step: they must be there to be filled.
        optimizer._create_all_weights(model.trainable_variables)
        course = Course()
        if self._is_kept:
            kept = tf.train.Checkpoint(model=model, optimizer=optimizer, best=list(best), course=self.course)
            self.manager = tf.train.CheckpointManager(kept, str(self.folder), max_to_keep=1)
            if newest := self.manager.latest_checkpoint:
                kept.restore(newest).assert_existing_objects_matched()
                course = Course.of_text(self.course.numpy().decode())
                course.resumed += 1
        hvd.broadcast_variables([*model.variables, *optimizer.variables(), *best], root_rank=0)
        course = Course.of_text(from_first(course.as_text()))
        _counted_by_first(course)
        return course

    def save(self, course: Course) -> None:
        """Called on every rank alike. What the ranks counted is then with the first one, and nothing with the others."""
        if self.folder is None:
            return
        totals = hvd.allreduce(tf.constant([course.seen, course.ids], tf.int64), op=hvd.Sum).numpy().tolist()
        course.seen, course.ids = totals
        _counted_by_first(course)
        if self._is_kept:
            course.run = self.run
            self.course.assign(course.as_text())
            self.manager.save()

    def clear(self) -> None:
        """Deletes them: the training is over."""
        if self._is_kept:
            shutil.rmtree(str(self.folder), ignore_errors=True)


def _counted_by_first(course: Course) -> None:
    """What all ranks counted is with the first one, so that it is added up once."""
    if hvd.rank() != 0:
        course.seen = course.ids = 0


def from_first(text: str) -> str:
    """What the first rank says, on every rank."""
    said = np.frombuffer(text.encode(), np.uint8)
    length = int(hvd.broadcast(tf.constant(len(said)), root_rank=0).numpy())
    buffer = np.zeros(length, np.uint8)
    if hvd.rank() == 0:
        buffer[:] = said
    return hvd.broadcast(tf.constant(buffer), root_rank=0).numpy().tobytes().decode()
