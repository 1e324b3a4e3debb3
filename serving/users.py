"""Users as jobs/publish.py wrote them: one is found by the statistics of sorted Parquet files."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.histories import History

COLUMNS = ("items", "event_types", "timestamps", "sessions", "session_starts", "channels")
OPTIONAL = ("channels",)  # which a night of an earlier release does not tell
CACHED = 10_000  # users
Kept = TypeVar("Kept")


class NotPublished(ValueError):
    """The folder is not one that jobs/publish.py wrote."""


@dataclass(frozen=True)
class SortedFile:
    """A Parquet file whose rows rise by user_id; it is read by one thread at a time."""

    file: pq.ParquetFile
    lows: list[str]  # of each row group
    highs: list[str]
    lock: Lock

    def row_of(self, entity: str, columns: tuple[str, ...]) -> pa.Table | None:
        """Some columns of the user's row, read from the one row group that can hold it."""
        group = bisect_left(self.highs, entity)
        if group == len(self.highs) or entity < self.lows[group]:
            return None
        with self.lock:
            rows = self.file.read_row_group(group, ["user_id", *columns])  # as far as they are there
        place = pc.index(rows["user_id"], entity).as_py()
        return None if place < 0 else rows.slice(place, 1)


class ByUser(Generic[Kept]):
    """What a table of a published night has of each user, made of some `columns` of the row."""

    def __init__(self, folder: Path, columns: tuple[str, ...], made: Callable[[pa.Table], Kept]):
        self.files = [opened(path, columns) for path in sorted(folder.glob("*.parquet"))]
        self.columns, self.made = columns, made
        self.found: dict[str, Kept] = {}  # of late, the oldest first

    def find(self, entity: str) -> Kept | None:
        """That of a user, or None. Reads a file; `found` has those that were read lately."""
        for each in self.files:
            if (row := each.row_of(entity, self.columns)) is not None:
                if len(self.found) >= CACHED:
                    self.found.pop(next(iter(self.found)), None)
                self.found[entity] = self.made(row)
                return self.found[entity]
        return None

    async def found_or_read(self, entity: str) -> Kept | None:
        """`find`, by a thread of its own where a file has to be read."""
        return self.found.get(entity) or await asyncio.to_thread(self.find, entity)

    def some(self, count: int) -> list[str]:
        """A few users, from different parts of the files."""
        found = [low for each in self.files for low in each.lows]
        step = max(1, len(found) // count)
        return list(dict.fromkeys([*found[::step], *self._first(count)]))[:count]

    def _first(self, count: int) -> Iterator[str]:
        for each in self.files:
            for batch in each.file.iter_batches(count, columns=["user_id"]):
                yield from batch["user_id"].to_pylist()
                break


class Numbers(NamedTuple):
    """What a model of a task with labels was given of a user, beside the history; NaN where there was none."""

    features: np.ndarray  # (any,) float32
    naive: np.ndarray  # (any,) float32


def users(folder: Path) -> ByUser[History]:
    """The histories of `sequences`."""
    return ByUser(folder, COLUMNS, as_history)


def numbers(folder: Path) -> ByUser[Numbers]:
    """The rows of `inputs`."""
    return ByUser(folder, Numbers._fields, as_numbers)


def opened(path: Path, columns: tuple[str, ...]) -> SortedFile:
    file = pq.ParquetFile(path, memory_map=True)
    names = file.schema_arrow.names
    if lacking := [name for name in ("user_id", *columns) if name not in (*names, *OPTIONAL)]:
        raise NotPublished(f"{path} has no {', '.join(lacking)}: publish it anew by jobs/publish.py")
    column = names.index("user_id")
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    bounds = [group.column(column).statistics for group in groups if group.num_rows]
    if any(bound is None or not bound.has_min_max for bound in bounds):
        raise NotPublished(f"{path} has no statistics of user_id: publish it anew by jobs/publish.py")
    lows, highs = ([getattr(bound, side) for bound in bounds] for side in ("min", "max"))
    if highs != sorted(highs) or lows != sorted(lows):
        raise NotPublished(f"{path} is not sorted by user_id: publish it anew by jobs/publish.py")
    return SortedFile(file, lows, highs, Lock())


def as_history(row: pa.Table) -> History:
    """One row of `sequences`."""

    def values(name: str, kind: Any) -> np.ndarray:
        column = row[name].combine_chunks().flatten()
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
        return column.to_numpy(zero_copy_only=False).astype(kind)

    types = tuple(row["event_types"][0].as_py())
    return History(
        values("items", np.int32),
        types,
        values("timestamps", np.int64),
        values("sessions", np.int32),
        values("session_starts", np.int64),
        tuple(row["channels"][0].as_py()) if "channels" in row.column_names else ("",) * len(types),
    )


def as_numbers(row: pa.Table) -> Numbers:
    """One row of `inputs`."""

    def values(name: str) -> np.ndarray:
        values = row[name][0].as_py()
        return np.array([None] if values is None else values, np.float32)  # None becomes NaN

    return Numbers(*map(values, Numbers._fields))
