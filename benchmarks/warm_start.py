"""A warm start beside a cold one: `make bench-warm-start`.

Users go through the items of a few categories, each item with others that like to follow it, and some at random. One model
is trained on their first weeks; then items come that it never saw, and on the weeks up to the next cut, with indices in
another order, one model begins from its weights and one from random ones. Shown are the validation metric before the first
epoch and after each, and the seconds until it is as good as the cold start ever gets: epochs with their validation, and
of the warm one reading the old model too. One rank, on all cores.

    python -m benchmarks.warm_start [USERS]        4000 users where nothing is said
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from conf.schema import Model, Task, Train
from models.example_set import TRAIN, VALIDATION, VOCABULARY, DataFile, ExampleSet
from models.export import export
from models.next_item import NextItemModel
from models.train import start, train, validate
from models.warm_weights import begin

FOLDER = Path("var/bench/warm_start")
SHARES = (0.0, 0.01, 0.2)  # of items that the old model never saw
METRIC, EPOCHS, SEED = "ndcg@10", 8, 7
ITEMS, CATEGORIES, FOLLOWERS = 2000, 40, 3
SESSIONS, EVENTS = 16, 3  # of a user; of a session
OLD_CUT, NEW_CUT = 12, 15  # the session that validates; what lies before it trains
MODEL = Model(name="gru", width=32, blocks=1, negatives=256)
TASK = Task(event_types=["purchase"], length=SESSIONS * EVENTS, positions=SESSIONS)
SETTINGS = Train(batch_size=64, epochs=EPOCHS, patience=EPOCHS, seed=SEED)
PACKED = {"items": "int32", "sessions": "int32", "ages": "float32", "targets": "int32"}


@dataclass(frozen=True)
class Course:
    """What came of a training: the metric before the first epoch and after each, and the seconds until then."""

    metric: list[float]
    seconds: list[float]

    def until(self, value: float) -> float | None:
        """The seconds until the metric was `value` or more."""
        return next((s for m, s in zip(self.metric, self.seconds, strict=True) if m >= value), None)


def main(users: int) -> None:
    start(SEED)
    console = Console(highlight=False, width=120)
    found = []
    for share in SHARES:
        console.print(f"{users:,} users, {share:.0%} of {ITEMS:,} items new")
        found.append({"share_new": share} | both(share, users))
    console.print(as_table(found))
    facts = {"cores": len(os.sched_getaffinity(0)), "users": users, "metric": METRIC, "runs": found}
    (FOLDER.parent / "warm_start.json").write_text(json.dumps(facts, indent=1) + "\n")
    console.print(f"written to {FOLDER.parent / 'warm_start.json'}")


def both(share: float, users: int) -> dict[str, dict]:
    """Trains the old model, and then on the later examples a cold and a warm one."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    rng = np.random.default_rng(SEED)
    is_new = rng.permutation(ITEMS) < round(share * ITEMS)
    bought = purchases(users, is_new, rng)
    before = example_set("before", bought[:, : OLD_CUT + 1], rng)
    after = example_set("after", bought[:, : NEW_CUT + 1], rng)
    old = model_for(before)
    train(old, before, SETTINGS, METRIC)
    export(old, before.vocabulary, FOLDER / "model", TASK.k)
    cold = course(after, lambda model: None)
    warm = course(after, lambda model: begin(model, str(FOLDER / "model"), after.vocabulary))
    return {"cold": asdict(cold), "warm": asdict(warm)}


