import numpy as np
import pytest

from models.example_set import TRAIN, VALIDATION, open_example_set
from models.inputs import dataset
from models.leave_one_out import TEST, SequenceError, judged, read_sequences, worse_split, write_examples
from models.shards import Order, epoch_of, plan

LINES = "7 10 11 12 13 14\nann 12 x 10\n8 14 13 12 11 10 10 x\n"
INDEX = {"10": 3, "11": 4, "12": 5, "13": 6, "14": 7, "x": 8}


def written(tmp_path, text: str = LINES) -> str:
    path = tmp_path / "sequences.txt"
    path.write_text(text)
    return str(path)


def rows_of(examples, split: str) -> list[tuple[list[int], ...]]:
    """Items, sessions and, but for training, targets of each row, without padding."""
    pieces = plan(examples.files(split), 0, 1)
    count = sum(piece.rows for piece in pieces)
    (batch,) = dataset(epoch_of(pieces, 0, Order(shuffled=False)), examples.lengths(split), count, 1)
    names = [name for name in ("items", "sessions", "targets") if name in batch]
    return [
        tuple(row[row > 0].tolist() for row in each)
        for each in zip(*(batch[n].numpy() for n in names), strict=True)
    ]


def examples_of(tmp_path, length: int, prefixes: bool):
    sequences = read_sequences(written(tmp_path))
    return open_example_set(write_examples(tmp_path / "set", sequences, length, prefixes, exclude_seen=True))


def test_items_get_indices_in_the_order_in_which_they_first_come(tmp_path):
    sequences = read_sequences(written(tmp_path))
    assert list(sequences.ids) == list(INDEX)
    assert [row.tolist() for row in sequences.items] == [[3, 4, 5, 6, 7], [5, 8, 3], [7, 6, 5, 4, 3, 3, 8]]


def test_the_last_item_tests_the_one_before_validates_and_neither_is_trained_on(tmp_path):
    examples = examples_of(tmp_path, 6, prefixes=False)
    assert rows_of(examples, TRAIN) == [([3, 4, 5], [1, 2, 3]), ([7, 6, 5, 4, 3], [1, 2, 3, 4, 5])]
    assert rows_of(examples, VALIDATION) == [
        ([5], [1], [8]),
        ([3, 4, 5], [1, 2, 3], [6]),
        ([7, 6, 5, 4, 3], [1, 2, 3, 4, 5], [3]),
    ]
    assert rows_of(examples, TEST) == [
        ([5, 8], [1, 2], [3]),
        ([3, 4, 5, 6], [1, 2, 3, 4], [7]),
        ([7, 6, 5, 4, 3, 3], [1, 2, 3, 4, 5, 6], [8]),
    ]


def test_what_validates_is_learned_where_that_is_asked_for_and_what_tests_is_not(tmp_path):
    sequences = read_sequences(written(tmp_path))
    examples = open_example_set(write_examples(tmp_path / "set", sequences, 4, True, True, until=-1))
    ends = [(items[-2], items[-1]) for items, _ in rows_of(examples, TRAIN)]
    assert ends == [(3, 4), (4, 5), (5, 6), (5, 8), (7, 6), (6, 5), (5, 4), (4, 3), (3, 3)]
    assert [targets for *_, targets in rows_of(examples, TEST)] == [[3], [7], [8]]


def test_each_item_of_the_training_but_a_users_first_ends_a_prefix(tmp_path):
    examples = examples_of(tmp_path, 4, prefixes=True)
    prefixes = [items for items, _ in rows_of(examples, TRAIN)]
    assert prefixes == [[3, 4], [3, 4, 5], [7, 6], [7, 6, 5], [7, 6, 5, 4], [6, 5, 4, 3]]


def test_a_long_sequence_is_cut_into_rows_that_have_each_target_once(tmp_path):
    examples = examples_of(tmp_path, 3, prefixes=False)
    rows = [items for items, _ in rows_of(examples, TRAIN)]
    assert rows == [[3, 4, 5], [5, 4, 3], [7, 6, 5]]
    assert rows_of(examples, TEST)[2][0] == [4, 3, 3]  # the newest are kept


