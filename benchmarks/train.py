"""Reading and training, beside what else could do it on the same cores: `make bench-train`.

Ratios of one run, each of repetitions that take turns: the input path beside `pyarrow.dataset` and beside Petastorm used the
usual way, waiting and working on real batches beside one batch repeated, an epoch beside one of a small SASRec in PyTorch
(benchmarks/pytorch_sasrec.py), and two ranks beside one on one core. Made-up rows: one item a position.

    python -m benchmarks.train [THOUSANDS]        a thousand rows an epoch where nothing is said; read are 50 times as many
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import tensorflow as tf
from petastorm import make_batch_reader
from petastorm.tf_utils import make_petastorm_dataset
from rich.console import Console
from rich.table import Table

from benchmarks.pytorch_environment import PYTORCH, pytorch_python
from conf.schema import Model, Task, Train
from models.example_set import DataFile
from models.inputs import dataset
from models.next_item import NextItemModel
from models.optimizers import LEGACY
from models.shards import Order, epoch_of, plan, steps
from models.step import make_step
from models.train import start

warnings.simplefilter("ignore", FutureWarning)  # Petastorm's, of pyarrow
FOLDER = Path("var/bench/train")
LENGTH, ITEMS, BATCH, READ_BATCH, REPEATS = 50, 10_000, 128, 1024, 3
LAYOUT = {"items": ("int32", LENGTH), "sessions": ("int32", LENGTH), "ages": ("float32", LENGTH)}
MODEL = Model(name="sasrec", width=64, blocks=2, heads=2, dropout=0.2, negatives=1024)
TASK = Task(event_types=[], length=LENGTH, positions=LENGTH)
SETTINGS = Train(batch_size=BATCH)
READ_TIMES = 50  # rows that are read and not trained on, for each that is
ROWS_PER_FILE = 25_000  # as `examples` writes them
RANK = "rank"
AIMS = {
    "input_over_pyarrow": "<= 1.5",
    "rows_over_usual": ">= 2",
    "input_over_usual": "<= 0.5",
    "waiting_share": "< 0.02",
    "real_over_repeated": "<= 1.03",
    "epoch_over_pytorch": "<= 1.0",
    "epoch_cpu_over_pytorch": "<= 1.0",
    "two_ranks_efficiency": ">= 0.9",
    "two_apart_efficiency": "",
}
ABOUT = {
    "input_over_pyarrow": "CPU seconds of a row, by those of pyarrow.dataset",
    "rows_over_usual": "rows per second, by those of Petastorm used the usual way",
    "input_over_usual": "CPU seconds of a row, by those of Petastorm used the usual way",
    "waiting_share": "share of the time of a step in which it waits for its batch",
    "real_over_repeated": "time of a step on real batches, by that on one repeated",
    "epoch_over_pytorch": "seconds of an epoch, by those of PyTorch",
    "epoch_cpu_over_pytorch": "CPU seconds of an epoch, by those of PyTorch",
    "two_ranks_efficiency": "rows per second of two ranks, by twice those of one on one core",
    "two_apart_efficiency": "the same of two trainings that know nothing of each other: what the cores have to give",
}


def main(thousands: float) -> None:
    console = Console(highlight=False)
    rows = round(thousands * 1000)
    shutil.rmtree(FOLDER, ignore_errors=True)
    console.print(f"writing {rows * READ_TIMES:,} rows to read, and {rows:,} to train on")
    write_rows(FOLDER / "read", rows * READ_TIMES, ROWS_PER_FILE)
    write_rows(FOLDER / "train", rows, max(1, rows // 8))
    start(SETTINGS.seed)
    found: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)),
        "processor": processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "rows": rows,
        "model": asdict(MODEL),
        "batch_size": BATCH,
        "length": LENGTH,
        "items": ITEMS,
        "pytorch": PYTORCH,
        "load_before": os.getloadavg()[0],
    }
    found["spread"] = {}
    for measured in (measure_reading, measure_waiting, measure_epochs, measure_ranks):
        console.print(measured.__doc__)
        for name, values in measured(rows, found).items():
            found[name] = round(statistics.median(values), 4)
            found["spread"][name] = [round(min(values), 4), round(max(values), 4)]
            console.print(f"    {name} {found[name]:.3f}, {', '.join(f'{value:.3f}' for value in values)}")
        (FOLDER.parent / "train.json").write_text(json.dumps(found, indent=1) + "\n")
    show(found, console)
    console.print(f"written to {FOLDER.parent / 'train.json'}")


def write_rows(folder: Path, rows: int, rows_per_file: int) -> None:
    """The same rows twice, in files of one row group: packed as `examples` packs them, and as arrays."""
    chance = np.random.default_rng(7)
    for number, first in enumerate(range(0, rows, rows_per_file)):
        count = min(rows_per_file, rows - first)
        lengths = chance.integers(10, LENGTH + 1, count)[:, None]  # at least 10 events
        taken = np.arange(LENGTH) < lengths
        items = 3 + np.minimum((chance.pareto(1.1, (count, LENGTH)) * 20).astype(np.int32), ITEMS - 4)
        arrays = {
            "items": (items * taken).astype(np.int32),
            "sessions": ((np.arange(LENGTH) + 1) * taken).astype(np.int32),
            "ages": (chance.random((count, LENGTH)) * taken).astype(np.float32),
        }
        ids = {"row_id": pa.array(np.arange(first, first + count))}
        packed = {name: pa.array([row.tobytes() for row in array]) for name, array in arrays.items()}
        plain = {
            name: pa.ListArray.from_arrays(np.arange(0, array.size + 1, LENGTH, np.int32), array.reshape(-1))
            for name, array in arrays.items()
        }
        for kind, columns in (("packed", packed), ("arrays", plain)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            pq.write_table(
                pa.table(ids | columns), folder / kind / f"{number:05}.parquet", compression="snappy"
            )


def files_of(folder: Path) -> list[DataFile]:
    first, files = 0, []
    for path in sorted((folder / "packed").iterdir()):
        rows = pq.read_metadata(path).num_rows
        files.append(DataFile(path.absolute().as_uri(), rows, first))
        first += rows
    return files


def batches_of(folder: Path, batch_size: int, epoch: int, rank: int = 0, ranks: int = 1) -> tf.data.Dataset:
    """An epoch as `train` reads it."""
    files = files_of(folder)
    count = steps(sum(file.rows for file in files), ranks, batch_size)
    return dataset(epoch_of(plan(files, rank, ranks), epoch, Order()), LAYOUT, batch_size, count)


def by_pyarrow(folder: Path) -> tf.data.Dataset:
    """The packed files in their order, not shuffled, not checked."""

    def read() -> Iterable[dict[str, np.ndarray]]:
        for batch in ds.dataset(folder / "packed").to_batches(
            columns=["row_id", *LAYOUT], batch_size=READ_BATCH
        ):
            yield {name: batch[name].to_numpy(zero_copy_only=False) for name in ("row_id", *LAYOUT)}

    def decode(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {name: tf.io.decode_raw(batch[name], tf.as_dtype(LAYOUT[name][0])) for name in LAYOUT} | {
            "row_id": batch["row_id"]
        }

    strings = {name: tf.TensorSpec((None,), tf.string) for name in LAYOUT}
    signature = {"row_id": tf.TensorSpec((None,), tf.int64), **strings}
    return tf.data.Dataset.from_generator(read, output_signature=signature).map(decode).prefetch(2)


def by_petastorm(folder: Path) -> Iterable[Any]:
    """The files of arrays, as Petastorm's own pages show it."""
    with make_batch_reader((folder / "arrays").absolute().as_uri(), num_epochs=1) as reader:
        yield from make_petastorm_dataset(reader).unbatch().shuffle(10 * READ_BATCH).batch(READ_BATCH)


