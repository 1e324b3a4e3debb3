"""One rank of a small training, for tests: python -m tests.models.train_rank EXAMPLES OUT BATCH EPOCHS

Trains without dropout and with plain SGD, in the order of the files, so that trainings can be compared;
leaves OUT/RANK.npz.
"""

import sys

import horovod.tensorflow as hvd
import numpy as np
import tensorflow as tf

from conf.schema import Model, Task, Train
from models.example_set import open_example_set
from models.inputs import dataset
from models.next_item import NextItemModel
from models.shards import Order, epoch_of, plan, steps
from models.train import start, train


def main(path: str, out: str, batch_size: int, epochs: int) -> None:
    start(seed=1)
    examples = open_example_set(path)
    settings = Train(batch_size=batch_size, epochs=epochs, patience=epochs)
    model = NextItemModel(
        Model(name="sasrec", width=8, blocks=1, dropout=0.0, negatives=8),
        Task(event_types=["purchase"], length=12, positions=4),
        examples.counts("validation_sessions"),
        seed=1 + hvd.rank(),  # ranks that begin apart: only the broadcast brings them together
    )
    optimizer = tf.keras.optimizers.legacy.SGD(0.5)
    outcome = train(model, examples, settings, "ndcg@10", optimizer=optimizer, order=Order(shuffled=False))
    np.savez(
        f"{out}/{hvd.rank()}.npz",
        *(variable.numpy() for variable in model.trainable_variables),
        row_ids=np.array(read_again(examples, batch_size)),
        losses=[epoch.loss for epoch in outcome.epochs],
        ndcg=[epoch.metrics["ndcg@10"] for epoch in outcome.epochs],
        rows=[[epoch.rows_expected, epoch.rows_seen] for epoch in outcome.epochs],
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
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
