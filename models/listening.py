"""Who is told how a training goes, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # a listener may be known where TensorFlow is not loaded
    import tensorflow as tf

    from models.course import Course, Epoch


class Taken(NamedTuple):
    """What a step leaves; the same on every rank."""

    total: tf.Tensor  # () float32: the loss, summed over the targets of all ranks
    weight: tf.Tensor  # () float32: of these
    norm: tf.Tensor  # () float32: of the mean gradient over all weights, before it is clipped


@dataclass(frozen=True)
class Step:
    """A step that was taken."""

    epoch: int  # from 1
    number: int  # in its epoch, from 1
    steps: int  # of its epoch
    of_all: int  # of all epochs, from 1
    rows: int  # of all ranks, with those that fill batches up
    seconds: float  # since the step before, without what was told and saved in between
    waited: float  # seconds of these for its rows
    taken: Taken

    @property
    def loss(self) -> float:
        """The mean of its targets."""
        return float(self.taken.total) / max(float(self.taken.weight), 1.0)


class Listener:
    """Is told how a training goes, on the rank that has it. This one does nothing; others do more of it."""

    def started(
        self, course: Course, model: tf.Module, optimizer: tf.keras.optimizers.legacy.Optimizer
    ) -> None:
        """Before the first step; where `course.resumed`, of a training that goes on."""

    def at(self, doing: str, with_others: bool = False) -> None:
        """What is done from now on; `with_others`: where it may have to wait for them."""

    def stepped(self, step: Step) -> None:
        """After each step."""

    def ended(self, epoch: Epoch) -> None:
        """After each epoch, with the weights that it ended with."""

    def has_enough(self) -> bool:
        """Before each epoch, on every rank: whether the training may end. The first rank's word counts."""
        return False


class Several(Listener):
    """Tells each of several, in their order."""

    def __init__(self, *listeners: Listener):
        self.listeners = listeners

    def started(
        self, course: Course, model: tf.Module, optimizer: tf.keras.optimizers.legacy.Optimizer
    ) -> None:
        for each in self.listeners:
            each.started(course, model, optimizer)

    def at(self, doing: str, with_others: bool = False) -> None:
        for each in self.listeners:
            each.at(doing, with_others)

    def stepped(self, step: Step) -> None:
        for each in self.listeners:
            each.stepped(step)

    def ended(self, epoch: Epoch) -> None:
        for each in self.listeners:
            each.ended(epoch)

    def has_enough(self) -> bool:
        return any([each.has_enough() for each in self.listeners])
