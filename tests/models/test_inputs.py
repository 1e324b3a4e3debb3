import queue
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from models import inputs
from models.example_set import ExampleSetError, open_example_set
from models.inputs import counts_of, cut, dataset, padded_batches, read
from models.shards import Order, Piece, between, checksum, epoch_of, plan, steps
from tests.models.example_sets import LENGTH, random_example_set, write_example_set

ORDER = Order(seed=3, window_files=2)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Train files of 5, 1, 7, 4 and 3 rows."""
    return open_example_set(random_example_set(tmp_path_factory.mktemp("a b") / "set", train=[5, 1, 7, 4, 3]))


def ids(parts) -> list[int]:
    return [int(i) for part in parts for i in part["row_id"]]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_row_is_read_once_over_the_ranks(examples, ranks):
    files = examples.files("train")
    rows = [ids(read(epoch_of(plan(files, rank, ranks), 0, ORDER), ["items"])) for rank in range(ranks)]
    assert sorted(chain(*rows)) == sorted(f.first_row_id + i for f in files for i in range(f.rows))
    assert sum(chain(*rows)) == checksum(files)


def test_without_shuffling_rows_come_in_the_order_of_the_files(examples):
    pieces = plan(examples.files("train"), 0, 1)
    expected = [p.first_row_id + i for p in pieces for i in range(p.rows)]
    assert ids(read(epoch_of(pieces, 0, ORDER._replace(shuffled=False)), [])) == expected


def test_the_same_seed_and_epoch_repeat_the_order_and_the_next_epoch_has_another(examples):
    pieces = plan(examples.files("train"), 0, 1)
    first, again, second = (ids(read(epoch_of(pieces, e, ORDER), ["items"])) for e in (0, 0, 1))
    assert first == again
    assert first != second
    assert sorted(first) == sorted(second)


def test_starting_behind_a_row_gives_exactly_the_rest(examples):
    pieces = plan(examples.files("train"), 0, 1)
    epoch = epoch_of(pieces, 4, ORDER)
    assert len(epoch) == 3
    rows = ids(read(epoch, ["items"]))
    for done in range(len(rows) + 1):
        assert ids(read(between(epoch, done, len(rows)), ["items"])) == rows[done:]


def test_the_next_window_is_read_while_one_is_used_and_no_further_one(examples, monkeypatch):
    real, begun = inputs.read_window, queue.Queue()

    def read_window(pieces, columns):
        begun.put(pieces)
        return real(pieces, columns)

    monkeypatch.setattr(inputs, "read_window", read_window)
    windows = epoch_of(plan(examples.files("train"), 0, 1), 0, ORDER)
    rows = read(windows, ["items"])
    assert begun.get(timeout=60) == windows[0].pieces, "before anything is asked for"
    for number, window in enumerate(windows):
        with pytest.raises(queue.Empty):
            begun.get(timeout=0.2)
        assert len(next(rows)["row_id"]) == window.rows
        if number + 1 < len(windows):
            assert begun.get(timeout=60) == windows[number + 1].pieces


def test_rows_decode_to_what_was_written(tmp_path):
    rows = [{"items": [3, 4, 5], "sessions": [1, 1, 2], "ages": [9.5, 9.5, 0.25]}]
    path = write_example_set(tmp_path / "set", {"train": [rows]}, {9: (1, 1)}, first_row_ids=[40])
    examples = open_example_set(path)
    (batch,) = dataset(epoch_of(plan(examples.files("train"), 0, 1), 0, ORDER), examples.lengths(), 2, 1)
    assert {name: (t.dtype.name, t.shape.as_list()) for name, t in batch.items()} == {
        "row_ids": ("int64", [2]),
        "weights": ("float32", [2]),
        "items": ("int32", [2, LENGTH]),
        "sessions": ("int32", [2, LENGTH]),
        "ages": ("float32", [2, LENGTH]),
    }
    assert batch["row_ids"].numpy().tolist() == [40, 0]
    assert batch["weights"].numpy().tolist() == [1, 0]
    assert batch["items"].numpy().tolist() == [[3, 4, 5] + [0] * 9, [0] * 12]
    assert batch["sessions"].numpy().tolist() == [[1, 1, 2] + [0] * 9, [0] * 12]
    assert batch["ages"].numpy().tolist() == [[9.5, 9.5, 0.25] + [0] * 9, [0] * 12]


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_rank_takes_the_same_steps_and_only_the_last_is_padded(examples, ranks):
    files = examples.files("train")
    count = steps(20, ranks, 4)
    shares = []
    for rank in range(ranks):
        share = dataset(epoch_of(plan(files, rank, ranks), 0, ORDER), examples.lengths(), 4, count)
        shares.append([int(sum(batch["weights"])) for batch in share])
    assert shares == {1: [[4] * 5], 2: [[4, 4, 2]] * 2, 3: [[4, 2], [4, 3], [4, 3]]}[ranks]


def test_a_rank_that_has_run_out_gets_batches_of_nothing(examples):
    batches = dataset(epoch_of(plan(examples.files("train"), 0, 20), 0, ORDER), examples.lengths(), 2, 3)
    assert [b["weights"].numpy().tolist() for b in batches] == [[1, 0], [0, 0], [0, 0]]


def test_too_few_steps_for_the_rows_are_refused():
    part = {"row_id": np.arange(5), "items": np.array([b"\0" * 4] * 5, object)}
    with pytest.raises(ExampleSetError, match="rows are left after 2 steps of 2 rows"):
        list(padded_batches(iter([part]), {"items": ("int32", 1)}, 2, 2))


@pytest.mark.parametrize("size", [3, 8])
def test_a_row_of_another_length_than_the_spec_says_is_refused(size):
    part = {"row_id": np.arange(2), "items": np.array([b"\0" * 4, b"\0" * size], object)}
    with pytest.raises(ExampleSetError, match=rf"column items: rows of \[{size}\] bytes, expected 4"):
        list(padded_batches(iter([part]), {"items": ("int32", 1)}, 2, 1))


@pytest.mark.parametrize("promised", [4, 6])
def test_a_file_with_other_rows_than_the_log_says_is_refused(examples, promised):
    (file,) = (f for f in examples.files("train") if f.rows == 5)
    lying = replace(file, rows=promised)
    with pytest.raises(ExampleSetError, match=f"gave 5 rows where the table's log says {promised}"):
        list(read(epoch_of([Piece(lying, lying.first_row_id, promised)], 0, ORDER), []))


def test_a_file_with_other_row_ids_than_the_log_says_is_refused(examples):
    first, second = examples.files("train")[:2]
    lying = replace(first, first_row_id=7)
    with pytest.raises(ExampleSetError, match="expected 7 to"):
        pieces = [Piece(lying, 7, first.rows), Piece(second, second.first_row_id, 1)]
        list(read(epoch_of(pieces, 0, ORDER), []))


def test_rows_of_like_length_make_a_batch_which_is_cut_to_it(tmp_path):
    counts = [2, 9, 4, 11, 3, 10, 6, 8, 2, 12, 5, 7]
    rows = [{"items": [3] * count, "sessions": list(range(1, count + 1))} for count in counts]
    path = write_example_set(tmp_path / "set", {"train": [rows[:7], rows[7:]]}, {3: (1, 1)})
    examples = open_example_set(path)
    pieces = plan(examples.files("train"), 0, 1)
    order = ORDER._replace(alike=2)
    shapes = []
    for batch in dataset(epoch_of(pieces, 0, order), examples.lengths(), 2, 6):
        lengths = np.count_nonzero(batch["items"], axis=1)
        short = cut(batch | {"features": np.zeros((2, 9))})  # of a task with labels: no value an event
        assert short["features"].shape == (2, 9)
        shapes.append(short["items"].shape[1])
        assert [int(np.searchsorted([4, 8, 12], each)) for each in lengths].count(shapes[-1] // 4 - 1) == 2
        assert short["ages"].shape == short["sessions"].shape == short["items"].shape
        assert np.count_nonzero(short["items"], axis=1).tolist() == lengths.tolist()
        assert short["weights"].shape == short["row_ids"].shape == (2,)
    assert sorted(shapes) == [4, 4, 8, 8, 12, 12]
    read_ids = [ids(read(epoch_of(pieces, epoch, order), ["items"])) for epoch in (0, 0, 1)]
    assert read_ids[0] == read_ids[1] != read_ids[2]
    assert sorted(read_ids[2]) == sorted(ids(read(epoch_of(pieces, 0, ORDER), ["items"])))


def test_the_events_of_a_packed_row_are_counted():
    rows = np.array([np.array(row, "<i4").tobytes() for row in ([3, 4, 0], [0, 0, 0], [900, 3, 5])], object)
    assert counts_of(rows).tolist() == [2, 0, 3]
