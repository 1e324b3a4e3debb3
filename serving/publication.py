"""The published night as the service reads it: users, rules, and items."""

import json
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.scoring import Model
from models.shelf import EMPTY, Shelf, shelf_of
from serving.histories import History
from serving.users import ByUser, NotPublished, Numbers, numbers, users

RULES = pa.schema(
    {
        "rule_id": pa.string(),
        "kind": pa.string(),
        "item_id": pa.string(),
        "category": pa.string(),
        "factor": pa.float64(),
        "starts": pa.date32(),
        "ends": pa.date32(),
        "reason": pa.string(),
    }
)
ITEMS = pa.schema(
    {
        "item_index": pa.int32(),
        "item_id": pa.string(),
        "category": pa.string(),
        "out_of_stock": pa.bool_(),
        "embargoed": pa.bool_(),
    }
)


class Night(NamedTuple):
    """A published night."""

    ds: str
    place: Path  # its own folder: another one where the night was published again
    users: ByUser[History]
    rules: pa.Table  # RULES
    items: pa.Table  # ITEMS


class Told(NamedTuple):
    """A published night of a task with labels: what its champion was given of each user."""

    ds: str
    place: Path  # as that of a night
    version: int  # of the champion
    inputs: ByUser[Numbers]


def newest(folder: Path, known: Night | None) -> Night | None:
    """The published night, `known` where that is still it; None where nothing was published yet."""
    found = _current(folder)
    if found is None or (known and (known.ds, known.place) == found):
        return known if found else None
    ds, place = found
    rules, items = table(place / "rules", RULES), table(place / "items", ITEMS)
    return Night(ds, place, users(place / "sequences"), rules, items)


def newest_told(folder: Path, known: Told | None) -> Told | None:
    """The same of a task with labels; its folder is that of its name in the one of the nights."""
    found = _current(folder)
    if found is None or (known and (known.ds, known.place) == found):
        return known if found else None
    ds, place = found
    version = json.loads((place / "manifest.json").read_text())["model"]["version"]
    return Told(ds, place, int(version), numbers(place / "inputs"))


def _current(folder: Path) -> tuple[str, Path] | None:
    """The day of the current night, and its own folder; None where nothing was published yet."""
    pointer = folder / "current.json"
    if not pointer.exists():
        return None
    try:
        said = json.loads(pointer.read_text())
        return said["ds"], (folder / said["manifest"]).resolve(strict=True).parent
    except (ValueError, KeyError, TypeError):
        raise NotPublished(f"{pointer} names no night: publish one anew by jobs/publish.py") from None


def table(folder: Path, schema: pa.Schema) -> pa.Table:
    """The rows of all files of a folder, their columns as in the schema; those that are not there are null."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables([_as(table, schema) for table in tables] or [schema.empty_table()])


def shelf_before(model: Model, night: Night | None, exclude: list[str]) -> tuple[Shelf, dict[str, int]]:
    """The shelf of the night for a model, and the item_index of each item_id that either knows."""
    known = np.flatnonzero(model.ids != "")
    index_of = dict(zip(model.ids[known].tolist(), known.tolist(), strict=True))
    if night is None:
        return EMPTY, index_of
    index_of |= indices_of(night)
    day = date.fromisoformat(night.ds)
    return shelf_of(night.items, night.rules, day, exclude, with_ids=model.new is not None), index_of


def indices_of(night: Night) -> dict[str, int]:
    """The item_index of each item_id that the night knows."""
    return dict(zip(*(night.items[name].to_pylist() for name in ("item_id", "item_index")), strict=True))


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.schema.names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
