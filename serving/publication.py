"""The published night as the service reads it: users, rules, and items where they were published too."""

from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.scoring import Model
from models.shelf import Shelf, shelf_of
from serving.users import Users, current

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
    stamp: int  # of the manifest: another one where the night was published again
    users: Users
    rules: pa.Table  # RULES
    items: pa.Table | None  # ITEMS


def newest(folder: Path, known: Night | None) -> Night | None:
    """The published night, `known` where that is still it; None where nothing was published yet."""
    found = current(folder)
    if found is None:
        return None
    ds, place = found
    stamp = (place / "manifest.json").stat().st_mtime_ns
    if known and (known.ds, known.stamp) == (ds, stamp):
        return known
    return Night(ds, stamp, Users(place / "sequences"), table(place / "rules", RULES), items_of(place))


def table(folder: Path, schema: pa.Schema) -> pa.Table:
    """The rows of all files of a folder, their columns as in the schema; those that are not there are null."""
    tables = [pq.read_table(path) for path in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables([_as(table, schema) for table in tables] or [schema.empty_table()])


def items_of(place: Path) -> pa.Table | None:
    return table(place / "items", ITEMS) if (place / "items").is_dir() else None


def shelf_before(model: Model, night: Night | None, exclude: list[str]) -> tuple[Shelf, dict[str, int]]:
    """The shelf of the night for a model, and the item_index of each item_id that either knows."""
    known = np.flatnonzero(model.ids != "")
    index_of = dict(zip(model.ids[known].tolist(), known.tolist(), strict=True))
    if night is None:
        return shelf_of(_of_model(model, known), RULES.empty_table(), date(1970, 1, 1), exclude), index_of
    items = _of_model(model, known) if night.items is None else night.items
    if night.items is not None:
        index_of |= dict(zip(items["item_id"].to_pylist(), items["item_index"].to_pylist(), strict=True))
    return shelf_of(items, night.rules, date.fromisoformat(night.ds), exclude), index_of


def _of_model(model: Model, known: np.ndarray) -> pa.Table:
    return _as(pa.table({"item_index": known, "item_id": pa.array(model.ids[known], pa.string())}), ITEMS)


def _as(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.schema.names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
