"""A share of the users of an example set with labels, drawn by a hash of each: a smaller share's are among a larger one's.

Their rows are written into files of this process, which are read as those of the set are. Labels by which epochs are chosen
are labels too, so that the share goes for the validation rows as well; the test rows stay as they are.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.answers import answers, read_columns
from models.example_set import TRAIN, VALIDATION, DataFile, ExampleSet, ExampleSetError
from models.inputs import read_window
from models.shards import plan

USERS = "users"


def few(examples: ExampleSet, share: float, folder: Path) -> ExampleSet:
    """The set with the training and validation rows of this share of its users, in files below `folder`.

    Raises `ExampleSetError` where none are left, or where the set does not tell users apart.
    """
    if share == 1:
        return examples
    if USERS not in examples.spec["columns"]:
        raise ExampleSetError(
            f"{examples.path} has no column {USERS}, expected a hash of each row's user: it is of an earlier release; "
            "write it anew, or set finetune.share=1"
        )
    splits = {split: tuple(_written(examples, split, share, folder)) for split in (TRAIN, VALIDATION)}
    if lacking := [split for split, files in splits.items() if not files]:
        raise ExampleSetError(
            f"finetune.share={share} leaves no row of {' and '.join(lacking)} of "
            f"{sum(file.rows for file in examples.files(TRAIN))}, expected some: set finetune.share higher"
        )
    return replace(examples, splits={**examples.splits, **splits})


def is_chosen(users: np.ndarray, share: float) -> np.ndarray:
    """(rows,) int64 hashes, uniform over all that there are -> (rows,) bool."""
    return users.astype(np.float64) / 2.0**64 + 0.5 < share


def counted(examples: ExampleSet) -> dict[str, int]:
    """How many users, rows and positives the labels of training and validation come to, the latter by themselves too.

    A positive is an answer above 0: what happened, or an amount; a class has none.
    """
    found: dict[str, int] = {}
    for split in (TRAIN, VALIDATION):
        told = answers(examples, split)
        found[f"{split}_rows"] = len(told.labels)
        if USERS in examples.spec["columns"]:
            found[f"{split}_users"] = len(np.unique(read_columns(examples, split, [USERS])[0]))
        if examples.spec["label"]["head"] != "classes":
            found[f"{split}_positives"] = int(((told.labels > 0) & (told.weights > 0)).sum())
    return found


def _hashes(packed: np.ndarray) -> np.ndarray:
    """(rows,) objects of bytes -> (rows,) int64."""
    return np.frombuffer(b"".join(packed), "<i8")


def _written(examples: ExampleSet, split: str, share: float, folder: Path) -> Iterator[DataFile]:
    """Of each file of a split one with the rows that are chosen, if there are any; ids from that of its first on."""
    columns = list(examples.spec["columns"])
    for number, file in enumerate(examples.files(split)):
        rows = read_window(plan([file], 0, 1), columns)
        chosen = is_chosen(_hashes(rows[USERS]), share)
        if count := int(chosen.sum()):
            ids = pa.array(np.arange(file.first_row_id, file.first_row_id + count))
            packed = {name: pa.array(rows[name][chosen].tolist(), pa.binary()) for name in columns}
            path = folder / f"{split}-{number}.parquet"
            pq.write_table(pa.table({"row_id": ids} | packed), path)
            yield DataFile(path.resolve().as_uri(), count, file.first_row_id)
