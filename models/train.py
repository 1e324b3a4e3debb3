"""Trains a model with Horovod: a loop that every rank runs alike.

A rank reads its share of the example set, and takes its steps with the others (models/step.py). Each epoch the rows that
were read are counted and checked against the table's log, and the model is judged on the validation rows. A training that
was stopped goes on from its checkpoint as if it never had been.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from conf.schema import Train
from models.checkpoints import Checkpoints
from models.course import Course, Epoch
from models.example_set import TRAIN, VALIDATION, DataFile, ExampleSet
from models.export import Ranker, given_to
from models.guard import guard, guard_gpus
from models.histories import SEQUENCE
from models.inputs import cut, dataset
from models.listening import Listener, Step
from models.memory import validation_batch
from models.metrics import facts, per_user, without_seen
from models.optimizers import LEGACY, make_optimizer
from models.shards import Leg, Order, checksum, epoch_of, left, plan, rows_of, steps, wrap
from models.step import make_step
from models.trainable import Judge, Trainable


class TrainingError(RuntimeError):
    """A training that went wrong: the text says what was seen, and what was expected."""


@dataclass
class Outcome:
    """What came of a training. The model has the weights of its best epoch."""

    epochs: list[Epoch]
    resumed: int = 0  # times that it was stopped, and went on

    @property
    def best(self) -> Epoch:
        return [epoch for epoch in self.epochs if epoch.best][-1]


def start(seed: int, device: str = "cpu") -> None:
    """Begins this process as a rank: Horovod, its device and share of the cores, and the seed of the first weights."""
    guard()
    hvd.init()
    gpus = tf.config.list_physical_devices("GPU")
    mine = []
    if device == "gpu":
        guard_gpus(len(gpus), hvd.local_size(), bool(hvd.nccl_built()))
        mine = [gpus[hvd.local_rank()]]
        tf.config.experimental.set_memory_growth(mine[0], True)  # else it takes all there is, used or not
    tf.config.set_visible_devices(mine, "GPU")
    cores = cores_of(sorted(os.sched_getaffinity(0)), hvd.local_rank(), hvd.local_size())
    if device == "cpu":
        for thread in os.listdir("/proc/self/task"):  # Horovod's are there already
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), cores)
    tf.config.threading.set_intra_op_parallelism_threads(len(cores))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(seed)


def cores_of(cores: Sequence[int], rank: int, ranks: int) -> Sequence[int]:
    """Those of the cores of a host that one of its ranks keeps to; where there are more ranks, several keep to one.

    0 1 2 3 4, 2 ranks    0 1    2 3 4
    0 1, 3 ranks          0    0    1
    """
    first, last = (number * len(cores) // ranks for number in (rank, rank + 1))
    return cores[first : max(last, first + 1)]


def train(
    model: Trainable,
    examples: ExampleSet,
    settings: Train,
    metric: str,
    listener: Listener | None = None,
    optimizer: LEGACY.Optimizer | None = None,
    order: Order | None = None,
    checkpoints: Checkpoints | None = None,
    judge: Judge | None = None,
    least_is_best: bool = False,
) -> Outcome:
    """Trains `model` in place until `metric` gets no better on the validation rows.

    metric     a name of what `judge` finds; `least_is_best`: the lower the better

    listener   is told how it goes, on the rank that gives it
    optimizer  none: Adam (`make_optimizer`)
    order      none: shuffled as `settings` say
    checkpoints  none: it begins anew, and is lost where it is stopped
    judge      none: the model is a Ranker, judged by `models.metrics.per_user`
    """
    order = order or Order(
        settings.seed, settings.window_files, alike=settings.batch_size if settings.by_length else 0
    )
    optimizer = optimizer or make_optimizer(model, settings)
    checkpoints = checkpoints or Checkpoints(None, every=settings.checkpoint_steps)
    listener = listener or Listener()
    best = [tf.Variable(variable, trainable=False) for variable in model.trainable_variables]
    averages = [tf.Variable(each, trainable=False) for each in best] if settings.average else []
    course = checkpoints.open(model, optimizer, [*best, *averages])
    listener.started(course, model, optimizer)
    step = make_step(model, optimizer, settings, averages)
    judge = judge or ranking(model, examples, settings.by_length)  # type: ignore[arg-type]
    files = examples.files(TRAIN)
    rows = sum(file.rows for file in files)
    share = _share(examples, settings, order, course.epoch, course.legs)
    while course.epoch <= settings.epochs and not _agreed(
        course.waited >= settings.patience or listener.has_enough()
    ):
        loss, seen = _run_epoch(step, share, files, settings, course, checkpoints, listener)
        if course.epoch < settings.epochs:  # its first rows are read while this one is judged
            share = _share(examples, settings, order, course.epoch + 1, [])
        began = time.monotonic()
        _swap(averages, model.trainable_variables)
        metrics = judge(lambda: listener.at(f"judging epoch {course.epoch}", with_others=True))
        sign = -1 if least_is_best else 1
        better = course.best is None or sign * (metrics[metric] - course.best.metrics[metric]) > 0
        seconds = (course.seconds + time.monotonic() - began, course.seconds)
        epoch = Epoch(course.epoch, loss, metrics, rows, seen, *seconds, best=better)
        listener.ended(epoch)
        if better:
            _assign(best, model.trainable_variables)
        _swap(averages, model.trainable_variables)
        course.end_epoch(epoch)
        checkpoints.save(course)
    _assign(model.trainable_variables, best)
    return Outcome(course.epochs, course.resumed)


def _assign(variables: Sequence[tf.Variable], values: Sequence[tf.Variable]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _swap(averages: Sequence[tf.Variable], variables: Sequence[tf.Variable]) -> None:
    """What the variables have, the averages get, and the other way round; without averages nothing."""
    for average, variable in zip(averages, variables, strict=bool(averages)):
        value = tf.identity(variable)
        variable.assign(average)
        average.assign(value)


def ranking(model: Ranker, examples: ExampleSet, by_length: bool = False) -> Judge:
    """The judge of a model that ranks items."""
    score, given = tf.function(model.score, autograph=False), given_to(model)
    return lambda report: validate(score, examples, report, by_length=by_length, given=given)


def validate(
    score: Callable[..., tf.Tensor],
    examples: ExampleSet,
    report: Callable[[], None] = lambda: None,
    split: str = VALIDATION,
    by_length: bool = False,
    given: Iterable[str] = SEQUENCE,
) -> dict[str, float]:
    """Means over the rows of `split` of all ranks; candidates are the items that the training saw.

    Where the examples have a column `seen`, what is in it is no candidate of the row, the target apart.

    score: a Ranker's, as a `tf.function`; report: called for each batch; by_length: batches are cut to their rows' length;
    given: the columns that it takes
    """
    files = examples.files(split)
    pieces = plan(files, hvd.rank(), hvd.size(), may_be_empty=True)
    candidates = examples.counts("validation_sessions") > 0
    sums: dict[str, float] = {}
    size = validation_batch(examples.vocabulary_size)
    batches = steps(sum(p.rows for p in pieces), 1, size)
    stretches = epoch_of(pieces, 0, Order(shuffled=False))
    for batch in dataset(stretches, examples.lengths(split), size, batches):
        report()
        batch = cut(batch) if by_length else batch
        real = batch["weights"].numpy() > 0
        scores = score(*(batch[name] for name in given)).numpy()[real]
        targets = batch["targets"].numpy()[real]
        if "seen" in batch:
            scores = without_seen(scores, batch["seen"].numpy()[real], targets)
        better, ties = facts(scores, candidates, targets)
        for name, values in per_user(better, ties, np.count_nonzero(targets, axis=1)).items():
            sums[name] = sums.get(name, 0.0) + float(values.sum())
    return _mean_over_ranks(sums, sum(file.rows for file in files))


def _mean_over_ranks(sums: Mapping[str, float], rows: int) -> dict[str, float]:
    names = sorted(per_user(np.zeros((1, 1), int), np.ones((1, 1), int), np.ones(1, int)))
    local = tf.constant([sums.get(name, 0.0) for name in names], tf.float64)
    return dict(zip(names, (hvd.allreduce(local, op=hvd.Sum) / rows).numpy().tolist(), strict=True))


class _Share(NamedTuple):
    """What this rank has to read of an epoch."""

    legs: list[Leg]  # of the epoch, this one the last
    steps: int
    batches: tf.data.Dataset  # whose rows are being read


def _share(examples: ExampleSet, settings: Train, order: Order, epoch: int, legs: Sequence[Leg]) -> _Share:
    """This rank's share of what is left of an epoch, from 1, behind `legs`."""
    here = [*legs] if legs and legs[-1].ranks == hvd.size() else [*legs, Leg(hvd.size(), 0)]
    shares = left(examples.files(TRAIN), epoch - 1, order, here)
    count = steps(max(map(rows_of, shares)), 1, settings.batch_size)
    batches = dataset(shares[hvd.rank()], examples.lengths(TRAIN), settings.batch_size, count)
    return _Share(here, count, batches)


