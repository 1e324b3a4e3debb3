"""One rank of a small training that may be lost: python -m tests.models.interrupted_rank EXAMPLES OUT CHECKPOINTS BATCH LOST

With dropout, sampled items and Adam, shuffled, a checkpoint every second step. The last rank is killed behind its
step LOST (0: it is not). Leaves OUT/RANK.npz: the weights, and epoch and id of each row that was read.
"""

import os
import signal
import sys
from pathlib import Path

import horovod.tensorflow as hvd
import numpy as np

from conf.schema import Model, Task, Train
from models import train as training
from models.checkpoints import Checkpoints
from models.example_set import open_example_set
from models.inputs import dataset
from models.listening import Listener, Step
from models.next_item import NextItemModel


def main(path: str, out: str, folder: str, batch_size: int, lost: int) -> None:
    training.start(seed=1)
    examples = open_example_set(path)
    settings = Train(batch_size=batch_size, epochs=3, patience=3, window_files=2, warmup_steps=4)
    model = NextItemModel(
        Model(name="sasrec", width=8, blocks=1, dropout=0.3, negatives=8),
        Task(event_types=["purchase"], length=12, positions=4),
        examples.counts("validation_sessions"),
        seed=1,
    )
    read: list[list[int]] = []

    def noted(stretches, layout, size, count):
        for batch in dataset(stretches, layout, size, count):
            ids, real = batch["row_ids"].numpy(), batch["weights"].numpy() > 0
            if "targets" not in layout:
                read.append(ids[real].tolist())
            yield batch

    class Killer(Listener):
        taken = 0

        def stepped(self, step: Step) -> None:
            self.taken += 1
            if hvd.rank() == hvd.size() - 1 and self.taken == lost:
                os.kill(os.getpid(), signal.SIGKILL)
            rows = np.array([(step.epoch, row) for row in read[-1]]).reshape(-1, 2)
            Path(out).mkdir(exist_ok=True)
            np.save(f"{out}/{os.getpid()}-{self.taken}.npy", rows)

    training.dataset = noted
    outcome = training.train(
        model,
        examples,
        settings,
        "ndcg@10",
        Killer(),
        checkpoints=Checkpoints(Path(folder), every=2),
    )
    np.savez(
        f"{out}/{hvd.rank()}.npz",
        *(variable.numpy() for variable in model.trainable_variables),
        losses=[epoch.loss for epoch in outcome.epochs],
        ndcg=[epoch.metrics["ndcg@10"] for epoch in outcome.epochs],
        resumed=outcome.resumed,
    )


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]))  # type: ignore[arg-type]
