from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.example_set import DataFile, ExampleSetError
from models.shards import (
    LENGTHS,
    Leg,
    Order,
    Piece,
    between,
    checksum,
    epoch_of,
    left,
    of_like_length,
    plan,
    row_order,
    rows_of,
    steps,
    windows,
    wrap,
)

FILES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def files(*rows: int) -> list[DataFile]:
    return [DataFile(f"file:///{i}", n, 1000 * i) for i, n in enumerate(rows)]


def row_ids(pieces) -> list[int]:
    return [i for p in pieces for i in range(p.first_row_id, p.first_row_id + p.rows)]


def test_a_file_is_cut_by_row_id_where_two_ranks_meet():
    a, b = files(5, 4)
    assert plan([a, b], 0, 2) == (Piece(a, 0, 4),)
    assert plan([a, b], 1, 2) == (Piece(a, 4, 1), Piece(b, 1000, 4))


@given(FILES, st.integers(1, 7))
def test_ranks_share_all_rows_and_differ_by_at_most_one(rows, ranks):
    if sum(rows) < ranks:
        return
    shares = [row_ids(plan(files(*rows), rank, ranks)) for rank in range(ranks)]
    assert list(chain(*shares)) == row_ids([Piece(f, f.first_row_id, f.rows) for f in files(*rows)])
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_ranks_than_rows_is_refused():
    with pytest.raises(ExampleSetError, match=r"3 rows for 4 ranks.*train\.ranks=3"):
        plan(files(1, 2), 0, 4)


def test_a_rank_outside_the_ranks_is_refused():
    with pytest.raises(ValueError, match=r"rank must lie in \[0, 2\), got 2"):
        plan(files(5), 2, 2)


@pytest.mark.parametrize(
    ("total", "ranks", "batch", "expected"),
    [(9, 2, 5, 1), (9, 2, 4, 2), (8, 2, 4, 1), (1, 1, 32, 1), (7, 3, 1, 3)],
)
def test_steps_are_enough_for_the_rank_with_the_most_rows(total, ranks, batch, expected):
    assert steps(total, ranks, batch) == expected


@given(FILES)
def test_the_checksum_is_the_sum_of_the_row_ids(rows):
    assert checksum(files(*rows)) == sum(row_ids(plan(files(*rows), 0, 1)))


def test_the_checksum_wraps_around_as_int64_sums_do():
    big = [DataFile("file:///a", 3, 2**62)]
    with np.errstate(over="ignore"):
        assert checksum(big) == np.sum(np.arange(2**62, 2**62 + 3, dtype=np.int64))
    assert wrap(2**63) == -(2**63)


def test_an_epoch_has_every_piece_once_and_another_order_in_the_next():
    pieces = plan(files(*[2] * 20), 0, 1)
    first, again, second = (windows(pieces, seed=1, epoch=e, size=8) for e in (0, 0, 1))
    assert [len(w) for w in first] == [8, 8, 4]
    assert sorted(sum(first, ()), key=lambda p: p.first_row_id) == list(pieces)
    assert first == again
    assert first != second


def test_the_rows_of_a_window_are_permuted_by_seed_epoch_and_window():
    orders = [row_order(50, *key).tolist() for key in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert orders[0] == row_order(50, 1, 0, 0).tolist()


def test_a_part_of_stretches_is_cut_across_them():
    a, b = epoch_of(plan(files(5, 4), 0, 1), 0, Order(window_files=1, shuffled=False))
    assert between([a, b], 3, 7) == [a._replace(start=3), b._replace(stop=2)]
    assert between([a, b], 5, 9) == [b]
    assert between([a, b], 9, 12) == []


def as_read(stretches) -> list[int]:
    """The row ids of stretches, in the order in which they are read."""
    found = []
    for each in stretches:
        ids = np.array(row_ids(each.pieces))
        found += ids[row_order(len(ids), *each.key)][each.start : each.stop].tolist()
    return found


@given(
    FILES,
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 12)), min_size=1, max_size=4),
    st.integers(0, 3),
)
def test_every_row_is_read_once_whatever_ranks_come_and_go(rows, taken, epoch):
    if sum(rows) < taken[0][0]:
        return
    parts, order, read = files(*rows), Order(seed=2, window_files=3), []
    legs: list[Leg] = []
    for ranks, done in taken:
        before = left(parts, epoch, order, [*legs, Leg(ranks, 0)])
        assert len(before) == ranks
        if legs and legs[-1].ranks != ranks:
            assert max(map(rows_of, before)) - min(map(rows_of, before)) <= 1
        read += [row for share in before for row in as_read(share)[:done]]
        legs.append(Leg(ranks, done))
    rest = [row for share in left(parts, epoch, order, legs) for row in as_read(share)]
    assert sorted(read + rest) == row_ids([Piece(f, f.first_row_id, f.rows) for f in parts])


@given(FILES, st.integers(1, 5), st.integers(0, 30))
def test_ranks_that_go_on_read_what_they_would_have_read(rows, ranks, done):
    if sum(rows) < ranks:
        return
    parts, order = files(*rows), Order(seed=2, window_files=3)
    for share, rest in zip(
        left(parts, 1, order, [Leg(ranks, 0)]), left(parts, 1, order, [Leg(ranks, done)]), strict=True
    ):
        assert as_read(rest) == as_read(share)[done:]


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(1, 7), st.integers(0, 3))
def test_rows_of_like_length_stand_together_and_none_is_lost(lengths, alike, epoch):
    order = of_like_length(np.array(lengths, int), alike, 1, epoch, 0)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    kinds = np.searchsorted(LENGTHS, np.array(lengths, int))[order]
    batches = [set(kinds[first : first + alike]) for first in range(0, len(kinds), alike)]
    whole = sum(np.unique(kinds, return_counts=True)[1] // alike) if lengths else 0
    assert all(len(batch) == 1 for batch in batches[:whole])


def test_batches_of_like_length_come_in_another_order_each_epoch():
    orders = [of_like_length(np.repeat([3, 30], 40), 4, 1, epoch, 0).tolist() for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert (
        sum(a < 40 <= b for a, b in zip(orders[0][::4], orders[0][4::4], strict=False)) > 1
    )  # short and long mixed
