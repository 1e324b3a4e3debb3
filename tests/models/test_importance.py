"""What an input is worth: how much worse a metric gets where it is shuffled."""

import numpy as np
import pytest
import tensorflow as tf

from models.importance import importances, reordered
from tests.models.labelled_cases import example_set


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return example_set(tmp_path_factory.mktemp("worth"), "binary")


def of_features(batch):
    """All that is told is the first feature, and what a history's last item is, a little."""
    count = tf.reduce_sum(tf.cast(batch["items"] > 0, tf.int32), axis=1)
    last = tf.gather(batch["items"], tf.maximum(count - 1, 0), batch_dims=1)
    return tf.sigmoid(batch["features"][:, :1] + 3 * tf.cast(last % 2, tf.float32)[:, None] - 1.5)


def test_what_is_looked_at_is_worth_something_and_all_else_exactly_nothing(examples):
    found = importances(of_features, examples, "test", "roc_auc", 3, seed=1)
    assert {name for name, each in found.items() if each.mean > 0.01} == {"history", "order", "x0"}
    assert {name: tuple(each) for name, each in found.items() if name in ("ages", "x1", "x2", "naive")} == {
        name: (0, 0) for name in ("ages", "x1", "x2", "naive")
    }
    assert list(found)[-1] in ("ages", "x1", "x2", "naive"), "the most comes first"
    assert all(found[name].deviation > 0 for name in ("history", "order", "x0"))


def test_a_loss_that_rises_is_worth_as_a_metric_that_falls_is(examples):
    found = importances(of_features, examples, "test", "log_loss", 2, seed=1)
    assert found["history"].mean > 0.1 and found["x0"].mean > 0.01


def test_the_order_changes_and_the_items_and_their_number_stay():
    items = np.array([[3, 4, 5, 6, 7, 8, 9, 0], [3, 0, 0, 0, 0, 0, 0, 0]], np.int32)
    found = reordered(items, np.random.default_rng(2))
    assert found.dtype == np.int32
    assert found[0].tolist() != items[0].tolist() and found[0, -1] == 0
    assert sorted(found[0].tolist()) == sorted(items[0].tolist())
    assert found[1].tolist() == items[1].tolist()
