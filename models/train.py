"""Trains a model with Horovod: a loop that every rank runs alike.

A rank reads its share of the example set; a step adds up the ranks' gradients and weights and divides once,
so that its gradient is that of one process with the whole batch, whatever is padded on whichever rank. Each
epoch the rows that were read are counted and checked against the table's log, and the model is judged on the
validation rows.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from conf.schema import Train
from models.example_set import TRAIN, VALIDATION, DataFile, ExampleSet
from models.guard import guard
from models.inputs import Order, dataset
from models.metrics import facts, per_user
from models.next_item import NextItemModel
from models.shards import Position, checksum, plan, steps, wrap

__all__ = ["Epoch", "Outcome", "TrainingError", "guard", "make_step", "start", "train"]

OPTIMIZERS = (
    tf.keras.optimizers.legacy
)  # one fused operation a weight: Adam takes half the time of the newer one
VALIDATION_BATCH = 64  # rows scored at a time: 64 of 100,000 scores are 26 MB


class TrainingError(RuntimeError):
    """A training that went wrong: the text says what was seen, and what was expected."""


@dataclass(frozen=True)
class Epoch:
    """What came of one epoch; the same on every rank."""

    number: int  # from 1
    loss: float  # mean of a target
    metrics: Mapping[str, float]  # on the validation rows: ndcg@10, …
    rows_expected: int
    rows_seen: int
    seconds: float
    training_seconds: float
    best: bool  # of the epochs so far


@dataclass
class Outcome:
    """What came of a training. The model has the weights of its best epoch."""

    epochs: list[Epoch] = field(default_factory=list)

    @property
    def best(self) -> Epoch:
        return [epoch for epoch in self.epochs if epoch.best][-1]


def start(seed: int) -> None:
    """Begins this process as a rank: Horovod, its share of the cores, and the seed of the first weights."""
    guard()
    hvd.init()
    cores = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // hvd.local_size()))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(seed)


def train(
    model: NextItemModel,
    examples: ExampleSet,
    settings: Train,
    metric: str,
    report: Callable[[Epoch], None] = lambda epoch: None,
    report_step: Callable[[int, int, int], None] = lambda number, step, steps: None,
    optimizer: tf.keras.optimizers.legacy.Optimizer | None = None,
    order: Order | None = None,
) -> Outcome:
    """Trains `model` in place until `metric` gets no better on the validation rows.

    metric     a name of `models.metrics.per_user`

    report     called on every rank after each epoch
    report_step  likewise after each step, with the epoch's number, the step's from 1 and how many there are
    optimizer  none: Adam with a linear warm-up
    order      none: shuffled as `settings` say
    """
    order = order or Order(settings.seed, settings.window_files)
    optimizer = optimizer or OPTIMIZERS.Adam(WarmUp(settings.learning_rate, settings.warmup_steps))
    tf.random.set_seed(settings.seed + 1 + hvd.rank())  # of dropout: other masks on other ranks
    hvd.broadcast_variables(model.variables, root_rank=0)
    step = make_step(model, optimizer, settings.clip_norm)
    score = tf.function(model.score)
    outcome, best = Outcome(), -np.inf
    weights: list[np.ndarray] = []
    waited = 0
    for number in range(1, settings.epochs + 1):
        began = time.monotonic()
        loss, rows = _run_epoch(step, examples, settings, number, order, report_step)
        trained = time.monotonic()
        metrics = validate(score, examples)
        better = metrics[metric] > best
        seconds = (time.monotonic() - began, trained - began)
        outcome.epochs.append(Epoch(number, loss, metrics, *rows, *seconds, best=better))
        report(outcome.epochs[-1])
        waited = 0 if better else waited + 1
        if better:
            best, weights = metrics[metric], [v.numpy() for v in model.trainable_variables]
        if _agreed(waited >= settings.patience):
            break
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return outcome


class WarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly to `rate` over `steps` steps, then stays."""

    def __init__(self, rate: float, steps: int):
        super().__init__()
        self.rate, self.steps = rate, steps

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        return self.rate * tf.minimum(1.0, (tf.cast(step, tf.float32) + 1) / max(1, self.steps))


