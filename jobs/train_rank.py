"""One rank of a training: what jobs/train.py starts `train.ranks` times.

    python -m jobs.train_rank VERSION < CONFIGURATION.yaml

Every rank trains; the first one records the run, exports the model and registers it. VERSION is that of the
example set.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil
from omegaconf import OmegaConf

from conf.schema import Config, Task
from jobs.places import checkpoints_of, on_disk
from models.guard import KerasError, SetUpError, guard, guard_wandb

if TYPE_CHECKING:  # none of it is loaded before Keras was looked at
    from models.checkpoints import Checkpoints
    from models.example_set import ExampleSet
    from models.listening import Listener
    from models.registry import Registry, Run
    from models.train import Outcome
    from models.trained import Kind
    from models.watchdog import Watchdog


@dataclass(frozen=True)
class Rank:
    """What a rank trains, and with what."""

    conf: Config
    examples: ExampleSet
    kind: Kind
    checkpoints: Checkpoints
    watchdog: Watchdog
    hosts: list[str]  # of each rank the name

    def train(self, listener: Listener) -> Outcome:
        """Trains with the other ranks; see `models.train.train`."""
        from models.train import train

        return train(
            self.kind.model,
            self.examples,
            self.conf.train,
            self.kind.metric,
            listener,
            checkpoints=self.checkpoints,
            **self.kind.judged,
        )


@contextmanager
def opened(text: str, version: int) -> Iterator[Rank]:
    """This process as a rank, with the configuration `text` and the example set at `version`."""
    import horovod.tensorflow as hvd

    from models.checkpoints import Checkpoints
    from models.example_set import open_example_set
    from models.few import few
    from models.train import start
    from models.trained import kind_of
    from models.watchdog import Watchdog

    typed = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(text))
    conf = cast(Config, OmegaConf.to_object(typed))
    guard_wandb(conf.train.wandb)
    start(conf.train.seed, conf.train.device)
    watchdog = Watchdog(hvd.rank(), conf.train.stall_seconds)
    with tempfile.TemporaryDirectory() as folder:
        examples = open_example_set(f"{conf.lake}/examples/{conf.set_id}", version)
        if conf.step == "finetune":
            examples = few(examples, conf.finetune.share, Path(folder))
        task = shape_of(conf.task, examples.spec)
        with_room(conf, task, examples)
        if conf.model.linear:  # is fitted at once, however long that takes
            watchdog.rest()
        kind = kind_of(conf, task, examples)
        watchdog.at("starting")
        checkpoints = Checkpoints(folder_of(conf, version), conf.train.checkpoint_steps)
        yield Rank(conf, examples, kind, checkpoints, watchdog, hvd.allgather_object(platform.node()))


def main(text: str, version: int) -> None:
    import horovod.tensorflow as hvd

    with opened(text, version) as rank:
        if hvd.rank() == 0:
            train_and_register(rank)
        else:
            rank.train(rank.watchdog)


def folder_of(conf: Config, version: int) -> Path | None:
    """Where this training's checkpoints are: the same for any number of ranks. None beside a lake that is in no folder."""
    root = checkpoints_of(conf)
    return root / name_of(conf, version) if root else None


def places_of_curves(conf: Config, version: int) -> tuple[Path | None, Path | None]:
    """The folders of this training's TensorBoard log, and of all that Weights & Biases keeps."""
    lake = on_disk(conf.lake)
    boards = conf.train.tensorboard or (f"{lake}.tensorboard" if lake else None)
    board = Path(boards).absolute() / name_of(conf, version) if boards else None
    return board, Path(f"{lake}.wandb") if lake else None


def name_of(conf: Config, version: int) -> str:
    """This training's name, whatever the number of ranks."""
    from jobs.train import hash_of

    of_any = replace(conf, train=replace(conf.train, ranks=0))
    return f"{conf.set_id}-v{version}-{conf.model.name}-{hash_of(of_any)}"


def shape_of(task: Task, spec: Any) -> Task:
    """The task with the lengths that the examples have."""
    task.length, task.positions = int(spec["columns"]["items"]["length"]), int(spec["positions"])
    return task


