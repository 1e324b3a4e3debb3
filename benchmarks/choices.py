"""What each choice of a training step gives: `make bench-choices`.

The step of benchmarks/train.py, on one rank with all cores, with one thing at a time done otherwise. Each way is a process
of its own, and they take turns: an epoch to get ready, then one that counts. Shown are the seconds and CPU seconds of a step
beside those of the step as it is.

    python -m benchmarks.choices [ROWS]        2,000 rows an epoch where nothing is said
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.train import (
    BATCH,
    FOLDER,
    LAYOUT,
    SETTINGS,
    Trained,
    batches_of,
    files_of,
    processor,
    write_rows,
)
from models.dropout import Noise
from models.encoders import transformer
from models.encoders.packed import Packed
from models.encoders.transformer import HIDDEN, Block
from models.inputs import cut, dataset
from models.shards import Order, epoch_of, plan, steps
from models.train import start

WAY, ROUNDS, AS_IT_IS = "way", 3, "as it is"


class Way(NamedTuple):
    """One thing that is done otherwise."""

    name: str
    what: str
    environment: Mapping[str, str] = MappingProxyType({})


WAYS = (
    Way(AS_IT_IS, "a graph of fixed shapes, oneDNN, as many threads as the rank has cores"),
    Way("eager", "no graph: operations one by one from Python"),
    Way("any shape", "the number of a batch's rows is not known when the graph is made"),
    Way("one thread", "of two cores, as each of two ranks has it"),
    Way("without oneDNN", "TensorFlow's own kernels", {"TF_ENABLE_ONEDNN_OPTS": "0"}),
    Way("padded", "padding goes through all layers as what is taken does"),
    Way(
        "fused by XLA",
        "of attention the scores, their softmax, its dropout and the means, compiled to one kernel",
    ),
    Way("own gradient", "of attention, in one formula from the softmax: nothing else of it is kept"),
    Way("by length", "rows of like length in a batch, which is cut to it (train.by_length)"),
    Way("two parts", "a batch in two parts, whose gradients are added (train.parts=2)"),
    Way("without dropout", "which is drawn by a hash, so that it does not depend on the rank"),
)


def main(rows: int) -> None:
    console = Console(highlight=False)
    shutil.rmtree(FOLDER, ignore_errors=True)
    write_rows(FOLDER / "train", rows, max(1, rows // 8))
    took: dict[str, list[dict[str, float]]] = {way.name: [] for way in WAYS}
    for turn in range(ROUNDS):
        for way in WAYS:
            took[way.name].append(run(way))
            console.print(f"  {turn + 1} of {ROUNDS}  {way.name}: {took[way.name][-1]}")
    found = {
        "rows": rows,
        "batch_size": BATCH,
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor(),
    }
    (FOLDER.parent / "choices.json").write_text(json.dumps(found | {"ways": took}, indent=1) + "\n")
    table = Table("", "seconds a step", "beside", "CPU seconds a step", "beside", "")
    for way in WAYS:
        cells = []
        for what in ("seconds", "cpu_seconds"):
            ours, base = ([each[what] for each in took[name]] for name in (way.name, AS_IT_IS))
            ratios = [one / other for one, other in zip(ours, base, strict=True)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            cells += [f"{statistics.median(ours):.3f}", spread]
        table.add_row(way.name, *cells, way.what)
    console.print(table)
    console.print(f"written to {FOLDER.parent / 'choices.json'}")


def run(way: Way) -> dict[str, float]:
    said = FOLDER / "way.json"
    environment = (
        os.environ | dict(way.environment) | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    )
    subprocess.run(
        [sys.executable, "-m", "benchmarks.choices", WAY, way.name, said], check=True, env=environment
    )
    return json.loads(said.read_text())


def as_way(name: str, said: str) -> None:
    """One way: seconds and CPU seconds of a step of the second epoch."""
    start(SETTINGS.seed)
    if name == "one thread":
        tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.run_functions_eagerly(name == "eager")
    if name == "padded":
        transformer.Packed = lambda taken: Packed(tf.ones_like(taken))
    elif name == "fused by XLA":
        Block.mixed = tf.function(Block.mixed, jit_compile=True, autograph=False)
    elif name == "own gradient":
        Block.mixed = mixed_with_gradient
    settings = SETTINGS
    if name == "two parts":
        settings.parts = 2
    trained = Trained(dropout=0.0) if name == "without dropout" else Trained()
    folder = FOLDER / "train"
    if name == "any shape":
        one = next(iter(batches_of(folder, BATCH, 0)))
        free = {column: tf.TensorSpec([None, *each.shape[1:]], each.dtype) for column, each in one.items()}
        take: Any = trained.take
        trained.take = take.get_concrete_function(free, tf.TensorSpec((2,), tf.int32))
    count = steps(sum(file.rows for file in files_of(folder)), 1, BATCH)

    def epoch(number: int) -> Iterable[dict[str, tf.Tensor]]:
        if name != "by length":
            return batches_of(folder, BATCH, number)
        order = Order(settings.seed, settings.window_files, alike=BATCH)
        return map(cut, dataset(epoch_of(plan(files_of(folder), 0, 1), number, order), LAYOUT, BATCH, count))

    trained.run(
        chain(epoch(0), epoch(1)) if name == "by length" else epoch(0)
    )  # each length is a graph of its own
    took = trained.run(epoch(1))
    found = {what: took[what] / count for what in ("seconds", "cpu_seconds")}
    Path(said).write_text(json.dumps({what: round(each, 4) for what, each in found.items()}))


def mixed_with_gradient(
    block: Block,
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    bias: None,
    seen: tf.Tensor,
    noise: Noise,
) -> tf.Tensor:
    """`Block.mixed` with a gradient of its own, in one formula from the softmax.

    Dao et al., 2022, "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", appendix B.
    """
    scale = block.head_width**-0.5
    hidden = tf.where(seen[:, None], 0.0, HIDDEN)

    @tf.custom_gradient
    def mixed(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        weights = tf.nn.softmax(tf.matmul(query * scale, key, transpose_b=True) + hidden)
        dropped = block.drop_weights(weights, noise)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            of_weights = dropped * tf.matmul(upstream, value, transpose_b=True)
            of_scores = of_weights - weights * tf.reduce_sum(of_weights, axis=-1, keepdims=True)
            of_key = tf.matmul(of_scores, query * scale, transpose_a=True)
            return tf.matmul(of_scores, key) * scale, of_key, tf.matmul(dropped, upstream, transpose_a=True)

        return tf.matmul(dropped, value), gradient

    return mixed(query, key, value)


if __name__ == "__main__":
    if sys.argv[1:2] == [WAY]:
        as_way(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 2000)