def measure_reading(rows: int, found: dict[str, Any]) -> dict[str, list[float]]:
    """reading: packed columns with Petastorm, pyarrow.dataset, Petastorm the usual way"""
    folder, count = FOLDER / "read", rows * READ_TIMES
    ways: dict[str, Callable[[int], Iterable[Any]]] = {
        "footfall": lambda turn: batches_of(folder, READ_BATCH, turn),
        "pyarrow": lambda turn: by_pyarrow(folder),
        "usual": lambda turn: by_petastorm(folder),
    }
    took: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for turn in range(REPEATS):
        for name, way in ways.items():
            began, cpu = time.monotonic(), time.process_time()
            taken = sum(1 for _ in way(turn))
            if taken < count // READ_BATCH:
                raise RuntimeError(
                    f"{name} gave {taken} batches of {READ_BATCH}, expected {count // READ_BATCH}"
                )
            cpu, seconds = time.process_time() - cpu, time.monotonic() - began
            took[name].append(
                {"rows_per_second": count / seconds, "cpu_seconds_per_million": cpu / count * 1e6}
            )
    found["reading"] = took
    cpu_of = {name: [each["cpu_seconds_per_million"] for each in turns] for name, turns in took.items()}
    speed = {name: [each["rows_per_second"] for each in turns] for name, turns in took.items()}
    return {
        "input_over_pyarrow": quotients(cpu_of["footfall"], cpu_of["pyarrow"]),
        "rows_over_usual": quotients(speed["footfall"], speed["usual"]),
        "input_over_usual": quotients(cpu_of["footfall"], cpu_of["usual"]),
    }