def with_room(conf: Config, task: Task, examples: Any) -> None:
    """Shows what a rank will need of its machine's memory; raises `MemoryPlanError` where that is not there."""
    import horovod.tensorflow as hvd

    from models.memory import GIB, free_memory, memory_plan
    from models.pretraining import passes
    from models.train import least

    given, settings = conf.train.memory_gib, conf.train
    if conf.step == "pretrain":  # as if each time that rows are encoded they were others
        settings = replace(settings, batch_size=settings.batch_size * passes(conf.pretrain))
    # Of all ranks the least, which also waits for each of them to have looked before one begins to take.
    available = least(int(given * GIB) if given else free_memory() // hvd.local_size())
    plan = memory_plan(conf.model, task, settings, examples, hvd.size(), available)
    if hvd.rank() == 0:
        print(f"  {plan}", flush=True)
    plan.check()


def train_and_register(rank: Rank) -> None:
    """What the first rank does."""
    import horovod.tensorflow as hvd

    from jobs.progress import Progress
    from jobs.train import numbers_of, registered_as, tags_of
    from models.few import counted
    from models.listening import Several
    from models.recording import curves, recorded
    from models.registry import connect
    from models.warm_start import NONE

    conf, examples, kind, checkpoints = rank.conf, rank.examples, rank.kind, rank.checkpoints
    registry = connect(conf.registry, conf.artifacts)
    with recorded(registry, conf, examples, checkpoints.run, rank.hosts) as run:
        if conf.train.warm_start != NONE and not checkpoints.run:  # a checkpoint has weights of its own
            begin_from_version(conf, registry, examples, kind.model, run)
        if conf.step == "finetune" and conf.finetune.encoder != NONE and not checkpoints.run:
            begin_from_encoder(conf, registry, examples, kind.model, run)
        checkpoints.run = run.id
        progress = Progress(conf.train.epochs, sum(f.rows for f in examples.files("train")), hvd.size())
        with curves(conf, run, *places_of_curves(conf, examples.version)) as written:
            listener = Several(rank.watchdog, progress, written)
            outcome = rank.train(listener)
        rank.watchdog.at("exporting and registering the model")
        progress.best(outcome.best)
        with tempfile.TemporaryDirectory() as folder:
            kind.export(Path(folder, "model"))
            tags = tags_of(conf, examples) | {
                "ranks": hvd.size(),
                **({"ranks_asked": conf.train.ranks} if hvd.size() != conf.train.ranks else {}),
                "warm_start": conf.train.warm_start,
                **(asdict(conf.finetune) | counted(examples) if conf.step == "finetune" else {}),
                "resumed": outcome.resumed,
                "best_epoch": outcome.best.number,
                "rows_per_epoch_expected": outcome.best.rows_expected,
                "rows_per_epoch_seen": outcome.best.rows_seen,
                "seconds": round(time.time() - psutil.Process().create_time(), 1),
            }
            # First: what is looked for, to see that all is done, comes last.
            for question in examples.spec.get("label", {}).get("questions", ()):
                register_alone(rank, registry, run, question, tags, Path(folder))
            registry.register(
                run,
                registered_as(conf),
                Path(folder, "model"),
                tags,
                numbers_of(examples) if conf.task.label else None,
            )
        checkpoints.clear()


def register_alone(
    rank: Rank, registry: Registry, run: Run, question: dict[str, Any], tags: dict[str, Any], folder: Path
) -> None:
    """Registers what a model of several tasks answers to one of them, as a version of that task."""
    from jobs.train import TOGETHER, numbers_of
    from models.example_set import open_example_set
    from models.trained import Labelled

    task = question["task"]
    own = open_example_set(f"{rank.conf.lake}/examples/{question['set_id']}")
    assert isinstance(rank.kind, Labelled)
    rank.kind.export_alone(task, own, folder / task)
    theirs = {
        "model": rank.conf.model.name + TOGETHER,
        "set_id": own.set_id,
        "example_version": own.version,
        "together": rank.conf.task.name,
    }
    registry.register(run, task, folder / task, tags | theirs, numbers_of(own))


def begin_from_version(conf: Config, registry: Any, examples: Any, model: Any, run: Any) -> None:
    """Gives this rank's model the weights of the version `train.warm_start`; the other ranks then get them from this one."""
    from models.warm_start import fitting
    from models.warm_weights import begin

    version = fitting(registry, conf.task.name, conf.train.warm_start, conf.model, examples)
    begun = begin(model, registry.saved_model_path(version), examples.vocabulary)
    say_begun(run, "warm_start", version, begun)


def begin_from_encoder(conf: Config, registry: Any, examples: Any, model: Any, run: Any) -> None:
    """Gives this rank's model the weights of the encoder `finetune.encoder`; the other ranks then get them from this one."""
    from models.pretrained import encoder_of
    from models.warm_weights import begin_encoder

    tuned = conf.finetune
    version = encoder_of(registry, tuned.pretext, tuned.encoder, conf.model, examples)
    begun = begin_encoder(model, registry.saved_model_path(version), examples.vocabulary)
    say_begun(run, "begun", version, begun)


def say_begun(run: Any, name: str, version: Any, begun: Any) -> None:
    run.log_params({name: asdict(begun)})
    print(
        f"  begins from {version.task} v{version.version}: of its items {begun.known:,}, from the mean of their category "
        f"{begun.by_category:,}, from the mean of all {begun.by_all:,}",
        flush=True,
    )


def attempt(rank: Callable[[str], None]) -> None:
    """Runs a rank with the configuration on standard input, with one line for what its user can put right."""
    try:
        guard()  # before anything is imported that needs Keras
    except KerasError as error:
        stop(error)
    from models.content import ContentError
    from models.example_set import ExampleSetError
    from models.memory import MemoryPlanError
    from models.train import TrainingError
    from models.warm_start import WarmStartError

    try:
        rank(sys.stdin.read())
    except (
        ContentError,
        ExampleSetError,
        MemoryPlanError,
        SetUpError,
        TrainingError,
        WarmStartError,
    ) as error:
        stop(error)


def stop(error: Exception) -> None:
    print(f"error: {error}", file=sys.stderr, flush=True)
    os._exit(2)  # at once: an orderly end would wait for the other ranks


if __name__ == "__main__":
    attempt(lambda text: main(text, int(sys.argv[1])))
