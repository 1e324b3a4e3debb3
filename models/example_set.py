"""Opens an example set: what it is, which files of a pinned version hold which rows, and its vocabulary.

Training reads the files that a version of the Delta table lists as active, never what lies in the directory:
that also has the files of older versions and of writes that failed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pyarrow import fs

SPEC = "footfall.spec"
TRAIN, VALIDATION = "train", "validation"
JUDGED = ("targets", "seen")  # columns by which rows are judged: what is right, and what is no candidate
DELETION_VECTORS = "delta.enableDeletionVectors"
COLUMN_MAPPING = "delta.columnMapping.mode"
VOCABULARY = pa.schema(
    {
        "item_index": pa.int32(),
        "item_id": pa.string(),
        "sessions": pa.int64(),
        "validation_sessions": pa.int64(),
        "category": pa.string(),  # null where it is unknown, as in all of a set of an earlier release
        "price": pa.float64(),  # likewise, and in all of a set without contexts
    }
)


class ExampleSetError(ValueError):
    """An example set that cannot be read as it is; the text says what is wrong and what to do."""


@dataclass(frozen=True)
class DataFile:
    """One active file of a split.

    Its rows have the ids `first_row_id`, `first_row_id + 1`, …, in this order.
    """

    uri: str  # with its scheme, as Petastorm wants it
    rows: int
    first_row_id: int


@dataclass(frozen=True)
class ExampleSet:
    """A pinned example set."""

    path: str
    version: int  # of the table `rows`
    spec: Mapping[str, Any]
    splits: Mapping[str, tuple[DataFile, ...]]  # files of each split, by their first row_id
    vocabulary: pa.Table  # the columns of `VOCABULARY`, by index

    @property
    def set_id(self) -> str:
        return str(self.spec["set_id"])

    @property
    def vocabulary_size(self) -> int:
        """The largest item index and one more."""
        return int(self.spec["vocabulary_size"])

    def files(self, split: str) -> tuple[DataFile, ...]:
        """The files of `split`; raises `ExampleSetError` where it has no row."""
        files = self.splits.get(split, ())
        if not sum(file.rows for file in files):
            raise ExampleSetError(
                f"{self.path}, version {self.version}: split {split!r} has no row, expected some (there are: "
                f"{', '.join(self.splits) or 'none'}): see what `examples` was told of dates and event types"
            )
        return files

    def lengths(self, split: str = TRAIN) -> dict[str, tuple[str, int]]:
        """Of each packed column its dtype and its values a row; those of `JUDGED` not in training rows."""
        columns = {name: (c["dtype"], int(c["length"])) for name, c in self.spec["columns"].items()}
        return {n: c for n, c in columns.items() if split != TRAIN or n not in JUDGED}

    def counts(self, column: str) -> np.ndarray:
        """A column of the vocabulary by item index: int64 (vocabulary_size,), 0 where there is no item."""
        counts = np.zeros(self.vocabulary_size, np.int64)
        counts[self.vocabulary["item_index"].to_numpy()] = self.vocabulary[column].to_numpy()
        return counts

    def category_of(self) -> np.ndarray:
        """The place of each item's category among all, sorted, from 1: int32 (vocabulary_size,), 0 where it has none."""
        category_of = np.zeros(self.vocabulary_size, np.int32)
        places, _ = pd.factorize(self.vocabulary["category"].to_pandas(), sort=True)
        category_of[self.vocabulary["item_index"].to_numpy()] = places + 1
        return category_of


def open_example_set(path: str, version: int | None = None) -> ExampleSet:
    """Opens the example set in the folder `path`, at `version` of its table `rows` (none: the newest).

    Raises `ExampleSetError` for a table that is missing, has deletion vectors or column mapping (its Parquet
    files alone would be misread), lacks the spec, or whose log lacks the statistics that the plan of reading
    is made from.
    """
    rows = _open(f"{path.rstrip('/')}/rows", version)
    spec = _spec(rows)
    vocabulary = _vocabulary(_open(f"{path.rstrip('/')}/vocabulary"), spec)
    return ExampleSet(path, rows.version(), spec, _splits(rows), vocabulary)


