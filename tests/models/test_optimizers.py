import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Train
from models.optimizers import LEGACY, RowAdam, WarmUp, peak_rate

START = np.arange(10, dtype=np.float32).reshape(5, 2)
STEPS = [  # rows with a gradient, and that gradient
    ([0, 3], [[1.0, -2.0], [0.5, 0.1]]),
    ([3], [[0.2, 0.2]]),
    ([1, 0], [[-1.0, 3.0], [4.0, 1.0]]),
    ([3, 1], [[2.0, -0.3], [0.0, 1.0]]),
]


def test_the_learning_rate_rises_to_its_value_and_stays():
    rate = WarmUp(0.8, 4)
    assert [round(float(rate(step)), 6) for step in (0, 1, 3, 4, 100)] == [0.2, 0.4, 0.8, 0.8, 0.8]


@pytest.mark.parametrize(("by_ranks", "rate"), [("none", 0.01), ("sqrt", 0.02), ("linear", 0.04)])
def test_the_learning_rate_of_four_ranks(by_ranks, rate):
    assert peak_rate(Train(learning_rate=0.01, rate_by_ranks=by_ranks), ranks=4) == pytest.approx(rate)
    assert peak_rate(Train(learning_rate=0.01, rate_by_ranks=by_ranks), ranks=1) == 0.01


@pytest.mark.parametrize("shape", [(5, 2), (5,)])
def test_a_row_ends_where_adam_takes_it_that_sees_its_gradients_alone(shape):
    start = START if len(shape) == 2 else START[:, 0]
    table, dense = tf.Variable(start), tf.Variable([1.0, 2.0])
    optimizer = RowAdam(0.1, [table])
    for rows, values in STEPS:
        values = np.array(values, np.float32) if len(shape) == 2 else np.array(values, np.float32)[:, 0]
        gradient = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant(shape))
        optimizer.apply_gradients([(gradient, table), (tf.constant([0.3, -0.1]), dense)])
    for row in range(5):
        alone, adam = tf.Variable(start[row : row + 1]), LEGACY.Adam(0.1)
        for rows, values in STEPS:
            if row in rows:
                gradient = np.array(values, np.float32)[rows.index(row)]
                adam.apply_gradients([(gradient[None] if len(shape) == 2 else gradient[:1], alone)])
        np.testing.assert_allclose(table[row : row + 1], alone, rtol=1e-6)
    np.testing.assert_array_equal(table[2], start[2])
    np.testing.assert_array_equal(table[4], start[4])
    assert optimizer.get_slot(table, "steps").numpy().tolist() == [2, 2, 0, 3, 0]


def test_weights_decay_apart_from_their_gradients_and_vectors_not_at_all():
    matrix, bias = np.array([[1.0, -2.0], [3.0, 4.0]], np.float32), np.array([1.0, 2.0], np.float32)
    gradients = [[0.3, -0.1], [0.2, 0.0]], [0.5, 0.5]
    found, plain = ([tf.Variable(matrix), tf.Variable(bias)] for _ in range(2))
    for optimizer, variables in (RowAdam(0.1, decay=0.02), found), (RowAdam(0.1), plain):
        optimizer.apply_gradients(list(zip(map(tf.constant, gradients), variables, strict=True)))
    np.testing.assert_allclose(found[0], plain[0] - 0.02 * 0.1 * matrix, rtol=1e-6)
    np.testing.assert_array_equal(found[1], plain[1])

    table, alone = tf.Variable(START), tf.Variable(START)
    rows = tf.IndexedSlices(tf.constant([[1.0, 1.0]]), tf.constant([3]), tf.constant((5, 2)))
    RowAdam(0.1, [table], decay=0.02).apply_gradients([(rows, table)])
    RowAdam(0.1, [alone]).apply_gradients([(rows, alone)])
    expected = alone.numpy()
    expected[3] -= 0.02 * 0.1 * START[3]
    np.testing.assert_allclose(table, expected, rtol=1e-6)


def test_what_is_no_table_is_taken_by_adam_itself():
    ours, keras = tf.Variable([1.0, 2.0]), tf.Variable([1.0, 2.0])
    optimizers = (RowAdam(0.1), ours), (LEGACY.Adam(0.1), keras)
    for gradient in ([0.3, -0.1], [0.0, 2.0], [1.0, 1.0]):
        for optimizer, variable in optimizers:
            optimizer.apply_gradients([(tf.constant(gradient), variable)])
    np.testing.assert_array_equal(ours, keras)
