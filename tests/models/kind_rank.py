"""One rank of a small training of any kind, for tests: python -m tests.models.kind_rank EXAMPLES OUT CASE

Takes 10 steps with all training rows each, in the order of the files, so that trainings can be compared, and leaves
OUT/RANK.npz.
"""

import sys
from dataclasses import replace

import horovod.tensorflow as hvd
import numpy as np

from conf.load import load
from models.example_set import open_example_set
from models.optimizers import LEGACY
from models.shards import Order
from models.train import start, train
from models.trained import kind_of
from tests.models.example_sets import LENGTH, POSITIONS
from tests.models.labelled_cases import conf_of

STEPS = 10
SMALL = [
    "model=sasrec",
    "model.width=8",
    "model.blocks=1",
    "model.dropout=0.3",
    "model.negatives=8",
    f"task.length={LENGTH}",
    f"task.positions={POSITIONS}",
]
LINEAR = [*SMALL, "model.loss=softmax", "model.linear=2", "model.linear_neighbours=5"]
PRETRAINING = [
    *SMALL,
    "step=pretrain",
    "pretrain.objectives.masked_item=0.5",
    "pretrain.objectives.contrast=0.5",
    "pretrain.views=[crop,mask,reorder]",
]
CASES = {
    "labels": lambda: conf_of("two targets", "model.dropout=0.0"),
    "several": lambda: conf_of("several", "model.dropout=0.0"),
    "surgery": lambda: conf_of("several", "model.dropout=0.0", "task.label.balance=pcgrad"),
    "pretraining": lambda: load(PRETRAINING),
    "linear": lambda: load(LINEAR),
}


def main(path: str, out: str, case: str) -> None:
    start(seed=1)
    conf, examples = CASES[case](), open_example_set(path)
    rows = sum(file.rows for file in examples.files("train"))
    settings = replace(conf.train, batch_size=-(-rows // hvd.size()), epochs=STEPS, patience=STEPS)
    conf = replace(conf, train=replace(settings, seed=1 + hvd.rank()))  # ranks that begin apart
    kind = kind_of(conf, conf.task, examples)
    outcome = train(
        kind.model,
        examples,
        settings,
        kind.metric,
        optimizer=LEGACY.SGD(0.5),
        order=Order(shuffled=False),
        **kind.judged,
    )
    np.savez(
        f"{out}/{hvd.rank()}.npz",
        *(variable.numpy() for variable in kind.model.trainable_variables),
        losses=[epoch.loss for epoch in outcome.epochs],
        metrics=[list(epoch.metrics.values()) for epoch in outcome.epochs],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
