"""Small example sets for tests, written with delta-rs: as many files of as many rows as a test asks for."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from models.example_set import SPEC

LENGTH, TARGETS, POSITIONS = 12, 4, 4
ROWS = pa.schema(
    [
        pa.field("split", pa.string(), False),
        pa.field("row_id", pa.int64(), False),
        *(pa.field(name, pa.binary(), False) for name in ("items", "sessions", "ages", "targets")),
    ]
)
Row = Mapping[str, Sequence[float]]


def write_example_set(
    path: Path,
    files: Mapping[str, Sequence[Sequence[Row]]],
    vocabulary: Mapping[int, tuple[int, int]],
    first_row_ids: Sequence[int] | None = None,
    properties: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    ids: Mapping[int, str] | None = None,
    categories: Mapping[int, str | None] | None = None,
) -> str:
    """Writes each split's files in their order, and a vocabulary: item -> (sessions, validation_sessions).

    Item 3 has the id `item-3`, where `ids` does not say otherwise. Without `categories` there is no such column.
    Row ids start at 0, 1000, 2000, … in the files, where `first_row_ids` does not say otherwise.
    """
    described = {
        "set_id": path.name,
        "task": "next_item",
        "as_of": "2017-12-01T00:00:00Z",
        "validation_from": "2017-11-01T00:00:00Z",
        "columns": {
            "items": {"dtype": "int32", "length": LENGTH},
            "sessions": {"dtype": "int32", "length": LENGTH},
            "ages": {"dtype": "float32", "length": LENGTH},
            "targets": {"dtype": "int32", "length": TARGETS},
        },
        "positions": POSITIONS,
        "vocabulary_size": max(vocabulary, default=2) + 1,
        "tables": {},
        "configuration": {},
    } | dict(spec or {})
    splits = [(split, rows) for split, parts in files.items() for rows in parts]
    firsts = list(first_row_ids or range(0, 1000 * len(splits), 1000))
    write_deltalake(path / "rows", ROWS.empty_table(), partition_by=["split"])
    set_properties(path / "rows", {SPEC: json.dumps(described)} | dict(properties or {}))
    for (split, rows), first in zip(splits, firsts, strict=True):
        write_deltalake(path / "rows", _table(split, rows, first), partition_by=["split"], mode="append")
    indices = sorted(vocabulary)
    words = {
        "item_index": pa.array(indices, pa.int32()),
        "item_id": pa.array([(ids or {}).get(i, f"item-{i}") for i in indices]),
        "sessions": pa.array([vocabulary[i][0] for i in indices], pa.int64()),
        "validation_sessions": pa.array([vocabulary[i][1] for i in indices], pa.int64()),
    }
    if categories is not None:
        words["category"] = pa.array([categories.get(i) for i in indices], pa.string())
    write_deltalake(path / "vocabulary", pa.table(words))
    return str(path)


def set_properties(table: Path, properties: Mapping[str, str]) -> None:
    """Commits properties as Spark would: delta-rs reads any, and writes only those that it knows."""
    log = sorted((table / "_delta_log").glob("*.json"))
    actions = [json.loads(line) for file in log for line in file.read_text().splitlines()]
    metadata = [action for action in actions if "metaData" in action][-1]
    metadata["metaData"]["configuration"] |= properties
    (table / "_delta_log" / f"{len(log):020}.json").write_text(json.dumps(metadata) + "\n")


def _table(split: str, rows: Sequence[Row], first_row_id: int) -> pa.Table:
    packed = {
        name: pa.array([pack(row.get(name, ()), dtype, length) for row in rows], pa.binary())
        for name, dtype, length in (
            ("items", np.int32, LENGTH),
            ("sessions", np.int32, LENGTH),
            ("ages", np.float32, LENGTH),
            ("targets", np.int32, TARGETS),
        )
    }
    ids = pa.array(range(first_row_id, first_row_id + len(rows)), pa.int64())
    return pa.table({"split": pa.array([split] * len(rows)), "row_id": ids} | packed, schema=ROWS)


def pack(values: Sequence[float], dtype: type, length: int) -> bytes:
    row: np.ndarray = np.zeros(length, dtype)
    row[: len(values)] = values
    return row.tobytes()


def random_rows(count: int, items: int, seed: int, targets: bool = False) -> list[Row]:
    """Users who come back to a few neighbouring items each: something that can be learnt."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for _ in range(count):
        events = int(rng.integers(6, LENGTH + 1))
        taste = 3 + (rng.integers(items) + rng.integers(0, 3, events)) % items
        sessions = 1 + np.arange(events) * int(rng.integers(2, POSITIONS + 1)) // events
        row = {"items": taste, "sessions": sessions, "ages": np.linspace(30, 1, events)}
        rows.append(row | ({"targets": np.unique(taste[-2:])} if targets else {}))
    return rows


