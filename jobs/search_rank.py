"""One rank of a trial: what jobs/search.py starts `train.ranks` times.

    python -m jobs.search_rank VERSION TRIAL RUN < CONFIGURATION.yaml

Every rank trains; the first one tells the study's trial, by its id in the storage, how each epoch was, and records the
training in a run below RUN. Nothing is exported.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from jobs.search import FOUND
from jobs.train_rank import Rank, attempt, opened
from models.listening import Listener, Several

if TYPE_CHECKING:
    import optuna

    from models.course import Course, Epoch


class Telling(Listener):
    """Tells a trial each epoch's metric, and asks it whether the training is worth going on with."""

    def __init__(self, trial: optuna.Trial, metric: str):
        self.trial, self.metric, self.pruned = trial, metric, False

    def started(self, course: Course, model: Any, optimizer: Any) -> None:
        for epoch in course.epochs:  # of a training that was stopped: what is told already stays
            self.ended(epoch)

    def ended(self, epoch: Epoch) -> None:
        self.trial.report(epoch.metrics[self.metric], epoch.number)
        self.pruned = self.trial.should_prune()

    def has_enough(self) -> bool:
        return self.pruned


def main(text: str, version: int, trial_id: int, parent: str) -> None:
    import horovod.tensorflow as hvd

    with opened(text, version) as rank:
        if hvd.rank() == 0:
            train_and_tell(rank, trial_id, parent)
        else:
            rank.train(rank.watchdog)


def train_and_tell(rank: Rank, trial_id: int, parent: str) -> None:
    """What the first rank does."""
    import horovod.tensorflow as hvd
    import optuna

    from jobs.progress import Progress
    from models.recording import curves, recorded
    from models.registry import connect

    conf, examples, checkpoints = rank.conf, rank.examples, rank.checkpoints
    study = optuna.load_study(
        study_name=conf.search.study,
        storage=conf.search.storage,
        pruner=optuna.pruners.MedianPruner(conf.search.startup, n_warmup_steps=conf.search.least_epochs),
    )
    telling = Telling(optuna.Trial(study, trial_id), rank.kind.metric)
    registry = connect(conf.registry, conf.artifacts)
    with recorded(registry, conf, examples, checkpoints.run, rank.hosts, parent) as run:
        checkpoints.run = run.id
        progress = Progress(conf.train.epochs, sum(f.rows for f in examples.files("train")), hvd.size())
        with curves(conf, run, None, None) as written:
            listener = Several(rank.watchdog, progress, written, telling)
            outcome = rank.train(listener)
        best = outcome.best
        telling.trial.set_user_attr(
            FOUND,
            {
                "value": best.metrics[rank.kind.metric],
                "epoch": best.number,
                "epochs": len(outcome.epochs),
                "seconds": round(sum(epoch.seconds for epoch in outcome.epochs), 1),
                "parameters": sum(v.shape.num_elements() for v in rank.kind.model.trainable_variables),
                "pruned": telling.pruned,
                "run": run.id,
            },
        )
        checkpoints.clear()


if __name__ == "__main__":
    attempt(lambda text: main(text, int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
