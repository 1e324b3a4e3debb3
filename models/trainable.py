"""What a training asks of a model, whatever it predicts."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import tensorflow as tf

from models.dropout import Noise
from models.heads.next_item import Loss

Batch = Mapping[str, tf.Tensor]
"""Rows of an example set: `row_ids` (batch,), `weights` (batch,), and its columns by name, (batch, length) each."""


class Trainable(Protocol):
    """Anything that a training can train: a `tf.Module` with these members."""

    vocabulary_size: int
    samples_batch: bool
    """Whether `sample` wants the items of all ranks."""

    @property
    def trainable_variables(self) -> Any:
        """Its weights."""

    @property
    def variables(self) -> Any:
        """Its weights and what it keeps beside them."""

    @property
    def tables(self) -> tuple[tf.Variable, ...]:
        """The weights with a row an item."""

    def sample(self, items: tf.Tensor, seed: tf.Tensor) -> Any:
        """What is drawn for a step, once for all of its rows; none: nothing."""

    def batch_loss(self, batch: Batch, sample: Any, noise: Noise | None) -> Loss:
        """The loss of some rows, as a sum over their targets."""


@runtime_checkable
class Surgical(Trainable, Protocol):
    """One of several tasks, whose gradients are taken apart from each other."""

    has_surgery: bool
    """Whether they are."""

    def task_losses(self, batch: Batch, noise: Noise | None) -> list[Loss]:
        """The parts of `batch_loss`, a task each."""


Judge = Callable[[Callable[[], None]], dict[str, float]]
"""Judges a model as it is now on the validation rows of all ranks; calls what it is given for each batch."""