def test_all_that_a_user_had_is_known_where_rows_are_judged_however_short_they_are(tmp_path):
    examples = examples_of(tmp_path, 3, prefixes=False)
    pieces = plan(examples.files(TEST), 0, 1)
    (batch,) = dataset(epoch_of(pieces, 0, Order(shuffled=False)), examples.lengths(TEST), 3, 1)
    assert batch["seen"].numpy().tolist() == [[5, 8, 0, 0, 0, 0], [3, 4, 5, 6, 0, 0], [7, 6, 5, 4, 3, 3]]
    assert "seen" not in examples.lengths(TRAIN)
    repeated = write_examples(
        tmp_path / "again", read_sequences(written(tmp_path)), 3, False, exclude_seen=False
    )
    assert "seen" not in open_example_set(repeated).lengths(TEST)


def test_every_item_is_a_candidate_and_counts_once_more_than_it_was_trained_on(tmp_path):
    examples = examples_of(tmp_path, 6, prefixes=False)
    assert examples.counts("validation_sessions").tolist() == [0, 0, 0, 3, 3, 4, 2, 2, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the file is empty, expected `user item item …`"),
        ("1 2 3 4\n\n5 6 7 8\n", "line 2: 0 items, expected a user and at least 3 items"),
        ("1 2 3 4\n2 5 6\n", "line 2: 2 items, expected a user and at least 3 items"),
        ("1 2 3 4\n2 5 6 7\n1 8 9 10\n", "line 3: user '1' has line 1 already, expected one line a user"),
    ],
)
def test_a_line_that_is_not_as_it_must_be_is_named(tmp_path, text, said):
    with pytest.raises(SequenceError) as refused:
        read_sequences(written(tmp_path, text))
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "image").write_bytes(b"1 2 3 4\n\xff\xfe 1 2 3\n")
    with pytest.raises(SequenceError, match="not UTF-8, expected text"):
        read_sequences(tmp_path / "image")
    with pytest.raises(SequenceError, match="No such file or directory, expected a file of"):
        read_sequences(tmp_path / "none")


def test_rows_behind_a_files_limit_go_to_another_file(tmp_path, monkeypatch):
    monkeypatch.setattr("models.leave_one_out.ROWS_PER_FILE", 4)
    examples = examples_of(tmp_path, 4, prefixes=True)
    assert sorted((file.first_row_id, file.rows) for file in examples.files(TRAIN)) == [(0, 4), (4, 2)]
    assert len(rows_of(examples, TRAIN)) == 6
    assert np.all(np.diff([len(items) for items, _, _ in rows_of(examples, TEST)]) >= 0)


def test_scores_by_places_are_judged_with_and_without_what_was_had(tmp_path):
    sequences = read_sequences(written(tmp_path))
    ids = list(sequences.ids)
    assert [ids[place] for place in sequences.last(-1)] == ["14", "10", "x"]
    assert [[ids[place] for place in row] for row in sequences.before(-2)] == [
        ["10", "11", "12"],
        ["12"],
        ["14", "13", "12", "11", "10"],
    ]
    scores = np.tile(
        [6.0, 5.0, 4.0, 3.0, 2.0, 1.0], (3, 1)
    )  # "10" is the best for all, then 11, 12, 13, 14, x

    def ranks(exclude_seen: bool) -> float:
        return judged(lambda users: scores[users], sequences.before(-1), sequences.last(-1), 6, exclude_seen)[
            "mrr@5"
        ]

    assert ranks(exclude_seen=False) == pytest.approx((1 / 5 + 1 + 0) / 3)
    assert ranks(exclude_seen=True) == pytest.approx((1 / 1 + 1 + 1 / 1) / 3)


def test_the_test_is_there_with_worse_histories_and_the_same_targets(tmp_path):
    sequences = read_sequences(written(tmp_path))
    path = write_examples(tmp_path / "worse", sequences, 6, prefixes=False, exclude_seen=True, worse_seed=1)
    examples = open_example_set(path)
    usual = {tuple(targets) for *_, targets in rows_of(examples, TEST)}
    assert len(examples.splits) == 3 + 4 * 4
    twice = rows_of(examples, worse_split("duplicated", 0.2))
    assert {tuple(targets) for *_, targets in twice} == usual
    assert all(set(items) <= set(INDEX.values()) for items, *_ in twice)