def random_example_set(
    path: Path, train: Sequence[int], validation: Sequence[int] = (3, 2), items: int = 20, seed: int = 1
) -> str:
    """An example set whose files have as many rows as `train` and `validation` say."""
    parts = {
        "train": [random_rows(n, items, seed + i) for i, n in enumerate(train)],
        "validation": [random_rows(n, items, seed + 100 + i, targets=True) for i, n in enumerate(validation)],
    }
    vocabulary = {3 + i: (10 * (items - i), 9 * (items - i)) for i in range(items)}
    return write_example_set(path, parts, vocabulary | {3 + items: (2, 0)})


FEATURES = 3
LABELLED = {name: "float32" for name in ("ages", "features", "labels", "label_weights", "naive")} | {
    "items": "int32",
    "sessions": "int32",
    "users": "int64",
}


def labelled_example_set(
    path: Path,
    rows: Mapping[str, Sequence[Row]],
    head: str,
    names: Sequence[str],
    items: int = 20,
    questions: Sequence[Mapping[str, Any]] = (),
) -> str:
    """An example set of a task with labels, a file a split: rows with `items`, `sessions`, `features`, `labels` and `naive`.

    Each answer weighs 1, where a row's `label_weights` do not say otherwise. Each row is of a user of its own, where `users`
    does not say otherwise.
    """
    targets = 1 if head == "classes" else len(names)
    lengths = {
        "features": FEATURES,
        "labels": targets,
        "label_weights": targets,
        "naive": targets,
        "users": 1,
    }
    spec = {
        "set_id": path.name,
        "task": "small",
        "as_of": "2017-12-01T00:00:00Z",
        "validation_from": "2017-11-01T00:00:00Z",
        "columns": {n: {"dtype": LABELLED[n], "length": lengths.get(n, LENGTH)} for n in LABELLED},
        "positions": POSITIONS,
        "vocabulary_size": 3 + items,
        "tables": {},
        "configuration": {},
        "label": {
            "head": head,
            "names": list(names),
            "features": [f"x{i}" for i in range(FEATURES)],
            "statistics": {},
            "snapshots": [],
            **({"questions": list(questions)} if questions else {}),
        },
    }
    first, hashes = 0, np.random.default_rng(2)
    for split, of_split in rows.items():
        of_split = [
            {"label_weights": np.ones(targets), "users": hashes.integers(-(2**63), 2**63, 1)} | dict(row)
            for row in of_split
        ]
        packed = {
            name: pa.array(
                [
                    pack(
                        row.get(name, ()),
                        np.dtype(kind).type,
                        length,
                    )
                    for row in of_split
                ],
                pa.binary(),
            )
            for name, (kind, length) in ((n, (c["dtype"], c["length"])) for n, c in spec["columns"].items())
        }
        ids = pa.array(range(first, first + len(of_split)), pa.int64())
        table = pa.table({"split": pa.array([split] * len(of_split)), "row_id": ids} | packed)
        write_deltalake(path / "rows", table, partition_by=["split"], mode="append")
        first += 1000
    set_properties(path / "rows", {SPEC: json.dumps(spec)})
    words = {
        "item_index": pa.array(range(3, 3 + items), pa.int32()),
        "item_id": pa.array([f"item-{i}" for i in range(3, 3 + items)]),
        "sessions": pa.array([5] * items, pa.int64()),
        "validation_sessions": pa.array([5] * items, pa.int64()),
    }
    write_deltalake(path / "vocabulary", pa.table(words))
    return str(path)


def labelled_rows(
    count: int, seed: int, head: str = "binary", targets: int = 1, items: int = 20
) -> list[Row]:
    """Users whose answers follow from their last item and their first feature: something that can be learnt.

    The baseline is told another one, which says nothing.
    """
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for row in random_rows(count, items, seed):
        features = rng.normal(size=FEATURES)
        taste = np.asarray(row["items"])[-1] % 2
        told = 3 * taste - 1.5 + features[0]
        if head == "classes":
            labels = [float(taste + (features[0] > 0))]
        elif head == "amount":
            labels = [0.0 if told < -1 else float(np.exp(told))]
        else:
            labels = [float(told > 0), float(told < 0)][:targets]
        rows.append(
            {
                **row,
                "features": features,
                "labels": labels,
                "naive": np.full(len(labels), max(0.0, features[1])),
            }
        )
    return rows