def _run_epoch(
    step: Callable,
    share: _Share,
    files: Sequence[DataFile],
    settings: Train,
    course: Course,
    checkpoints: Checkpoints,
    listener: Listener,
) -> tuple[float, int]:
    """Takes the steps that an epoch has left: the mean loss of a target, and the rows that all ranks saw."""
    began, before = time.monotonic(), course.seconds
    course.legs, count = share.legs, share.steps
    if course.step == 0 and not course.epochs:
        checkpoints.save(course)  # a folder that cannot be written to is said before an hour's work
    since = time.monotonic()
    for batch in share.batches:
        arrived = time.monotonic()
        batch = cut(batch) if settings.by_length else batch
        listener.at(f"taking step {course.step + 1} of epoch {course.epoch}", with_others=True)
        seed = tf.constant([settings.seed, course.steps], tf.int32)
        taken = step(batch, seed)
        course.loss += float(taken.total)
        course.weight += float(taken.weight)
        course.seen += int(batch["weights"].numpy().sum())
        course.ids = wrap(course.ids + int(batch["row_ids"].numpy().sum()))
        course.step, course.steps, count = course.step + 1, course.steps + 1, count - 1
        course.legs[-1] = Leg(hvd.size(), course.legs[-1].rows + settings.batch_size)
        now = time.monotonic()
        course.seconds = before + now - began
        if course.steps % checkpoints.every == 0 and count:
            checkpoints.save(course)
        listener.stepped(
            Step(
                epoch=course.epoch,
                number=course.step,
                steps=course.step + count,
                of_all=course.steps,
                rows=settings.batch_size * hvd.size(),
                seconds=now - since,
                waited=arrived - since,
                taken=taken,
            )
        )
        listener.at(f"waiting for the rows of step {course.step + 1} of epoch {course.epoch}")
        since = time.monotonic()
    seen_by_all = check_rows(files, course.epoch, course.seen, course.ids)
    loss = course.loss / max(course.weight, 1.0)
    if not np.isfinite(loss):
        raise TrainingError(
            f"epoch {course.epoch}: the loss is {loss}, expected a number: set train.learning_rate lower"
        )
    return loss, seen_by_all


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


def least(number: int) -> int:
    """The least of what the ranks say."""
    return int(hvd.allreduce(tf.constant(number, tf.int64), op=hvd.Min).numpy())


def _agreed(stop: bool) -> bool:
    """Rank 0's word, so that no rank stops alone."""
    return bool(hvd.broadcast(tf.constant(stop), root_rank=0).numpy())