class Trained:
    """A model, and the step that trains it."""

    def __init__(self, dropout: float = MODEL.dropout) -> None:
        counts = np.zeros(ITEMS, np.int64)
        counts[3:] = 1 + (1e5 / np.arange(1, ITEMS - 2)).astype(np.int64)
        self.model = NextItemModel(replace(MODEL, dropout=dropout), TASK, counts, SETTINGS.seed)
        optimizer = LEGACY.Adam(SETTINGS.learning_rate)
        self.take, self.steps, self.counts = make_step(self.model, optimizer, SETTINGS), 0, counts

    def step(self, batch: dict[str, tf.Tensor]) -> float:
        """Takes a step as `train` does, and waits for its loss."""
        seed = tf.constant([SETTINGS.seed, self.steps], tf.int32)
        self.steps += 1
        loss, weight, _ = self.take(batch, seed)
        return float(loss) / float(weight)

    def run(self, batches: Iterable[dict[str, tf.Tensor]]) -> dict[str, float]:
        """Takes all steps: seconds a step, those that it waited, and the mean loss."""
        waited, losses, began, cpu = 0.0, [], time.monotonic(), time.process_time()
        left, asked = iter(batches), began
        while (batch := next(left, None)) is not None:
            waited += time.monotonic() - asked
            losses.append(self.step(batch))
            asked = time.monotonic()
        seconds = asked - began
        return {
            "seconds": seconds,
            "cpu_seconds": time.process_time() - cpu,
            "seconds_per_step": seconds / len(losses),
            "waiting_share": waited / seconds,
            "loss": statistics.mean(losses),
        }


def measure_waiting(rows: int, found: dict[str, Any]) -> dict[str, list[float]]:
    """training: real batches, one batch repeated"""
    trained, folder = Trained(), FOLDER / "train"
    one = next(iter(batches_of(folder, BATCH, 0)))
    trained.step(one)
    real, repeated = [], []
    for turn in range(REPEATS):
        batches = batches_of(folder, BATCH, turn)
        time.sleep(1)  # a training reads the first rows of an epoch while it judges the one before
        real.append(trained.run(batches))
        repeated.append(trained.run(islice(cycle([one]), steps(rows, 1, BATCH))))
    found["training"] = {"real": real, "repeated": repeated}
    per_step = [[each["seconds_per_step"] for each in turns] for turns in (real, repeated)]
    return {
        "waiting_share": [each["waiting_share"] for each in real],
        "real_over_repeated": quotients(*per_step),
    }


def measure_epochs(rows: int, found: dict[str, Any]) -> dict[str, list[float]]:
    """epochs: Footfall, reading its files; PyTorch, from memory"""
    folder, trained = FOLDER / "train", Trained()
    items = np.concatenate([batch["items"].numpy() for batch in batches_of(folder, BATCH, 0)])[:rows]
    np.savez(FOLDER / "rows.npz", items=items, counts=trained.counts)
    shape = {name: getattr(MODEL, name) for name in ("width", "blocks", "heads", "dropout", "negatives")}
    shape |= {"batch_size": BATCH, "threads": len(os.sched_getaffinity(0))}
    command = [pytorch_python(), "benchmarks/pytorch_sasrec.py", FOLDER / "rows.npz", json.dumps(shape)]
    took: dict[str, list[dict[str, float]]] = {"footfall": [], "pytorch": []}
    # Threads of OpenMP that spin while they wait would be counted as work, and stand in the way where cores are shared.
    quiet = os.environ | {"OMP_WAIT_POLICY": "PASSIVE"}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=quiet, **pipes) as other:
        assert other.stdin is not None and other.stdout is not None
        for turn in range(REPEATS + 1):
            ours = trained.run(batches_of(folder, BATCH, turn))
            print("epoch", file=other.stdin, flush=True)
            theirs = json.loads(other.stdout.readline())
            if turn:  # the first is for both to get ready
                took["footfall"].append(ours)
                took["pytorch"].append(theirs)
        other.stdin.close()
    found["epochs"] = took
    seconds, cpu = (
        [[each[what] for each in turns] for turns in took.values()] for what in ("seconds", "cpu_seconds")
    )
    return {"epoch_over_pytorch": quotients(*seconds), "epoch_cpu_over_pytorch": quotients(*cpu)}


