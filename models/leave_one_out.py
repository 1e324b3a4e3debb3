"""Sequences of a text file as an example set: of each user the last item is tested on, the one before validates.

A line is `user item item …`, oldest first, separated by blanks: the format of S3-Rec's data sets (Zhou et al., 2020). Each
item is a session of its own.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sparse
from deltalake import write_deltalake

from models.example_set import SPEC, TRAIN, VALIDATION, VOCABULARY
from models.indices import FIRST_ITEM
from models.metrics import PADDING, facts, padded, per_user, without_seen
from models.robustness import RATES, WAYS, worse

TEST = "test"
LEAST = 3  # items of a user: one to predict from, one to validate, one to test
ROWS_PER_FILE = 25_000
USERS_AT_A_TIME = 512  # whose scores are held, 4 bytes an item each
EVENTS = {"items": "int32", "sessions": "int32", "ages": "float32"}


class SequenceError(ValueError):
    """A file that is not of the format: the text names the line, what it has and what was expected."""


@dataclass(frozen=True)
class Sequences:
    """The users of a file, in its order."""

    items: Sequence[np.ndarray]  # of each user the indices, int32 from FIRST_ITEM, oldest first
    ids: Sequence[str]  # of the items, by index - FIRST_ITEM

    def before(self, at: int) -> list[np.ndarray]:
        """Of each user the items before the one `at` (-1: the last), by their places in `ids`."""
        return [seq[:at] - FIRST_ITEM for seq in self.items]

    def had(self, until: int) -> sparse.csr_matrix:
        """Whether a user has an item before the one `until`, by index: (users, FIRST_ITEM + items) float64."""
        kept = [seq[:until] for seq in self.items]
        rows = np.repeat(np.arange(len(kept)), [len(seq) for seq in kept])
        shape = len(kept), FIRST_ITEM + len(self.ids)
        told = sparse.csr_matrix((np.ones(len(rows)), (rows, np.concatenate(kept))), shape)
        told.data[:] = 1
        return told

    def last(self, at: int) -> np.ndarray:
        """Of each user the item `at`, by its place in `ids`: int (users,)."""
        return np.array([seq[at] for seq in self.items]) - FIRST_ITEM


def judged(
    scores: Callable[[np.ndarray], np.ndarray],
    histories: Sequence[np.ndarray],
    targets: np.ndarray,
    items: int,
    exclude_seen: bool,
    looked_at: Callable[[np.ndarray, np.ndarray], None] = lambda scores, candidates: None,
) -> dict[str, float]:
    """Means of all metrics over users, whose one target is ranked among all items.

    scores        users, int (some,) -> float (some, items), by the items' places
    histories     of each user the places of what they had, which with `exclude_seen` is no candidate, the target apart
    looked_at     is given the scores by item index, (some, FIRST_ITEM + items), and which are candidates
    """
    candidates = np.ones(items + FIRST_ITEM, bool)
    candidates[:FIRST_ITEM] = False
    values: list[dict[str, np.ndarray]] = []
    for first in range(0, len(targets), USERS_AT_A_TIME):
        users = np.arange(first, min(first + USERS_AT_A_TIME, len(targets)))
        of_items = np.pad(scores(users), ((0, 0), (FIRST_ITEM, 0)))  # as models have their columns
        wanted = (targets[users] + FIRST_ITEM)[:, None]
        if exclude_seen:
            seen = padded([histories[user] + FIRST_ITEM for user in users], PADDING)
            of_items = without_seen(of_items, seen, wanted)
        looked_at(of_items, candidates)
        values.append(per_user(*facts(of_items, candidates, wanted), np.ones(len(users), int)))
    return {name: float(np.concatenate([each[name] for each in values]).mean()) for name in values[0]}


def read_sequences(path: str | Path, held_back: int = 0) -> Sequences:
    """The file at `path` without the newest `held_back` items of each user.

    Raises `SequenceError` for the first line that is not as it must be.
    """
    least = LEAST + held_back
    index: dict[str, int] = {}
    items: list[np.ndarray] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(path), start=1):
        user, *ids = line.split() or [""]
        if len(ids) < least:
            raise SequenceError(
                f"{path}, line {number}: {len(ids)} items, expected a user and at least {least} items, separated by blanks"
            )
        if user in lines:
            raise SequenceError(
                f"{path}, line {number}: user {user!r} has line {lines[user]} already, expected one line a user"
            )
        lines[user] = number
        kept = ids[: len(ids) - held_back]
        items.append(np.array([index.setdefault(each, FIRST_ITEM + len(index)) for each in kept], np.int32))
    if not items:
        raise SequenceError(f"{path}, line 1: the file is empty, expected `user item item …`")
    return Sequences(items, list(index))


def _lines(path: str | Path) -> Iterator[str]:
    number = 0
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                number += 1
                yield line
    except UnicodeDecodeError:
        raise SequenceError(f"{path}, behind line {number}: not UTF-8, expected text") from None
    except OSError as error:
        raise SequenceError(
            f"{path}: {error.strerror}, expected a file of `user item item …` lines"
        ) from None


def write_examples(
    folder: Path,
    sequences: Sequences,
    length: int,
    prefixes: bool,
    exclude_seen: bool,
    worse_seed: int | None = None,
    until: int = -2,
) -> str:
    """Writes the example set that a training reads, and gives its path.

    length        of a row, the target included
    prefixes      each item but a user's first is the last of a row of its own; else a row has many targets
    exclude_seen  rows that are judged have a column `seen`, all that the user had
    worse_seed    of further splits, the test with worse histories (`worse_split`); none: there are no such
    until         the first item of a user that is not learned from; -1: what validates is

    Of a user a b c d e f:  train   a b c d, or with prefixes a b / a b c / a b c d
                            validation  a b c d -> e       test  a b c d e -> f
    """
    train = [seq[:until] for seq in sequences.items]
    cut = _prefixes if prefixes else _windows
    packed = {name: {"dtype": kind, "length": length} for name, kind in EVENTS.items()}
    packed["targets"] = {"dtype": "int32", "length": 1}
    if exclude_seen:  # of a long sequence more than a row has
        packed["seen"] = {"dtype": "int32", "length": max(map(len, sequences.items)) - 1}
    _write_vocabulary(folder / "vocabulary", sequences.ids, Counter(np.concatenate(train).tolist()))
    spec = {
        "set_id": folder.name,
        "task": "next_item",
        "columns": packed,
        "positions": length,
        "vocabulary_size": FIRST_ITEM + len(sequences.ids),
    }
    path = folder / "rows"
    write_deltalake(path, _table(TRAIN, [], [], [], 0, spec).schema.empty_table(), partition_by=["split"])
    _set_property(path, SPEC, json.dumps(spec))
    rows = [row for seq in train for row in cut(seq, length)]
    _append(path, TRAIN, rows, rows, [0] * len(rows), spec)
    by_length = sorted(sequences.items, key=len)
    for split, at in ((VALIDATION, -2), (TEST, -1)):
        seen = [seq[:at] for seq in by_length]
        _append(path, split, [seq[-length:] for seq in seen], seen, [seq[at] for seq in by_length], spec)
    if worse_seed is not None:
        had, targets = [seq[:-1] for seq in by_length], [seq[-1] for seq in by_length]
        places = [seq - FIRST_ITEM for seq in had]
        for way, rate in product(WAYS, RATES):
            rows = worse(places, way, rate, len(sequences.ids), worse_seed)
            rows = [(row[-length:] + FIRST_ITEM).astype(np.int32) for row in rows]
            _append(path, worse_split(way, rate), rows, had, targets, spec)
    return str(folder)


def worse_split(way: str, rate: float) -> str:
    """The split of the test whose histories are worse, such as `test_dropped_0.05`: part of a file's name."""
    return f"{TEST}_{way}_{rate}"