def make_step(
    model: NextItemModel, optimizer: tf.keras.optimizers.legacy.Optimizer, clip_norm: float
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """The function of a batch and a sample's seed that takes one step on all ranks.

    It returns the loss and the weight of the step's targets, each summed over the ranks.
    """
    variables = model.trainable_variables

    @tf.function
    def step(
        items: tf.Tensor, sessions: tf.Tensor, rows: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = model.loss(items, sessions, rows, seed, training=True)
        # Dense: two thirds of a batch's items differ, and gathering them from all ranks costs more than
        # adding all up.
        local = [tf.convert_to_tensor(g) for g in tape.gradient(loss.total, variables)]
        *gradients, total, weight = hvd.grouped_allreduce([*local, loss.total, loss.weight], op=hvd.Sum)
        # Sums over ranks, divided once: the mean over the targets of the whole batch, not over ranks.
        norm = tf.math.divide_no_nan(tf.linalg.global_norm(gradients), weight)
        scale = tf.math.divide_no_nan(clip_norm / tf.maximum(norm, clip_norm), weight)
        optimizer.apply_gradients([(g * scale, v) for g, v in zip(gradients, variables, strict=True)])
        return total, weight

    return step


def validate(score: Callable[..., tf.Tensor], examples: ExampleSet) -> dict[str, float]:
    """Means over the validation rows of all ranks; candidates are the items that the training saw.

    score: a Ranker's, as a `tf.function`
    """
    files = examples.files(VALIDATION)
    pieces = plan(files, hvd.rank(), hvd.size(), may_be_empty=True)
    candidates = examples.counts("validation_sessions") > 0
    sums: dict[str, float] = {}
    batches = steps(sum(p.rows for p in pieces), 1, VALIDATION_BATCH)
    layout = examples.lengths(VALIDATION)
    for batch in dataset(pieces, layout, VALIDATION_BATCH, batches, Position(0), Order(shuffled=False)):
        real = batch["weights"].numpy() > 0
        scores = score(batch["items"], batch["sessions"], batch["ages"]).numpy()[real]
        targets = batch["targets"].numpy()[real]
        better, ties = facts(scores, candidates, targets)
        for name, values in per_user(better, ties, np.count_nonzero(targets, axis=1)).items():
            sums[name] = sums.get(name, 0.0) + float(values.sum())
    return _mean_over_ranks(sums, sum(file.rows for file in files))


def _mean_over_ranks(sums: Mapping[str, float], rows: int) -> dict[str, float]:
    names = sorted(per_user(np.zeros((1, 1), int), np.ones((1, 1), int), np.ones(1, int)))
    local = tf.constant([sums.get(name, 0.0) for name in names], tf.float64)
    return dict(zip(names, (hvd.allreduce(local, op=hvd.Sum) / rows).numpy().tolist(), strict=True))


def _run_epoch(
    step: Callable, examples: ExampleSet, settings: Train, number: int, order: Order, report_step: Callable
) -> tuple[float, tuple[int, int]]:
    """Takes an epoch's steps: the mean loss of a target, and the rows expected and seen."""
    files = examples.files(TRAIN)
    pieces = plan(files, hvd.rank(), hvd.size())
    rows = sum(file.rows for file in files)
    count = steps(rows, hvd.size(), settings.batch_size)
    position = Position(number - 1)
    seen = ids = 0
    losses, weights = [], []
    batches = dataset(pieces, examples.lengths(TRAIN), settings.batch_size, count, position, order)
    for i, batch in enumerate(batches):
        seed = tf.constant([settings.seed, (number - 1) * count + i], tf.int32)
        loss, weight = step(batch["items"], batch["sessions"], batch["weights"], seed)
        losses.append(loss)
        weights.append(weight)
        seen += int(batch["weights"].numpy().sum())
        ids = wrap(ids + int(batch["row_ids"].numpy().sum()))
        report_step(number, i + 1, count)
    seen_by_all = check_rows(files, number, seen, ids)
    loss = float(tf.add_n(losses) / tf.maximum(tf.add_n(weights), 1))
    if not np.isfinite(loss):
        raise TrainingError(
            f"epoch {number}: the loss is {loss}, expected a number: set train.learning_rate lower"
        )
    return loss, (rows, seen_by_all)


def check_rows(files: Sequence[DataFile], number: int, seen: int, ids: int) -> int:
    """Adds up what the ranks read, and raises `TrainingError` where it is not what the table's log says.

    Returns the rows.
    """
    counted, summed = hvd.allreduce(tf.constant([seen, ids], tf.int64), op=hvd.Sum).numpy().tolist()
    expected, expected_sum = sum(file.rows for file in files), checksum(files)
    if (counted, summed) != (expected, expected_sum):
        raise TrainingError(
            f"epoch {number} read {counted} rows whose row_id add up to {summed}, expected {expected} and "
            f"{expected_sum} by the table's log: rows were lost or read twice; the model is not kept"
        )
    return counted


def _agreed(stop: bool) -> bool:
    """Rank 0's word, so that no rank stops alone."""
    return bool(hvd.broadcast(tf.constant(stop), root_rank=0).numpy())
