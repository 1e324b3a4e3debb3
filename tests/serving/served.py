"""A small shop that is served: its models, its registry and a published night, made without Spark by what the nights use."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conf.load import load as load_conf
from conf.schema import Model, Task
from features.kernels import UTC_MICROS, newest_steps
from jobs.serve import limits_of, service_of
from models.baselines import fit
from models.export import export
from models.next_item import NextItemModel
from models.registry import CHAMPION, Registry, Version, connect
from serving.app import make_app
from serving.publication import ITEMS as ITEMS_SCHEMA
from serving.publication import RULES as RULES_SCHEMA

WORDS = (
    "oat milk",
    "bread",
    "coffee beans",
    "green tea",
    "cocoa",
    "apples",
    "pears",
    "rice",
    "lentils",
    "soap",
)
ITEMS = [*WORDS, *(f"article {n}" for n in range(10, 190))]
SIZE, DAY, MINUTE = len(ITEMS) + 3, 86_400_000_000, 60_000_000
NIGHT = "2026-11-02"
MIDNIGHT = 1_793_664_000_000_000  # the end of that night: 2026-11-03 00:00 UTC
GAP = 30 * MINUTE
TYPES = ("purchase", "purchase", "view", "mail")
CHANNELS = ("app", None, "web")
ACTIVE = {
    "view": True,
    "cart": True,
    "purchase": True,
    "impression": False,
    "mail": False,
}  # as conf/source/plain.yaml
TASK = Task(event_types=["purchase"], length=64, positions=16, k=10)


@dataclass(frozen=True)
class Behaviour:
    """What a user did, in order."""

    item: int | None  # place in ITEMS
    kind: str
    at: int  # microseconds since 1970
    channel: str | None = None


def behaviours(users: int, seed: int, until: int = MIDNIGHT) -> dict[str, list[Behaviour]]:
    """Some weeks of each user: visits of some minutes, gaps around the one that ends a visit, letters in between."""
    rng, found = np.random.default_rng(seed), {}
    for user in range(users):
        count = int(rng.integers(1, 90))
        steps = rng.choice(
            [MINUTE, GAP - 1, GAP, GAP + 1, 9 * 60 * MINUTE, 2 * DAY], count, p=[0.4, 0.1, 0.1, 0.1, 0.2, 0.1]
        )
        times = until - 1 - int(rng.integers(DAY)) - np.cumsum(steps[::-1])[::-1]
        found[f"user-{user:05}"] = [
            Behaviour(
                int(rng.zipf(1.3)) % len(ITEMS) if rng.random() < 0.95 else None,
                str(rng.choice(TYPES)),
                int(at),
                CHANNELS[int(at) // MINUTE % len(CHANNELS)],
            )
            for at in times
        ]
    return found


def as_sequences(users: dict[str, list[Behaviour]], max_length: int = 8192) -> pa.Table:
    """Rows of `sequences`, by the kernel that makes them each night."""
    rows: dict[str, list[Any]] = {
        name: []
        for name in ("user_id", "item_index", "event_type", "event_ts", "is_active", "channel", "start_ts")
    }
    for user, done in sorted(users.items()):
        last = start = None
        for each in done:
            if ACTIVE[each.kind]:
                start = each.at if last is None or each.at - last > GAP else start
                last = each.at
            item, is_active = 0 if each.item is None else each.item + 3, ACTIVE[each.kind]
            values = (
                user,
                item,
                each.kind,
                each.at,
                is_active,
                each.channel,
                start if is_active else each.at,
            )
            for name, value in zip(rows, values, strict=True):
                rows[name].append(value)
    steps = pa.table(
        {
            "user_id": pa.array(rows["user_id"], pa.string()),
            "item_index": pa.array(rows["item_index"], pa.int32()),
            "event_type": pa.array(rows["event_type"], pa.string()),
            "event_ts": pa.array(rows["event_ts"], pa.int64()).cast(UTC_MICROS),
            "is_active": pa.array(rows["is_active"], pa.bool_()),
            "start_ts": pa.array(rows["start_ts"], pa.int64()).cast(UTC_MICROS),
            "session_count": pa.nulls(len(rows["user_id"]), pa.int32()),
            "quantity": pa.nulls(len(rows["user_id"]), pa.float64()),
            "amount": pa.nulls(len(rows["user_id"]), pa.float64()),
            "channel": pa.array(rows["channel"], pa.string()),
        }
    )
    return pa.Table.from_batches(list(newest_steps(steps.to_batches(), max_length)))


def items_table() -> pa.Table:
    columns = {
        "item_index": range(3, SIZE),
        "item_id": ITEMS,
        "category": ["drinks" if n % 3 else "food" for n in range(len(ITEMS))],
        "out_of_stock": [False] * len(ITEMS),
        "embargoed": [False] * len(ITEMS),
    }
    return pa.table({name: pa.array(list(values)) for name, values in columns.items()}).cast(ITEMS_SCHEMA)


def publish(
    folder: Path,
    ds: str,
    users: dict[str, list[Behaviour]],
    rules: list[dict[str, Any]] | None = None,
    files: int = 2,
) -> None:
    """Writes a night as jobs/publish.py lays it out, and switches to it."""
    place = folder / ds
    sequences = as_sequences(users)
    share = -(-len(sequences) // files)
    tables = {f"sequences/part-{n}": sequences.slice(n * share, share) for n in range(files)}
    tables["items/part-0"] = items_table()
    tables["rules/part-0"] = pa.Table.from_pylist(rules or [], RULES_SCHEMA)
    for name, table in tables.items():
        path = place / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, row_group_size=16)
    switch(folder, {"ds": ds, "task": "next_item"})


def publish_told(folder: Path, ds: str, version: Version, inputs: pa.Table) -> None:
    """Writes a night of a task with labels, and switches to it; `inputs` as jobs/publish.py has them."""
    place = folder / version.task / ds / "inputs"
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(inputs.sort_by("user_id"), place / "part-0.parquet", row_group_size=16)
    model = {"name": "gru", "version": version.version}
    switch(folder / version.task, {"ds": ds, "task": version.task, "model": model})


def switch(folder: Path, manifest: dict[str, Any]) -> None:
    """Lets the night of a manifest be the current one."""
    ds = manifest["ds"]
    (folder / ds / "manifest.json").write_text(json.dumps(manifest))
    begun = folder / ".current"
    begun.write_text(json.dumps({"ds": ds, "task": manifest["task"], "manifest": f"{ds}/manifest.json"}))
    begun.replace(folder / "current.json")


def exported(folder: Path, name: str) -> Path:
    """A model of this shop: `frequency_decay`, or a small encoder with random weights."""
    vocabulary = {
        "item_index": np.arange(3, SIZE),
        "item_id": ITEMS,
        "category": items_table()["category"].to_pylist(),
    }
    counts = np.random.default_rng(1).integers(1, 60, len(ITEMS))
    path = folder / name
    if name == "sasrec":
        model = NextItemModel(Model(name="sasrec", width=16, blocks=1), TASK, np.append([0, 0, 0], counts), 3)
    else:
        model = fit(name, SIZE, np.arange(3, SIZE), counts, 20.0 if name == "frequency_decay" else None)
    export(model, vocabulary, path, TASK.k)
    return path


@dataclass(frozen=True)
class Served:
    """A shop's folders, and what a test does with them."""

    folder: Path
    models: dict[str, tuple[Path, Version]] = field(default_factory=dict)  # SavedModel and version, by name

    @property
    def arguments(self) -> list[str]:
        return [
            "source=plain",
            "privacy.ids=plain",
            f"task.k={TASK.k}",
            f"lake={self.folder / 'lake'}",
            f"registry=sqlite:///{self.folder / 'mlflow.db'}",
            f"artifacts={self.folder / 'artifacts'}",
            f"publish.folder={self.folder / 'published'}",
            "serve.poll_seconds=0.2",
            "serve.timeout_seconds=30",  # a busy machine is no matter of what is answered
            "serve.batch=8",
        ]

    def registry(self) -> Registry:
        return connect(f"sqlite:///{self.folder / 'mlflow.db'}", str(self.folder / "artifacts"))

    def register(
        self, saved_model: Path, task: str = "next_item", numbers: dict[str, int] | None = None
    ) -> Version:
        registry = self.registry()
        with registry.run(saved_model.name) as run:
            return registry.register(run, task, saved_model, {"model": saved_model.name}, numbers)

    def crown(self, version: Version) -> None:
        self.registry().set_alias(version, CHAMPION)

    def app(self, *overrides: str, tasks: dict[str, Task] | None = None) -> Any:
        """The application in this process, as jobs/serve.py puts it together."""
        conf = load_conf([*self.arguments, *overrides])
        service = service_of(conf, tasks or {"next_item": TASK})
        app = make_app(service, limits_of(conf))
        app.state.service = service
        return app
