"""One rank of a small training with labels, for tests: python -m tests.models.labelled_rank EXAMPLES OUT

Takes 10 steps with all training rows each, in the order of the files, so that trainings can be compared, and leaves
OUT/RANK.npz.
"""

import sys
from dataclasses import replace

import horovod.tensorflow as hvd
import numpy as np

from models.example_set import open_example_set
from models.optimizers import LEGACY
from models.shards import Order
from models.train import start, train
from models.trained import Labelled
from tests.models.labelled_cases import conf_of

STEPS = 10


def main(path: str, out: str) -> None:
    start(seed=1)
    conf, examples = conf_of("two targets", "model.dropout=0.0"), open_example_set(path)
    rows = sum(file.rows for file in examples.files("train"))
    settings = replace(conf.train, batch_size=-(-rows // hvd.size()), epochs=STEPS, patience=STEPS)
    conf = replace(conf, train=replace(settings, seed=1 + hvd.rank()))  # ranks that begin apart
    kind = Labelled(conf, conf.task, examples)
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
