"""One rank of a small training, for tests: python -m tests.models.train_rank EXAMPLES OUT CASE

Trains 50 steps with all 13 rows each, in the order of the files, so that trainings can be compared; leaves OUT/RANK.npz.
"""

import os
import sys
from dataclasses import dataclass, field
from typing import Any

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from conf.schema import Model, Task, Train
from models.example_set import open_example_set
from models.inputs import dataset
from models.next_item import NextItemModel
from models.optimizers import LEGACY, RowAdam, lazy_tables
from models.shards import Order, epoch_of, plan, steps
from models.train import start, train

ROWS, STEPS = 13, 50


@dataclass
class Case:
    """How it is trained, and how far the weights may lie apart in the end."""

    optimizer: str = "adam"
    tolerance: float = 1e-4
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


ALWAYS = {"lazy_rows": 1}  # only the rows of a step
CASES = {
    "sgd": Case("sgd", 1e-5),
    "sgd of 16 bits": Case("sgd", 1e-2, train={"wire": "fp16"}),
    "lazy sgd": Case("sgd", 1e-5, train=ALWAYS),
    "dense adam": Case(model={"dropout": 0.3}),
    "dense adam in parts": Case(model={"dropout": 0.3}, train={"parts": 13}),
    "lazy adam": Case(model={"dropout": 0.3, "sampling": "batch"}, train=ALWAYS),
    "lazy adam in parts": Case(model={"dropout": 0.3, "sampling": "batch"}, train=ALWAYS | {"parts": 13}),
    "uniform gru": Case(model={"name": "gru", "sampling": "uniform"}, train=ALWAYS),
    "bsarec": Case(
        model={"name": "bsarec", "dropout": 0.3, "loss": "softmax", "start": "normal", "norm": "post"}
        | {
            "targets": "last",
            "places": "relative",
            "filter_share": 0.7,
            "label_smoothing": 0.1,
            "consistency": 0.5,
        },
        train={"by_length": True, "average": 0.9},
    ),
    "bert4rec": Case(model={"name": "bert4rec", "dropout": 0.3, "loss": "softmax", "norm": "post"}),
    "hstu": Case(model={"name": "hstu", "dropout": 0.3}),
    "repeat": Case(model={"name": "repeat", "repeat": 4, "dropout": 0.3}),
    "softmax": Case(model={"loss": "softmax"}),
}


def main(path: str, out: str, case: Case) -> None:
    start(seed=1)
    examples = open_example_set(path)
    batch_size = -(-ROWS // hvd.size())
    settings = Train(batch_size=batch_size, epochs=STEPS, patience=STEPS, **case.train)
    described = {"name": "sasrec", "width": 8, "blocks": 1, "dropout": 0.0, "negatives": 8} | case.model
    model = NextItemModel(
        Model(**described),
        Task(event_types=["purchase"], length=12, positions=4),
        examples.counts("validation_sessions"),
        seed=1 + hvd.rank(),  # ranks that begin apart: only the broadcast brings them together
        category_of=examples.category_of(),
    )
    tables = lazy_tables(model, settings)
    optimizer = LEGACY.SGD(0.5) if case.optimizer == "sgd" else RowAdam(0.01, tables, epsilon=1e-6)
    outcome = train(model, examples, settings, "ndcg@10", optimizer=optimizer, order=Order(shuffled=False))
    items = tf.constant([[3, 4, 5, 6]])
    np.savez(
        f"{out}/{hvd.rank()}.npz",
        *(variable.numpy() for variable in model.trainable_variables),
        logits=model.score(items, tf.constant([[1, 1, 2, 3]]), tf.zeros((1, 4))).numpy()[:, 3:],
        row_ids=np.array(read_again(examples, batch_size)),
        losses=[epoch.loss for epoch in outcome.epochs],
        ndcg=[epoch.metrics["ndcg@10"] for epoch in outcome.epochs],
        rows=[[epoch.rows_expected, epoch.rows_seen] for epoch in outcome.epochs],
        cores=[sorted(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")],
    )


def read_again(examples, batch_size: int) -> list[int]:
    """The row ids that this rank reads in a shuffled epoch."""
    files = examples.files("train")
    count = steps(sum(f.rows for f in files), hvd.size(), batch_size)
    pieces = plan(files, hvd.rank(), hvd.size())
    order = Order(seed=5, window_files=2)
    batches = dataset(epoch_of(pieces, 1, order), examples.lengths(), batch_size, count)
    return [
        int(i) for b in batches for i, w in zip(b["row_ids"].numpy(), b["weights"].numpy(), strict=True) if w
    ]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], CASES[sys.argv[3]])
