"""The optimizer of a training, and how its learning rate runs."""

from collections.abc import Sequence
from typing import Any

import horovod.tensorflow as hvd
import tensorflow as tf

from conf.schema import Train
from models.trainable import Trainable

LEGACY = tf.keras.optimizers.legacy  # one fused operation a weight: Adam takes half the time of the newer one
RATES = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}
"""The learning rate grows with the ranks to this power: Goyal et al., 2017, for `linear`."""


class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `rate` over `steps` steps, then stays."""

    def __init__(self, rate: float, steps: int):
        super().__init__()
        self.rate, self.steps = rate, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self.rate * tf.minimum(1.0, (tf.cast(step, tf.float32) + 1) / max(1, self.steps))


class RowAdam(tf.keras.optimizers.legacy.Adam):
    """Adam (Kingma and Ba, 2015), which leaves the rows of `tables` that have no gradient as they are.

    Each row of a table is a weight of its own: its moments and the correction of their bias go by the steps in which
    it had a gradient. So a row ends where Adam would have taken it that saw these steps alone, and a step costs what
    its rows cost. Keras's own decays the moments of all rows, and moves them, at each step.

    tables  whose gradients come as `tf.IndexedSlices`, each index once
    decay   share of a weight that a step takes away, times the learning rate and apart from the gradient (Loshchilov and
            Hutter, 2019, "AdamW"): of matrices, of rows where they have a gradient; biases and normalisation keep theirs
    """

    def __init__(
        self, learning_rate: Any, tables: Sequence[tf.Variable] = (), decay: float = 0.0, **settings: Any
    ):
        super().__init__(learning_rate, **settings)
        self._tables, self._decay_share = {table.ref() for table in tables}, decay

    def _create_slots(self, var_list: Sequence[tf.Variable]) -> None:
        super()._create_slots(var_list)
        for table in var_list:
            if table.ref() in self._tables:
                self.add_slot(table, "steps", shape=table.shape[:1])  # (rows,) float32

    def _resource_apply_dense(
        self, grad: tf.Tensor, var: tf.Variable, apply_state: Any = None
    ) -> tf.Operation:
        if not self._decay_share or var.shape.rank < 2:
            return super()._resource_apply_dense(grad, var, apply_state)
        with tf.control_dependencies([var.assign_sub(self._decay_share * self._decayed_lr(var.dtype) * var)]):
            return super()._resource_apply_dense(grad, var, apply_state)

    def _resource_apply_sparse_duplicate_indices(
        self, grad: tf.Tensor, handle: tf.Variable, indices: tf.Tensor, **_: Any
    ) -> tf.Operation:
        """grad (rows, …), indices (rows,): each once, so that there is nothing left to add up."""
        one, two = (self._get_hyper(name, grad.dtype) for name in ("beta_1", "beta_2"))
        moments = [self.get_slot(handle, name) for name in ("m", "v", "steps")]
        first, second, steps = (tf.gather(moment, indices) for moment in moments)
        first += (1 - one) * (grad - first)
        second += (1 - two) * (grad**2 - second)
        steps += 1
        rate = self._decayed_lr(grad.dtype) * tf.sqrt(1 - two**steps) / (1 - one**steps)  # (rows,)
        rate = tf.reshape(rate, [-1, *[1] * (len(grad.shape) - 1)])
        change = rate * first / (tf.sqrt(second) + self.epsilon)
        if self._decay_share and handle.shape.rank > 1:
            change += self._decay_share * self._decayed_lr(grad.dtype) * tf.gather(handle, indices)
        return tf.group(
            handle.scatter_sub(tf.IndexedSlices(change, indices)),
            *(
                moment.scatter_update(tf.IndexedSlices(values, indices))
                for moment, values in zip(moments, (first, second, steps), strict=True)
            ),
        )


def lazy_tables(model: Trainable, settings: Train) -> tuple[tf.Variable, ...]:
    """The weights of which a step changes only the rows that it looked at: those of a large catalogue.

    A small one's gradients are dense: most of its items are in a batch, and to gather them from all ranks costs more than to
    add all up.
    """
    return model.tables if model.vocabulary_size >= settings.lazy_rows else ()


def make_optimizer(model: Trainable, settings: Train) -> RowAdam:
    """Adam with a linear warm-up to `peak_rate`, and with `train.weight_decay`."""
    rate = WarmUp(peak_rate(settings, hvd.size()), settings.warmup_steps)
    return RowAdam(rate, lazy_tables(model, settings), settings.weight_decay)


def peak_rate(settings: Train, ranks: int) -> float:
    """The learning rate after the warm-up, of steps whose batch is `ranks` times that of one rank."""
    return settings.learning_rate * ranks ** RATES[settings.rate_by_ranks]
