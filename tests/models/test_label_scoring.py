"""Answers to tasks with labels, of Arrow batches: every user once, and a bad row costs that user only."""

import numpy as np
import pyarrow as pa
import pytest

from models.answers import Answers
from models.export_labelled import export_labelled
from models.histories import BROKEN
from models.label_baselines import fit
from models.label_metrics import aligned, sampled
from models.label_scoring import ANSWERS, NO_INPUTS, NO_NUMBERS, NOT_ASKED
from models.label_scoring import answers as answered

SPEC = {
    "columns": {"features": {"length": 2}, "naive": {"length": 2}},
    "label": {"names": ["jam", "milk"], "features": ["x", "y"]},
}
VOCABULARY = {"item_index": [3, 4], "item_id": ["a", "b"]}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A baseline that says what it knows, of two targets."""
    folder = tmp_path_factory.mktemp("labelled") / "model"
    nothing = np.zeros((1, 2), np.float32)
    export_labelled(
        fit("naive", "amount", 5, Answers(nothing, nothing, nothing), 2), VOCABULARY, SPEC, folder
    )
    return str(folder)


def batch(*users):
    """(items, features, naive) each"""
    columns = {"user_id": pa.array([f"u{n}" for n in range(len(users))])}
    items, features, naive = zip(*users, strict=True)
    for name, kind in (("items", pa.int32()), ("sessions", pa.int32()), ("ages", pa.float32())):
        columns[name] = pa.array(list(items), pa.list_(kind))
    for name, values in (("features", features), ("naive", naive)):
        columns[name] = pa.array(list(values), pa.list_(pa.float32()))
    return pa.RecordBatch.from_pydict(columns)


def test_each_user_is_answered_in_the_order_of_the_input_and_a_bad_row_costs_that_user_only(path):
    told = batch(
        ([3, 4], [0, 1], [0.5, 2.0]),
        ([], [0, 1], [1, 1]),
        (None, [0, 1], [1, 1]),
        ([3] * 40, [0, 1], [0.25, 7.0]),
        ([3], [0, None], [1, 1]),
        ([3], [0, 1], [1, np.inf]),
        ([3], None, [1, 1]),
    )
    (found,) = answered(iter([told]), {"naive": path})
    assert found.schema == ANSWERS
    rows = found.to_pydict()
    assert rows["user_id"] == [f"u{n}" for n in range(7)]
    assert rows["value"] == [[0.5, 2.0], None, None, [0.25, 7.0], None, None, None]
    assert rows["reason"] == [None, NOT_ASKED, BROKEN, None, NO_INPUTS, NO_INPUTS, NO_INPUTS]
    assert [each is not None for each in rows["seconds"]] == [reason is None for reason in rows["reason"]]
    assert rows["low"] == [None] * 7
    assert set(rows["model"]) == {"naive"}


def test_an_answer_that_is_no_number_is_none(path, tmp_path):
    nothing = np.zeros((1, 2), np.float32)
    broken = fit("prior", "binary", 5, Answers(nothing + np.nan, nothing + 1, nothing), 2)
    export_labelled(broken, VOCABULARY, SPEC, tmp_path / "broken")
    models = {"broken": str(tmp_path / "broken"), "whole": path}
    first, second = answered(iter([batch(([3], [0, 1], [1, 2]))]), models)
    assert (first["value"][0].as_py(), first["reason"][0].as_py()) == (None, NO_NUMBERS)
    assert (second["value"][0].as_py(), second["reason"][0].as_py()) == ([1.0, 2.0], None)


def test_what_a_model_does_not_know_is_nothing_of_targets_and_impossible_of_classes():
    values = np.array([[0.7, 0.3]], np.float32)
    np.testing.assert_array_equal(
        aligned(values, ["tea", "jam"], ["jam", "milk"], "binary"), np.float32([[0.3, np.nan]])
    )
    np.testing.assert_array_equal(
        aligned(values, ["tea", "jam"], ["jam", "milk"], "classes"), np.float32([[0.3, 0.0]])
    )


def test_models_are_sampled_alike():
    """A constant difference of two models is the same in each resample of users, whatever these are."""
    labels = np.random.default_rng(1).random((50, 1))
    values = {"one": labels + 0.25, "other": labels + 0.5}
    found = sampled(["mae"], labels, np.ones_like(labels), values, 20, seed=7)
    difference = found["one"]["mae"] - found["other"]["mae"]
    np.testing.assert_allclose(difference.drawn, -0.25)
    assert (difference.users, difference.value) == (50, pytest.approx(-0.25))
