"""`examples/<set_id>`: training examples of fixed length, packed, written once; and the vocabulary they are written in.

An example set describes itself: its property `footfall.spec` is all that training knows of where it came from.
"""

import hashlib
import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Source
from conf.together import parts_of
from features.table import Column, Table

FILE_BYTES = 64 << 20  # of packed columns: half of Parquet's block, so that a file is one row group
FILE_ROWS = 25_000
PACKED = {"items": "int32", "sessions": "int32", "ages": "float32", "targets": "int32"}
CONTEXTS = {"contexts": "int32"}
"""One more where `task.contexts` asks for it."""

LABELLED = {
    "items": "int32",
    "sessions": "int32",
    "ages": "float32",
    "features": "float32",
    "labels": "float32",
    "label_weights": "float32",
    "naive": "float32",
    "users": "int64",
}
"""What is packed of a user's history, and of the question asked of it: the items of a session, or a label."""

MODEL_ALONE = (
    "loss",
    "weight",
    "sharing",
    "experts",
    "balance",
    "calibration",
    "metrics",
    "baseline",
    "beside",
    "arms",
)
"""Keys of `task.label` that decide nothing of the rows."""


@dataclass(frozen=True)
class Cut:
    """The two moments of an example set: targets before `validation_from` train, those up to `as_of` validate."""

    validation_from: datetime
    as_of: datetime

    @staticmethod
    def of(conf: Config) -> "Cut":
        """The days up to `ds` less `promote.holdout_days`, which no model of this night may see."""
        as_of = end_of(conf.ds) - timedelta(days=conf.promote.holdout_days)
        days = conf.task.label.horizon_days if conf.task.label else conf.task.validation_days
        return Cut(as_of - timedelta(days=days), as_of)


def end_of(ds: str) -> datetime:
    """The moment at which the day `ds` ends, UTC."""
    day = date.fromisoformat(ds) + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def configuration_of(conf: Config) -> dict[str, Any]:
    """What of the configuration decides the rows of an example set."""
    source = {"name": conf.source.name, "event_types": dict(conf.source.event_types)}
    if conf.task.contexts:  # what these are made of
        source |= {
            name: told
            for name in ("channel", "shop_timezone")
            if (told := getattr(conf.source, name)) != getattr(Source, name)
        }
    # Sets are named as before there were contexts or several tasks, where there are none.
    unused = [name for name in ("contexts", "together") if not getattr(conf.task, name)]
    task = {name: value for name, value in asdict(conf.task).items() if name not in ("k", "label", *unused)}
    if conf.task.label:
        of_rows = {name: value for name, value in asdict(conf.task.label).items() if name not in MODEL_ALONE}
        task |= {"label": of_rows, "columns": sorted(LABELLED)}
    if conf.task.together:
        task["parts"] = [configuration_of(part)["task"] for part in parts_of(conf)]
    return {"source": source, "features": asdict(conf.features), "task": task}


def set_id_of(conf: Config) -> str:
    """Task, as-of date and a hash of the configuration: `next_item-2017-12-01-1f3a5c7e`."""
    text = json.dumps(configuration_of(conf), sort_keys=True)
    return f"{conf.task.name}-{Cut.of(conf).as_of:%Y-%m-%d}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


PACKED_COLUMNS = {
    column.name: column
    for column in (
        Column("items", "binary", "item_index of each event, oldest first, 0-padded; little-endian int32"),
        Column("sessions", "binary", "number of the user's session each is in; little-endian int32"),
        Column(
            "ages", "binary", "from the session's start to the question; little-endian float32", unit="days"
        ),
        Column(
            "contexts", "binary", "type, time and channel of each, see conf/contexts.py; little-endian int32"
        ),
        Column("targets", "binary", "validation: item_index of what came next; little-endian int32"),
        Column("features", "binary", "of the user as of the question, scaled; little-endian float32"),
        Column("labels", "binary", "the answer to each target of a task; little-endian float32"),
        Column("label_weights", "binary", "of each answer, 0: there is none; little-endian float32"),
        Column("naive", "binary", "what the task's baseline knows of each target; little-endian float32"),
        Column(
            "users", "binary", "a hash of the user, by which a share of users is drawn; little-endian int64"
        ),
    )
}


