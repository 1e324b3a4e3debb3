from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from models.example_set import ExampleSetError, open_example_set
from tests.models.example_sets import ROWS, random_example_set, set_properties, write_example_set

ROW = {"items": [3, 4], "sessions": [1, 2], "ages": [2, 1]}


def test_the_files_of_a_split_come_by_their_first_row_id(tmp_path):
    path = write_example_set(
        tmp_path / "set", {"train": [[ROW] * 3, [ROW]], "validation": [[ROW] * 2]}, {3: (1, 1)}, [70, 5, 900]
    )
    examples = open_example_set(path)
    assert [(f.rows, f.first_row_id) for f in examples.files("train")] == [(1, 5), (3, 70)]
    assert [(f.rows, f.first_row_id) for f in examples.files("validation")] == [(2, 900)]
    uris = [f.uri for f in examples.files("train")]
    assert all(uri.startswith("file:///") and Path(uri.removeprefix("file://")).is_file() for uri in uris)


def test_a_pinned_version_has_the_files_of_that_version_only(tmp_path):
    path = random_example_set(tmp_path / "set", train=[4, 5], validation=[2])
    pinned = open_example_set(path)
    DeltaTable(f"{path}/rows").delete("row_id = 0")
    assert sum(f.rows for f in open_example_set(path, pinned.version).files("train")) == 9
    assert sum(f.rows for f in open_example_set(path).files("train")) == 8


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("delta.enableDeletionVectors", "true", "deletion vectors"),
        ("delta.columnMapping.mode", "name", "column mapping"),
    ],
)
def test_a_table_whose_plain_files_would_be_misread_is_refused(tmp_path, key, value, what):
    path = Path(random_example_set(tmp_path / "set", train=[4], validation=[2]))
    set_properties(path / "rows", {key: value})
    with pytest.raises(ExampleSetError, match=f"{what}.*{key}"):
        open_example_set(str(path))


def test_a_missing_set_an_empty_split_and_a_table_without_a_spec_are_named(tmp_path):
    with pytest.raises(ExampleSetError, match=r"no Delta table in .*nowhere"):
        open_example_set(str(tmp_path / "nowhere"))
    path = random_example_set(tmp_path / "set", train=[3], validation=[])
    with pytest.raises(ExampleSetError, match=r"split 'validation' has no row.*there are: train"):
        open_example_set(path).files("validation")
    write_deltalake(tmp_path / "bare" / "rows", ROWS.empty_table())
    with pytest.raises(ExampleSetError, match=r"no table property footfall\.spec"):
        open_example_set(str(tmp_path / "bare"))


def test_row_ids_with_a_hole_are_refused(tmp_path):
    path = random_example_set(tmp_path / "set", train=[4], validation=[2])
    DeltaTable(f"{path}/rows").delete("row_id = 1")
    with pytest.raises(ExampleSetError, match="3 rows with row_id 0 to 3, expected 3 contiguous"):
        open_example_set(path)


def test_the_vocabulary_comes_by_index_and_gives_counts_by_index(tmp_path):
    path = write_example_set(tmp_path / "set", {"train": [[ROW]]}, {5: (7, 0), 3: (9, 4)})
    examples = open_example_set(path)
    assert examples.vocabulary.to_pydict() == {
        "item_index": [3, 5],
        "item_id": ["item-3", "item-5"],
        "sessions": [9, 7],
        "validation_sessions": [4, 0],
        "category": [None, None],
        "price": [None, None],
    }
    assert examples.vocabulary_size == 6
    assert examples.counts("sessions").tolist() == [0, 0, 0, 9, 0, 7]


def test_items_have_the_category_that_the_set_says_if_it_does(tmp_path):
    words = {3: (9, 4), 4: (7, 2)}
    path = write_example_set(tmp_path / "set", {"train": [[ROW]]}, words, categories={4: "dairy"})
    assert open_example_set(path).vocabulary["category"].to_pylist() == [None, "dairy"]


def test_a_vocabulary_larger_than_the_spec_says_is_refused(tmp_path):
    path = write_example_set(tmp_path / "set", {"train": [[ROW]]}, {9: (1, 1)}, spec={"vocabulary_size": 9})
    with pytest.raises(ExampleSetError, match="item_index 9, expected less than vocabulary_size 9"):
        open_example_set(path)
