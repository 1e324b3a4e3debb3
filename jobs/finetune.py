"""Train a task with labels from a pretrained encoder, and register the model.

Reads `examples/<set_id>` of the task and the encoder `finetune.encoder` (jobs/pretrain.py). By `finetune.mode` it trains the
whole of the model, all but the encoder, or low-rank updates of that, with the loop and the ranks of jobs/train.py. Registers
a version of the task, which is as any other; of a `finetune.share` of the users with labels, or with `finetune.apart`, a
version of `<task>.few`, which nothing serves. One that is registered already is left as it is. Safe to run again after a
kill.

    python jobs/finetune.py ds=2017-12-28 promote.holdout_days=28 task=churn model=sasrec
    python jobs/finetune.py ds=2017-12-28 promote.holdout_days=28 task=churn finetune.mode=frozen finetune.share=0.01
"""

from dataclasses import replace
from typing import Any

from conf.pretraining import unfit_to_tune
from conf.schema import ENCODERS, Config
from jobs.job import InputError, configure
from jobs.train import attempt, set_id_of, trained
from models.example_set import open_example_set
from models.pretrained import encoder_of, room_of
from models.registry import Registry, connect
from models.warm_start import NONE


def finetune(conf: Config) -> dict[str, Any]:
    """Trains and registers what `conf` says. Returns the version, and how many users and positives it learnt from."""
    if conf.task.label is None:
        raise InputError(
            f"task={conf.task.name} has no labels, expected one that has: set task=churn, or another"
        )
    if conf.model.name not in ENCODERS:
        raise InputError(
            f"model={conf.model.name} is a baseline, expected one of {', '.join(ENCODERS)}: set model"
        )
    if problem := next(unfit_to_tune(conf), None):
        raise InputError(problem)
    registry = connect(conf.registry, conf.artifacts)
    conf = replace(
        conf,
        step="finetune",
        set_id=conf.set_id or set_id_of(conf),
        train=replace(conf.train, warm_start=NONE),
    )
    return trained(with_encoder(conf, registry), registry)


def with_encoder(conf: Config, registry: Registry) -> Config:
    """The configuration with the number of the version that `finetune.encoder` means today, and the room that it has."""
    if conf.finetune.encoder == NONE:
        return replace(conf, finetune=replace(conf.finetune, positions=None))
    tuned, examples = conf.finetune, open_example_set(f"{conf.lake}/examples/{conf.set_id}")
    version = encoder_of(registry, tuned.pretext, tuned.encoder, conf.model, examples)
    found = replace(tuned, encoder=str(version.version), positions=room_of(registry, version))
    return replace(conf, finetune=found)


if __name__ == "__main__":
    attempt(finetune, replace(configure(), step="finetune"))