def rows_table(set_id: str, spec: dict[str, Any] | None = None) -> Table:
    """The declaration of one set's `rows`; the `spec` becomes its property when it is written."""
    return Table(
        name=f"examples/{set_id}/rows",
        meaning="One training example.",
        columns=(
            Column("split", "string", "train or validation"),
            Column("row_id", "bigint", "unique, and rising by one within a file"),
            *(PACKED_COLUMNS[name] for name in (spec or {}).get("columns", PACKED)),
        ),
        key=("row_id",),
        partition_by=("split",),
        statistics=("row_id",),
        properties={"footfall.spec": json.dumps(spec, sort_keys=True)} if spec else {},
    )


def vocabulary_table(set_id: str) -> Table:
    """The declaration of one set's `vocabulary`."""
    return Table(
        name=f"examples/{set_id}/vocabulary",
        meaning="One item seen before as_of.",
        columns=(
            Column("item_index", "int", "as in items"),
            Column("item_id", "string", "the source's id"),
            Column("sessions", "bigint", "with the item before as_of", unit="sessions"),
            Column(
                "validation_sessions",
                "bigint",
                "before validation_from; 0: training never saw it",
                unit="sessions",
            ),
            Column("category", "string", "as in items when the set was made", nullable=True),
            Column(
                "price",
                "double",
                "mean of a piece before validation_from, of sets with contexts",
                nullable=True,
                unit="the shop's currency",
            ),
        ),
        key=("item_index",),
        statistics=("item_index",),
    )


def spec_of(
    conf: Config, vocabulary_size: int, target_length: int, tables: dict[str, int | None]
) -> dict[str, Any]:
    """What an example set says of itself."""
    cut, length = Cut.of(conf), conf.task.length
    lengths = {"targets": target_length}
    packed = PACKED | (CONTEXTS if conf.task.contexts else {})
    return {
        "set_id": set_id_of(conf),
        "task": conf.task.name,
        "as_of": cut.as_of.isoformat(),
        "validation_from": cut.validation_from.isoformat(),
        "columns": {n: {"dtype": dtype, "length": lengths.get(n, length)} for n, dtype in packed.items()},
        "positions": conf.task.positions,
        "vocabulary_size": vocabulary_size,
        "tables": tables,
        "configuration": configuration_of(conf),
    }


