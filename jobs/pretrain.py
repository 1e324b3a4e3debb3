"""Pretrain an encoder without labels, and register it.

Reads `examples/<set_id>` of a task that ranks items, trains the encoder `model` by the objectives of
`pretrain.objectives` with the loop and the ranks of jobs/train.py, and registers it as a version of `<task>.encoder`: a
SavedModel with its weights by name and its vocabulary, beside the configuration that made it. One that is registered already
is left as it is. Safe to run again after a kill. jobs/finetune.py begins from it.

    python jobs/pretrain.py ds=2017-12-28 promote.holdout_days=28 model=sasrec
    python jobs/pretrain.py ds=2017-12-28 model=bert4rec pretrain.objectives.next_item=0 pretrain.objectives.next_gap=0 \\
        pretrain.objectives.masked_item=1
"""

from dataclasses import replace
from typing import Any

from conf.pretraining import unfit_to_pretrain
from conf.schema import ENCODERS, Config
from jobs.job import InputError, configure
from jobs.train import attempt, set_id_of, trained
from models.pretrained import NEWEST
from models.registry import Registry, connect
from models.warm_start import NONE, encoders_of


def pretrain(conf: Config) -> dict[str, Any]:
    """Pretrains and registers what `conf` says. Returns the version, and the rows of an epoch."""
    if conf.task.label:
        raise InputError(
            f"task={conf.task.name} has labels, expected one that ranks items: set task=next_item"
        )
    if conf.model.name not in ENCODERS:
        raise InputError(
            f"model={conf.model.name} is a baseline, expected one of {', '.join(ENCODERS)}: set model"
        )
    conf = replace(
        conf,
        step="pretrain",
        set_id=conf.set_id or set_id_of(conf),
        train=replace(conf.train, warm_start=NONE),
    )
    if problem := next(unfit_to_pretrain(conf), None):
        raise InputError(problem)
    return trained(conf, connect(conf.registry, conf.artifacts))


def is_missing(conf: Config, registry: Registry) -> bool:
    """Whether the newest encoder is to be tuned, and none of this model is registered yet."""
    encoders = registry.versions(encoders_of(conf.finetune.pretext))
    return conf.finetune.encoder == NEWEST and conf.model.name not in {
        each.tags["model"] for each in encoders
    }


if __name__ == "__main__":
    attempt(pretrain, replace(configure(), step="pretrain"))