def purchases(users: int, is_new: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(users, SESSIONS, EVENTS) items from 0; new ones from the session OLD_CUT + 1 on."""
    members = np.argsort(np.arange(ITEMS) % CATEGORIES, kind="stable").reshape(CATEGORIES, -1)
    follows = members[np.arange(ITEMS) % CATEGORIES]  # (items, items of the category)
    followers = rng.permuted(follows, axis=1)[:, :FOLLOWERS]
    popularity = 1 / np.arange(1, members.shape[1] + 1)
    tastes = rng.integers(CATEGORIES, size=(users, 3))
    found = np.zeros((users, SESSIONS, EVENTS), np.int64)
    last = rng.choice(np.flatnonzero(~is_new), size=users)
    for session in range(SESSIONS):
        for event in range(EVENTS):
            category = tastes[np.arange(users), rng.integers(tastes.shape[1], size=users)]
            place = rng.choice(members.shape[1], size=users, p=popularity / popularity.sum())
            at_random = rng.permutation(users) < users * 0.3
            following = followers[last, rng.integers(FOLLOWERS, size=users)]
            item = np.where(at_random, members[category, place], following)
            if session <= OLD_CUT:  # it is not there yet: what they had stays
                item = np.where(is_new[item], last, item)
            found[:, session, event] = last = item
    return found


def example_set(name: str, bought: np.ndarray, rng: np.random.Generator) -> ExampleSet:
    """Examples of all but the last session, which validates; indices by lot."""
    users, cut, _ = bought[:, :-1].shape
    counts, earlier = (np.bincount(each.ravel(), minlength=ITEMS) for each in (bought, bought[:, :-1]))
    seen = np.flatnonzero(counts)
    index = np.zeros(ITEMS, np.int32)
    index[seen] = 3 + rng.permutation(len(seen))
    items = index[bought]
    history = np.zeros((users, TASK.length), np.int32)
    history[:, : cut * EVENTS] = items[:, :-1].reshape(users, -1)
    sessions = np.zeros_like(history)
    sessions[:, : cut * EVENTS] = np.repeat(np.arange(1, cut + 1), EVENTS)
    columns = {"items": history, "sessions": sessions, "ages": np.zeros(history.shape, np.float32)}
    words = pa.table(
        {
            "item_index": index[seen],
            "item_id": [f"item {item}" for item in seen],
            "sessions": counts[seen],
            "validation_sessions": earlier[seen],
            "category": [f"category {item % CATEGORIES}" for item in seen],
        },
        schema=VOCABULARY,
    )
    spec = {
        "set_id": name,
        "vocabulary_size": len(seen) + 3,
        "columns": {
            n: {"dtype": PACKED[n], "length": EVENTS if n == "targets" else TASK.length} for n in PACKED
        },
    }
    splits = {
        TRAIN: (
            written(FOLDER / name / "train.parquet", columns | {"targets": np.zeros_like(items[:, -1])}),
        ),
        VALIDATION: (
            written(FOLDER / name / "validation.parquet", columns | {"targets": distinct(items[:, -1])}),
        ),
    }
    return ExampleSet(str(FOLDER / name), 0, spec, splits, words.sort_by("item_index"))


def distinct(targets: np.ndarray) -> np.ndarray:
    """Each row's values once, the rest zeros: (users, EVENTS)."""
    ordered = np.sort(targets, axis=1)[:, ::-1]
    ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = 0
    return ordered


def written(path: Path, columns: dict[str, np.ndarray]) -> DataFile:
    """The rows as one packed file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = len(columns["items"])
    packed = {
        n: pa.array([row.astype(PACKED[n]).tobytes() for row in columns[n]], pa.binary()) for n in PACKED
    }
    pq.write_table(pa.table({"row_id": pa.array(range(rows), pa.int64())} | packed), path)
    return DataFile(path.resolve().as_uri(), rows, 0)


def model_for(examples: ExampleSet) -> NextItemModel:
    return NextItemModel(MODEL, TASK, examples.counts("validation_sessions"), SEED)


def course(examples: ExampleSet, begun: Callable[[NextItemModel], object]) -> Course:
    """Trains a model that was given its first weights."""
    model = model_for(examples)
    began = time.monotonic()
    begun(model)
    first = time.monotonic() - began
    metric = [validate(tf.function(model.score), examples)[METRIC]]
    epochs = train(model, examples, SETTINGS, METRIC).epochs
    metric += [epoch.metrics[METRIC] for epoch in epochs]
    seconds = accumulate((epoch.seconds for epoch in epochs), initial=first)
    return Course([round(value, 4) for value in metric], [round(value, 1) for value in seconds])


def as_table(found: Sequence[dict]) -> Table:
    table = Table(
        "new items", "start", *(f"{epoch}" for epoch in range(EPOCHS + 1)), "seconds to the cold one's best"
    )
    table.title = f"{METRIC} on the validation rows before the first epoch (0) and after each"
    for run in found:
        courses = {name: Course(**run[name]) for name in ("cold", "warm")}
        best = max(courses["cold"].metric)
        for name, each in courses.items():
            took = each.until(best)
            reached = "never" if took is None else f"{took:.1f}"
            share = f"{run['share_new']:.0%}" if name == "cold" else ""
            table.add_row(share, name, *(f"{value:.3f}" for value in each.metric), reached)
        table.add_section()
    return table


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 4000)
