"""Histories of users as Arrow batches have them: which can be scored, and how they become what a model takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.top_k import USERS

BROKEN = "the arrays of its row are broken"
NO_HISTORY = "no history: what is best for everyone"
SEQUENCE = {"items": np.int32, "sessions": np.int32, "ages": np.float32}
CONTEXTS = {"contexts": np.int32}  # of models that are told of events beside their items
SHORTEST = 32  # histories are padded to this length, or the next power of two that holds them
COPIES = 3  # arrays of the scores' size that exist at one time
EVENT_BYTES = 200  # of a model's working memory an event


class Rows(NamedTuple):
    """Some users of a batch whose histories have a similar length."""

    places: np.ndarray  # (rows,) their places in the batch
    inputs: dict[str, np.ndarray]  # of events: (rows, length), see `of_events`; maybe excluded: (rows, any)


def unusable(batch: pa.RecordBatch, targets: bool = False) -> list[str | None]:
    """Why a user of the batch cannot be scored, or None: one bad row costs that user only. NO_HISTORY is such a reason.

    Raises `ValueError` where a column is missing, which costs all.
    """
    columns = [*SEQUENCE, "targets"] if targets else [*SEQUENCE]
    missing = {"user_id", *columns} - set(batch.schema.names)
    if missing:
        raise ValueError(
            f"the batch has no column {', '.join(sorted(missing))}: expected user_id, {', '.join(columns)}"
        )
    arrays = [name for name in (*SEQUENCE, *CONTEXTS) if name in batch.schema.names]
    lengths = np.stack([lengths_of(batch.column(name)) for name in arrays])  # (arrays, users)
    reasons = np.full(len(batch), None, object)
    if targets:
        reasons[lengths_of(batch.column("targets")) == 0] = "no targets"
    reasons[lengths.min(axis=0) == 0] = NO_HISTORY
    reasons[lengths.min(axis=0) < lengths.max(axis=0)] = "items, sessions and ages have different lengths"
    for name in [*columns, *({"excluded", *CONTEXTS} & set(batch.schema.names))]:
        values = batch.column(name).flatten()
        broken = pc.is_null(values, nan_is_null=pa.types.is_floating(values.type))
        users = np.repeat(np.arange(len(batch)), lengths_of(batch.column(name)))
        reasons[users[broken.to_numpy(zero_copy_only=False)]] = f"{name} has a value that is no number"
        reasons[batch.column(name).is_null().to_numpy(zero_copy_only=False)] = f"{name} is null"
    nulls = [batch.column(name).is_null().to_numpy(zero_copy_only=False) for name in SEQUENCE]
    reasons[np.all(nulls, axis=0)] = BROKEN
    return reasons.tolist()


def chunks(
    batch: pa.RecordBatch, reasons: Sequence[str | None], dense: int, max_bytes: int
) -> Iterator[Rows]:
    """The users without a reason, those of similar length together, few enough at a time for `max_bytes`.

    Histories are padded to powers of two, so that a short one does not pay for a long one. `dense`: of how many items each
    user's scores are held at one time.
    """
    lengths = np.maximum(lengths_of(batch.column("items")), SHORTEST)
    padded_to = 2 ** np.ceil(np.log2(lengths)).astype(int)  # (users,)
    usable = np.array([reason is None for reason in reasons], bool)
    for length in np.unique(padded_to[usable]):
        places = np.nonzero(usable & (padded_to == length))[0]
        most = max(1, min(USERS, max_bytes // (COPIES * 4 * dense + EVENT_BYTES * int(length))))
        for start in range(0, len(places), most):
            chosen = places[start : start + most]
            rows = batch.take(pa.array(chosen))
            inputs = {
                name: padded(rows.column(name), length, dtype)
                for name, dtype in (SEQUENCE | CONTEXTS).items()
                if name in rows.schema.names
            }
            if "excluded" in rows.schema.names:
                excluded = rows.column("excluded")
                inputs["excluded"] = padded(excluded, lengths_of(excluded).max(), np.int32)
            yield Rows(chosen, inputs)


def of_events(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What is told of events: without what is `excluded`, and what else is there."""
    return {name: inputs[name] for name in (*SEQUENCE, *CONTEXTS) if name in inputs}


def lengths_of(lists: pa.ListArray) -> np.ndarray:
    """(rows,) int: the lists' lengths, 0 for a null."""
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)


def padded(lists: pa.ListArray, length: int, dtype: type) -> np.ndarray:
    """(rows, length): the lists, with zeros on the right."""
    matrix: np.ndarray = np.zeros((len(lists), length), dtype)
    matrix[np.arange(length) < lengths_of(lists)[:, None]] = lists.flatten().to_numpy(zero_copy_only=False)
    return matrix


def together(users: Sequence[Mapping[str, np.ndarray]], sizes: Sequence[int]) -> dict[str, np.ndarray]:
    """Some users' histories as one batch: filled up with rows of zeros to a size, and with columns to a power of two.

    users  `items`, `sessions`, `ages` and maybe `contexts`, (events,) each, and maybe `excluded`, (any,) int32
    """
    size = next(each for each in sizes if each >= len(users))
    batch = {}
    for name, dtype in (SEQUENCE | CONTEXTS | {"excluded": np.int32}).items():
        if name not in users[0]:
            continue
        length = max(len(user[name]) for user in users)
        if name != "excluded":
            length = max(SHORTEST, 1 << (length - 1).bit_length()) if length else SHORTEST
        matrix: np.ndarray = np.zeros((size, length), dtype)
        for row, user in zip(matrix, users, strict=False):
            row[: len(user[name])] = user[name]
        batch[name] = matrix
    return batch