def _open(path: str, version: int | None = None) -> DeltaTable:
    try:
        table = DeltaTable(path, version=version)
    except TableNotFoundError:
        raise ExampleSetError(
            f"no Delta table in {path}: make the example set first (jobs/examples.py with the same arguments)"
        ) from None
    _refuse_what_plain_files_do_not_show(table, path)
    return table


def _refuse_what_plain_files_do_not_show(table: DeltaTable, path: str) -> None:
    configuration = table.metadata().configuration
    actions = _actions(table)
    if configuration.get(DELETION_VECTORS, "false").lower() == "true" or any(
        name.startswith("deletionVector") and actions[name].null_count < len(actions)
        for name in actions.column_names
    ):
        raise ExampleSetError(
            f"{path} has deletion vectors, under which deleted rows come back when its files are read: write "
            f"the example set anew with {DELETION_VECTORS}=false"
        )
    mode = configuration.get(COLUMN_MAPPING, "none").lower()
    if mode != "none":
        raise ExampleSetError(
            f"{path} has column mapping ({COLUMN_MAPPING}={mode}), under which the columns of its files have "
            f"other names: write the example set anew with {COLUMN_MAPPING}=none"
        )


def _actions(table: DeltaTable) -> pa.Table:
    """One row for each active file: path, num_records, statistics and partition values."""
    return pa.Table.from_batches([pa.record_batch(table.get_add_actions(flatten=True))])


def _spec(rows: DeltaTable) -> dict[str, Any]:
    text = rows.metadata().configuration.get(SPEC)
    if text is None:
        raise ExampleSetError(
            f"{rows.table_uri} has no table property {SPEC}: it is no example set, or an unfinished one"
        )
    return json.loads(text)


def _splits(rows: DeltaTable) -> dict[str, tuple[DataFile, ...]]:
    uris = {_name(uri): uri for uri in _uris(rows)}  # names are unique: Delta writes a UUID into each
    splits: dict[str, list[DataFile]] = {}
    for action in _actions(rows).to_pylist():
        count, low, high = (action.get(name) for name in ("num_records", "min.row_id", "max.row_id"))
        if count == 0:
            continue
        if None in (count, low, high):
            raise ExampleSetError(
                f"{rows.table_uri}: the log has no statistics of {action['path']} (numRecords {count}, "
                f"row_id {low} to {high}): keep row_id among the first 32 columns, and write the example set "
                "anew"
            )
        if high - low + 1 != count:
            raise ExampleSetError(
                f"{action['path']} has {count} rows with row_id {low} to {high}, expected {count} contiguous "
                "ones: write the example set anew"
            )
        file = DataFile(uris[_name(action["path"])], count, low)
        splits.setdefault(action["partition.split"], []).append(file)
    by_row = attrgetter("first_row_id")  # names of files are drawn
    return {split: tuple(sorted(files, key=by_row)) for split, files in sorted(splits.items())}


def _name(path: str) -> str:
    return unquote(path).rsplit("/", 1)[-1]


def _uris(table: DeltaTable) -> list[str]:
    """Where the active files are. delta-rs quotes local paths, without `file://`; Petastorm does neither."""
    return [uri if "://" in uri else f"file://{unquote(uri)}" for uri in table.file_uris()]


def _vocabulary(table: DeltaTable, spec: Mapping[str, Any]) -> pa.Table:
    parts = []
    for uri in _uris(table):
        local = fs.LocalFileSystem(), uri.removeprefix("file://")
        filesystem, path = local if uri.startswith("file://") else fs.FileSystem.from_uri(uri)
        parts.append(pq.read_table(path, schema=VOCABULARY, filesystem=filesystem, partitioning=None))
    if not parts:
        raise ExampleSetError(f"{table.table_uri} has no item: the example set is empty")
    vocabulary = pa.concat_tables(parts).sort_by("item_index")
    largest, size = pc.max(vocabulary["item_index"]).as_py(), spec["vocabulary_size"]
    if largest >= size:
        raise ExampleSetError(
            f"{table.table_uri} has item_index {largest}, expected less than vocabulary_size {size}"
        )
    return vocabulary
