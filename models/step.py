"""One step of a training, which all ranks take together.

A rank's gradient is that of the sum over its targets, which the ranks add up and divide once, by the weight of the targets
of all: the gradient of one process with the whole batch, whatever is padded on whichever rank. What is drawn at random
follows from the seed and the step's number alone.
"""

from collections.abc import Callable, Sequence

import horovod.tensorflow as hvd
import tensorflow as tf

from conf.schema import Train
from models.dropout import Noise
from models.gradients import Gradient, add_parts, add_ranks, scale
from models.heads.next_item import Loss
from models.listening import Taken
from models.next_item import NextItemModel
from models.optimizers import LEGACY, lazy_tables


def make_step(
    model: NextItemModel,
    optimizer: LEGACY.Optimizer,
    settings: Train,
    averages: Sequence[tf.Variable] = (),
) -> Callable[..., Taken]:
    """The function of a batch (items, sessions, weights and ids of its rows), a seed and ages: it takes a step.

    All ranks take it together.

    averages  of the weights over the steps, which it keeps; none: it keeps none
    """
    variables = model.trainable_variables
    tables = {table.ref() for table in lazy_tables(model, settings)}
    rows = settings.batch_size // settings.parts

    @tf.function
    def step(
        items: tf.Tensor,
        sessions: tf.Tensor,
        weights: tf.Tensor,
        row_ids: tf.Tensor,
        seed: tf.Tensor,
        ages: tf.Tensor | None = None,
    ) -> Taken:
        # Flat: the ranks' batches may have rows of other lengths.
        sample = model.sample(hvd.allgather(tf.reshape(items, [-1])) if model.samples_batch else items, seed)
        parts: list[list[Gradient]] = []
        sums: list[Loss] = []
        for first in range(0, settings.batch_size, rows):
            part = slice(first, first + rows)
            # One part after the other: what one of them keeps for its gradient is gone before the next begins.
            done = [values for g in parts[-1:] for values in tf.nest.flatten(g, expand_composites=True)]
            with tf.control_dependencies(done), tf.GradientTape() as tape:
                noise = Noise(seed, row_ids[part])
                aged = None if ages is None else ages[part]
                sums.append(model.loss(items[part], sessions[part], weights[part], sample, noise, aged))
            gradients = tape.gradient(sums[-1].total, variables)
            parts.append(
                [
                    g if v.ref() in tables else tf.convert_to_tensor(g)
                    for g, v in zip(gradients, variables, strict=True)
                ]
            )
        total, weight = (tf.add_n(values) for values in zip(*sums, strict=True))
        total, weight = hvd.grouped_allreduce([total, weight], op=hvd.Sum)
        # Divided before they are added up, so that 16 bits can hold them: by the weight of all ranks, and so
        # the sum is the mean over the targets of the whole batch.
        means = scale(add_parts(parts), tf.math.divide_no_nan(1.0, weight))
        gradients = add_ranks(means, settings.wire)
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