def _append(
    path: Path,
    split: str,
    rows: Sequence[np.ndarray],
    seen: Sequence[np.ndarray],
    targets: Sequence[int],
    spec: Mapping[str, Any],
) -> None:
    for first in range(0, len(rows), ROWS_PER_FILE):
        part = slice(first, first + ROWS_PER_FILE)
        table = _table(split, rows[part], seen[part], targets[part], first, spec)
        write_deltalake(path, table, partition_by=["split"], mode="append")


def _prefixes(seq: np.ndarray, length: int) -> list[np.ndarray]:
    return [seq[max(0, end - length) : end] for end in range(2, len(seq) + 1)]


def _windows(seq: np.ndarray, length: int) -> list[np.ndarray]:
    """Of a long sequence several rows, each of which begins with the one before's last item: no target comes twice."""
    ends = range(len(seq), 1, 1 - length)
    return [seq[max(0, end - length) : end] for end in ends]


def _write_vocabulary(path: Path, ids: Sequence[str], counts: Counter) -> None:
    """Every item counts once more than the training saw it: the whole catalogue is ranked, and is told from targets."""
    index = np.arange(FIRST_ITEM, FIRST_ITEM + len(ids))
    seen = np.array([counts[each] for each in index.tolist()]) + 1
    none = np.full(len(ids), None, object)
    columns = [index, np.array(ids, object), seen, seen, none, none]
    arrays = [pa.array(values, kind.type) for values, kind in zip(columns, VOCABULARY, strict=True)]
    write_deltalake(path, pa.Table.from_arrays(arrays, schema=VOCABULARY))


def _table(
    split: str,
    rows: Sequence[np.ndarray],
    seen: Sequence[np.ndarray],
    targets: Sequence[int],
    first_row_id: int,
    spec: Mapping[str, Any],
) -> pa.Table:
    length = spec["positions"]
    items = _side_by_side(rows, length)
    packed = {
        "items": items,
        "sessions": np.where(items > 0, np.arange(1, length + 1), 0).astype("<i4"),
        "ages": np.zeros((len(rows), length), "<f4"),  # the file has no times
        "targets": np.array(targets, "<i4")[:, None],
    }
    if "seen" in spec["columns"]:
        packed["seen"] = _side_by_side(seen, spec["columns"]["seen"]["length"] if split != TRAIN else length)
    columns = {
        "split": pa.array([split] * len(rows), pa.string()),
        "row_id": pa.array(np.arange(first_row_id, first_row_id + len(rows))),
        **{name: pa.array([row.tobytes() for row in values], pa.binary()) for name, values in packed.items()},
    }
    return pa.table(columns)


def _side_by_side(rows: Sequence[np.ndarray], length: int) -> np.ndarray:
    """(rows, length) int32, zeros behind each row."""
    filled = np.zeros((len(rows), length), "<i4")
    for place, row in enumerate(rows):
        filled[place, : len(row)] = row
    return filled


def _set_property(table: Path, name: str, value: str) -> None:
    """Commits a property as Spark would: delta-rs writes only those that it knows."""
    log = sorted((table / "_delta_log").glob("*.json"))
    actions = [json.loads(line) for file in log for line in file.read_text().splitlines()]
    metadata = [action for action in actions if "metaData" in action][-1]
    metadata["metaData"]["configuration"][name] = value
    (table / "_delta_log" / f"{len(log):020}.json").write_text(json.dumps(metadata) + "\n")
