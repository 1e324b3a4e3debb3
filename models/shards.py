"""Who reads what: the plan of an epoch, computed alike on every rank from the files' rows and a seed.

The files of a split, sorted by path, are one long row of rows; rank r of R reads [r*N//R, (r+1)*N//R). A rank
shuffles its share by a permutation that depends on (seed, epoch) alone: first its pieces, then, inside each
window of K pieces, the rows. So a place in an epoch is three numbers (`Position`), and reading can start at
any of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.example_set import DataFile, ExampleSetError


@dataclass(frozen=True)
class Piece:
    """The rows of a file that a rank reads: ids [first_row_id, first_row_id + rows)."""

    file: DataFile
    first_row_id: int
    rows: int


class Position(NamedTuple):
    """A place in a rank's epoch: the next row is number `offset` of the shuffled window `window`."""

    epoch: int
    window: int = 0
    offset: int = 0


def plan(files: Sequence[DataFile], rank: int, ranks: int, may_be_empty: bool = False) -> tuple[Piece, ...]:
    """The pieces of rank `rank` of `ranks`, in the order of `files`. Ranks differ by at most one row.

    files a(5) b(4), 2 ranks    rank 0: a[0:4)    rank 1: a[4:5) b[0:4)
    """
    total = sum(file.rows for file in files)
    if not 0 <= rank < ranks:
        raise ValueError(f"rank must lie in [0, {ranks}), got {rank}")
    if total < ranks and not may_be_empty:
        raise ExampleSetError(
            f"{total} rows for {ranks} ranks, expected at least one each: set train.ranks={total}"
        )
    start, stop = rank * total // ranks, (rank + 1) * total // ranks
    pieces, before = [], 0
    for file in files:
        low, high = max(start, before), min(stop, before + file.rows)
        if low < high:
            pieces.append(Piece(file, file.first_row_id + low - before, high - low))
        before += file.rows
    return tuple(pieces)


def steps(total: int, ranks: int, batch_size: int) -> int:
    """Steps an epoch, the same on every rank: enough for the rank with the most rows."""
    return math.ceil(math.ceil(total / ranks) / batch_size)


def checksum(pieces: Sequence[Piece | DataFile]) -> int:
    """The sum of the row ids, as an int64 that wraps around: what reading every row once must add up to."""
    return wrap(sum(p.rows * p.first_row_id + p.rows * (p.rows - 1) // 2 for p in pieces))


def wrap(number: int) -> int:
    """`number` as int64 arithmetic has it: modulo 2^64, in [-2^63, 2^63)."""
    return (number + 2**63) % 2**64 - 2**63


def windows(pieces: Sequence[Piece], seed: int, epoch: int, size: int) -> list[tuple[Piece, ...]]:
    """The pieces in the order of this epoch, `size` at a time."""
    order = np.random.default_rng([seed, epoch]).permutation(len(pieces))
    shuffled = [pieces[i] for i in order]
    return [tuple(shuffled[i : i + size]) for i in range(0, len(shuffled), size)]


def row_order(rows: int, seed: int, epoch: int, window: int) -> np.ndarray:
    """The order of a window's rows in this epoch: a permutation of range(rows)."""
    return np.random.default_rng([seed, epoch, window]).permutation(rows)
