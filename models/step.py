"""One step of a training, which all ranks take together.

A rank's gradient is that of the sum over its targets, which the ranks add up and divide once, by the weight of the targets
of all: the gradient of one process with the whole batch, whatever is padded on whichever rank. What is drawn at random
follows from the seed and the step's number alone.
"""

from collections.abc import Callable, Sequence, Set
from typing import Any

import horovod.tensorflow as hvd
import tensorflow as tf

from conf.schema import Train
from models.dropout import Noise
from models.gradients import Gradient, add_parts, add_ranks, scale, surgery
from models.heads.next_item import Loss
from models.listening import Taken
from models.optimizers import LEGACY, lazy_tables
from models.trainable import Batch, Surgical, Trainable


def make_step(
    model: Trainable,
    optimizer: LEGACY.Optimizer,
    settings: Train,
    averages: Sequence[tf.Variable] = (),
) -> Callable[[Batch, tf.Tensor], Taken]:
    """The function of a batch and a seed that takes one step on all ranks.

    averages  of the weights over the steps, which it keeps; none: it keeps none
    """
    variables = model.trainable_variables
    tasks = model if isinstance(model, Surgical) and model.has_surgery else None
    tables = {table.ref() for table in lazy_tables(model, settings)}
    if tasks and tables:
        raise ValueError(
            f"task.label.balance=pcgrad compares whole gradients, and {model.vocabulary_size} items have theirs by row: set "
            "train.lazy_rows higher, or task.label.balance=uncertainty"
        )
    rows = settings.batch_size // settings.parts

    @tf.function(autograph=False)
    def step(batch: Batch, seed: tf.Tensor) -> Taken:
        items = batch["items"]
        # Flat: the ranks' batches may have rows of other lengths.
        sample = model.sample(hvd.allgather(tf.reshape(items, [-1])) if model.samples_batch else items, seed)
        parts: list[list[list[Gradient]]] = []  # of each part of the batch, of each loss, of each variable
        sums: list[Loss] = []
        for first in range(0, settings.batch_size, rows):
            part = {name: values[first : first + rows] for name, values in batch.items()}
            # One part after the other: what one of them keeps for its gradient is gone before the next begins.
            done = [values for g in parts[-1:] for values in tf.nest.flatten(g, expand_composites=True)]
            with tf.control_dependencies(done), tf.GradientTape(persistent=bool(tasks)) as tape:
                noise = Noise(seed, part["row_ids"])
                losses = tasks.task_losses(part, noise) if tasks else [model.batch_loss(part, sample, noise)]
            sums += losses
            parts.append([_gradients(tape, loss, variables, tables) for loss in losses])
        total, weight = (tf.add_n(values) for values in zip(*sums, strict=True))
        total, weight = hvd.grouped_allreduce([total, weight], op=hvd.Sum)
        # Divided before they are added up, so that 16 bits can hold them: by the weight of all ranks, and so
        # the sum is the mean over the targets of the whole batch.
        divided = [
            scale(add_parts(of_loss), tf.math.divide_no_nan(1.0, weight))
            for of_loss in zip(*parts, strict=True)
        ]
        added = [add_ranks(of_loss, settings.wire) for of_loss in divided]
        gradients = surgery(added, seed) if tasks else added[0]
        norm = tf.linalg.global_norm(gradients)
        gradients = scale(gradients, settings.clip_norm / tf.maximum(norm, settings.clip_norm))
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        if averages:
            taken = tf.cast(seed[1], tf.float32)
            kept = tf.minimum(
                settings.average, (taken + 1) / (taken + 10)
            )  # the first weights are soon forgotten
            for average, variable in zip(averages, variables, strict=True):
                average.assign_sub((1 - kept) * (average - variable))
        return Taken(total, weight, norm)

    return step


def _gradients(
    tape: tf.GradientTape, loss: Loss, variables: Sequence[tf.Variable], tables: Set[Any]
) -> list[Gradient]:
    """Of each variable, dense but for the rows of `tables`; zeros of one on which the loss does not depend."""
    found = tape.gradient(loss.total, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [
        g if v.ref() in tables else tf.convert_to_tensor(g) for g, v in zip(found, variables, strict=True)
    ]
