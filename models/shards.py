"""Who reads what: the plan of an epoch, computed alike on every rank from the files' rows and a seed.

The files of a split, by their row ids, are one long row of rows; rank r of R reads [r*N//R, (r+1)*N//R). A rank
shuffles its share by a permutation that depends on (seed, epoch) alone: first its pieces, then, inside each
window of K pieces, the rows. What a rank reads is so a list of stretches of windows, and what is left of it behind any row
another: a training that was stopped goes on there, and with another number of ranks these share what is left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from models.example_set import DataFile, ExampleSetError


@dataclass(frozen=True)
class Piece:
    """The rows of a file that a rank reads: ids [first_row_id, first_row_id + rows)."""

    file: DataFile
    first_row_id: int
    rows: int


LENGTHS = 2 ** np.arange(2, 16)
"""To which rows of like length are cut, the first that has room: each is a shape to make a graph for."""


class Order(NamedTuple):
    """How an epoch is shuffled; none at all: `shuffled=False`."""

    seed: int = 0
    window_files: int = 8
    shuffled: bool = True
    alike: int = 0  # so many rows one behind the other are of like length, where a window has them; 0: any


class Stretch(NamedTuple):
    """The rows [start, stop) of a window: some pieces' rows, shuffled by (seed, epoch, window), or as they stand."""

    pieces: tuple[Piece, ...]
    key: tuple[int, int, int] | None
    start: int
    stop: int
    alike: int = 0  # as in `Order`

    @property
    def rows(self) -> int:
        return self.stop - self.start


class Leg(NamedTuple):
    """A part of an epoch, read by so many ranks: `rows` by each, or what there was for it."""

    ranks: int
    rows: int


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


def epoch_of(pieces: Sequence[Piece], epoch: int, order: Order) -> list[Stretch]:
    """All that a rank with these pieces reads in an epoch, from 0."""
    size = order.window_files
    if order.shuffled:
        parts = windows(pieces, order.seed, epoch, size)
    else:
        parts = [tuple(pieces[i : i + size]) for i in range(0, len(pieces), size)]
    return [
        Stretch(
            part,
            (order.seed, epoch, number) if order.shuffled else None,
            0,
            sum(p.rows for p in part),
            order.alike,
        )
        for number, part in enumerate(parts)
    ]


def between(stretches: Sequence[Stretch], first: int, last: int) -> list[Stretch]:
    """Of all their rows, one behind the other, [first, last).

    a[0:5) b[0:4), 3 to 7    a[3:5) b[0:2)
    """
    cut, before = [], 0
    for each in stretches:
        low, high = max(first - before, 0), min(last - before, each.rows)
        if low < high:
            cut.append(each._replace(start=each.start + low, stop=each.start + high))
        before += each.rows
    return cut


def rows_of(stretches: Sequence[Stretch]) -> int:
    return sum(each.rows for each in stretches)


def left(files: Sequence[DataFile], epoch: int, order: Order, legs: Sequence[Leg]) -> list[list[Stretch]]:
    """What each rank of the last leg has still to read of an epoch, from 0, of which these legs are done.

    Ranks go on where they stopped. Where a leg has another number of ranks, it shares what all those before it left: each
    row is read once in an epoch, whatever ranks came and went.
    """
    first, *later = legs
    plans = (plan(files, rank, first.ranks) for rank in range(first.ranks))
    shares = [between(share := epoch_of(each, epoch, order), first.rows, rows_of(share)) for each in plans]
    for leg in later:
        rest = [each for share in shares for each in share]
        total = rows_of(rest)
        bounds = [rank * total // leg.ranks for rank in range(leg.ranks + 1)]
        shares = [between(rest, min(low + leg.rows, high), high) for low, high in pairwise(bounds)]
    return shares


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


def of_like_length(lengths: np.ndarray, alike: int, seed: int, epoch: int, window: int) -> np.ndarray:
    """Rows of these lengths in batches of like ones: a permutation of range(rows), each batch `alike` places of it.

    lengths (rows,) int. The batches come at random, those with the rows that are left over last.

    lengths 3 9 2 8 4 7 3, alike 2    places 0 2  1 3  4 6  5 or any other order of the first three
    """
    kinds = np.searchsorted(LENGTHS, lengths)
    batches, rest = [], []
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        whole = len(rows) // alike * alike
        batches += list(rows[:whole].reshape(-1, alike))
        rest.append(rows[whole:])
    order = np.random.default_rng([seed, epoch, window, 1]).permutation(len(batches))
    return np.concatenate([*(batches[place] for place in order), *rest]) if len(lengths) else lengths