def rows_per_file(spec: dict[str, Any]) -> int:
    """So many that a file is one row group: planning by files is then planning by row groups."""
    row_bytes = 4 * sum(column["length"] for column in spec["columns"].values())
    return max(1, min(FILE_ROWS, FILE_BYTES // row_bytes))


def packed(histories: DataFrame, spec: dict[str, Any]) -> DataFrame:
    """Histories as fixed-length examples.

    before                                  after (length 3, positions 2)
    user  items    sessions  targets        split       items  sessions  targets
    ann   3 4 5 3  1 1 2 3   6 7            train       3 4 5  1 1 2     0 0
                                            train       5 3 0  2 3 0     0 0      the middle session, target then context
                                            validation  5 3 0  2 3 0     6 7

    A train row has whole sessions of one user, as many as fit; consecutive rows share one, so that every session but a
    user's first is a target once. `histories` has `user_id`, `items`, `sessions`, `ages`, where the spec has them
    `contexts`, and `targets` or null.
    """
    lengths = {name: column["length"] for name, column in spec["columns"].items()}
    positions = spec["positions"]

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pack_batch(batch, lengths, positions)

    return histories.select("user_id", *lengths).mapInArrow(pack, packed_schema(lengths))


def packed_schema(columns: Iterable[str]) -> str:
    """The schema of packed rows, in the words of `mapInArrow`."""
    return "split string, example string, " + ", ".join(f"{name} binary" for name in columns)


def counts_of(made: DataFrame) -> dict[str, int]:
    """Rows of each split."""
    return {row.split: row["count"] for row in made.groupBy("split").count().collect()}


def partitions_of(rows: int, spec: dict[str, Any], most: int) -> int:
    """How many partitions a set of so many rows is shuffled into: one for each file that they fill, `most` at most."""
    return max(1, min(most, math.ceil(rows / rows_per_file(spec))))


def shuffled(examples: DataFrame, seed: int, partitions: int, columns: Iterable[str] = PACKED) -> DataFrame:
    """The rows of a set in an order that follows from `seed` and the number of `partitions`, as their `row_id` does.

    A row goes to a partition by a hash, and not by ranges, whose bounds are drawn anew each time that a set is made.
    """
    order = f.xxhash64(f.lit(seed), "split", "example")
    spread = examples.withColumn("_order", order).repartition(partitions, "_order")
    in_order = spread.sortWithinPartitions("split", "_order", "example")
    return in_order.withColumn("row_id", f.monotonically_increasing_id()).select("split", "row_id", *columns)


def windows(sessions: np.ndarray, length: int, positions: int) -> list[tuple[int, int]]:
    """Half-open intervals of whole sessions, newest first: each as long as fits, its oldest session the next one's newest.

    `sessions` int32 (events,) rising; `length` and `positions` at least 2. Where two sessions alone are longer than
    `length`, the older is cut short at its beginning, to half of `length` at most; the newer at its end.
    """
    starts = np.flatnonzero(np.diff(sessions, prepend=sessions[:1] - 1))
    bounds = np.append(starts, len(sessions)).tolist()
    found, newest = [], len(starts)
    while newest >= 2:
        fits = bisect_left(bounds, bounds[newest] - length)
        oldest = min(max(fits, newest - positions), newest - 2)
        context = bounds[newest - 1] - length // 2  # what is left of a session before one that is too long
        start = max(bounds[oldest], min(bounds[newest] - length, context))
        found.append((start, min(bounds[newest], start + length)))
        if oldest == 0:
            break
        newest = oldest + 1
    return found


def tail(sessions: np.ndarray, length: int, positions: int) -> tuple[int, int]:
    """The newest events of a history: at most `length` of them, from at most `positions` sessions."""
    starts = np.flatnonzero(np.diff(sessions, prepend=sessions[:1] - 1))
    first = int(starts[max(0, len(starts) - positions)]) if len(starts) else 0
    return max(first, len(sessions) - length), len(sessions)


def pack_batch(batch: pa.RecordBatch, lengths: dict[str, int], positions: int) -> pa.RecordBatch:
    """The examples of a batch of histories, as `packed_schema`; `lengths` of each of its columns."""
    columns: dict[str, list[Any]] = {name: [] for name in ("split", "example", *lengths)}
    arrays = {name: Lists(batch.column(name), (PACKED | CONTEXTS)[name]) for name in lengths}
    for row, user in enumerate(batch.column("user_id").to_pylist()):
        history = {name: values[row] for name, values in arrays.items() if name != "targets"}
        targets = arrays["targets"][row]
        cuts = [("train", *window) for window in windows(history["sessions"], lengths["items"], positions)]
        if len(targets):
            cuts.append(("validation", *tail(history["sessions"], lengths["items"], positions)))
        for number, (split, start, end) in enumerate(cuts):
            columns["split"].append(split)
            columns["example"].append(f"{user}/{number}")
            for name, values in history.items():
                columns[name].append(padded(values[start:end], lengths[name]))
            columns["targets"].append(
                padded(targets if split == "validation" else targets[:0], lengths["targets"])
            )
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(lengths))


def arrow_schema(columns: Iterable[str]) -> pa.Schema:
    """`packed_schema` as Arrow has it."""
    texts = [("split", pa.string()), ("example", pa.string())]
    return pa.schema([*texts, *((name, pa.binary()) for name in columns)])


def padded(values: np.ndarray, length: int) -> bytes:
    """The values and zeros up to `length`, as little-endian bytes."""
    return values.tobytes() + bytes(values.itemsize * (length - len(values)))


class Lists:
    """The rows of an Arrow list column as NumPy arrays, without a Python object an element; a null row is empty."""

    def __init__(self, column: pa.ListArray, dtype: str):
        self.values = column.values.to_numpy(zero_copy_only=False).astype(
            np.dtype(dtype).newbyteorder("<"), copy=False
        )
        self.offsets = column.offsets.to_numpy()

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.offsets[row] : self.offsets[row + 1]]