def measure_ranks(rows: int, found: dict[str, Any]) -> dict[str, list[float]]:
    """ranks: one on one core, two on two, two trainings of one rank each beside each other"""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise RuntimeError(f"two ranks need two cores, this process may use {len(cores)}")
    took: dict[str, list[float]] = {"1": [], "2": [], "apart": []}
    for _ in range(REPEATS):
        took["1"].append(run_ranks(cores[:1]))
        took["2"].append(run_ranks(cores))
        with ThreadPoolExecutor(len(cores)) as pool:
            took["apart"].append(sum(pool.map(run_ranks, [[core] for core in cores])))
    found["ranks"] = took
    return {
        "two_ranks_efficiency": [two / one / 2 for two, one in zip(took["2"], took["1"], strict=True)],
        "two_apart_efficiency": [two / one / 2 for two, one in zip(took["apart"], took["1"], strict=True)],
    }


def run_ranks(cores: Sequence[int]) -> float:
    """Rows per second of as many ranks as there are `cores`, on those alone."""
    ranks, pinned = str(len(cores)), ",".join(map(str, cores))
    horovodrun = [
        Path(sys.executable).with_name("horovodrun"),
        "--gloo",
        "-np",
        ranks,
        "-H",
        f"localhost:{ranks}",
    ]
    said = FOLDER / f"rank-{pinned}.json"
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "PYTHONWARNINGS": "ignore"}
    subprocess.run(
        ["taskset", "-c", pinned, *horovodrun, sys.executable, "-m", "benchmarks.train", RANK, said],
        check=True,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    return json.loads(said.read_text())


def as_rank(said: str) -> None:
    """One rank: an epoch to get ready, then one that counts."""
    import horovod.tensorflow as hvd

    start(SETTINGS.seed)
    trained, folder = Trained(), FOLDER / "train"
    batches = [batches_of(folder, BATCH, turn, hvd.rank(), hvd.size()) for turn in range(2)]
    trained.run(batches[0].take(4))
    hvd.allreduce(tf.zeros(()))  # both are ready
    seconds = trained.run(batches[1])["seconds"]
    if hvd.rank() == 0:
        Path(said).write_text(json.dumps(sum(file.rows for file in files_of(folder)) / seconds))


def quotients(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Of the repetitions beside each other."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def processor() -> dict[str, str]:
    """What the processor is: two threads of one core are not two cores."""
    lines = subprocess.run(["lscpu"], check=True, capture_output=True, text=True).stdout.splitlines()
    wanted = ("Model name", "Thread(s) per core", "Core(s) per socket", "Socket(s)")
    facts = dict(line.strip().split(":", 1) for line in lines if ":" in line)
    return {name: facts[name].strip() for name in wanted if name in facts}


def show(found: dict[str, Any], console: Console) -> None:
    page = Table("", "median", "least", "most", "aim", "what it is")
    for name, aim in AIMS.items():
        low, high = found["spread"][name]
        page.add_row(name, f"{found[name]:.3f}", f"{low:.3f}", f"{high:.3f}", aim, ABOUT[name])
    console.print(page)
    console.print(", ".join(f"{name}: {value}" for name, value in found["processor"].items()))
    raw = Table("", "rows/s", "CPU s per million rows")
    for name, turns in found["reading"].items():
        middle = {key: statistics.median(each[key] for each in turns) for key in turns[0]}
        raw.add_row(name, f"{middle['rows_per_second']:,.0f}", f"{middle['cpu_seconds_per_million']:.1f}")
    console.print(raw)
    times = Table("", "seconds", "CPU seconds", "loss")
    for name, turns in (found["training"] | found["epochs"]).items():
        middle = {key: statistics.median(each[key] for each in turns) for key in turns[0]}
        times.add_row(name, *(f"{middle[key]:.2f}" for key in ("seconds", "cpu_seconds", "loss")))
    console.print(times)
    for ranks, speeds in found["ranks"].items():
        console.print(f"ranks {ranks}: {', '.join(f'{speed:,.0f}' for speed in speeds)} rows/s")


if __name__ == "__main__":
    if sys.argv[1:2] == [RANK]:
        as_rank(sys.argv[2])
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 1)
