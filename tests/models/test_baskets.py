import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.baskets import ItemVectors, basket_means, last_events, number_positions


def ints(*rows):
    return tf.constant(rows, tf.int32)


def test_sessions_are_numbered_from_the_oldest_kept():
    events = number_positions(
        ints([7, 8, 9, 5, 0], [4, 4, 4, 0, 0]), ints([3, 3, 6, 8, 0], [2, 2, 2, 0, 0]), 2
    )
    assert events.positions.numpy().tolist() == [[-1, -1, 0, 1, -1], [0, 0, 0, -1, -1]]
    assert events.items.numpy().tolist() == [[0, 0, 9, 5, 0], [4, 4, 4, 0, 0]]
    assert events.count.numpy().tolist() == [2, 1]


def test_a_row_of_padding_has_no_position():
    events = number_positions(ints([0, 0]), ints([0, 0]), 3)
    assert events.positions.numpy().tolist() == [[-1, -1]]
    assert events.count.numpy().tolist() == [0]


def test_a_position_is_the_mean_of_its_items_each_counted_as_often_as_it_is_there():
    vectors = tf.constant([[[2.0, 0], [4, 6], [4, 6], [1, 1]]])
    means = basket_means(vectors, ints([0, 0, 0, 1]), 3)
    np.testing.assert_allclose(means, [[[10 / 3, 4], [1, 1], [0, 0]]], rtol=1e-6)


def test_the_last_events_are_taken_whatever_the_padding():
    items = ints([3, 4, 5, 0, 0, 0], [3, 0, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8])
    taken, sessions, ages = last_events(items, items * 10, tf.cast(items, tf.float32), 2)
    assert taken.numpy().tolist() == [[4, 5], [3, 0], [7, 8]]
    assert sessions.numpy().tolist() == [[40, 50], [30, 0], [70, 80]]
    assert ages.numpy().tolist() == [[4.0, 5.0], [3.0, 0.0], [7.0, 8.0]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(1, 5))
def test_more_padding_changes_nothing(count, padding, length):
    row = ints(list(range(3, 3 + count)) + [0] * padding)
    taken, *_ = last_events(row, row, row, length)
    expected = list(range(3, 3 + count))[-length:]
    found = taken.numpy().tolist()[0]
    assert found[: len(expected)] == expected
    assert not any(found[len(expected) :]) and len(found) <= max(length, 1)


def test_items_never_trained_on_and_indices_outside_the_vocabulary_read_as_unknown():
    vectors = ItemVectors(np.array([0, 0, 0, 5, 0, 2]), width=4, seed=1)
    assert vectors.read(ints([0, 1, 2, 3, 4, 5, 6, 900, -3])).numpy().tolist() == [
        [0, 1, 2, 3, 1, 5, 1, 1, 1]
    ]


def test_vectors_of_what_is_never_trained_are_zero():
    vectors = ItemVectors(np.array([0, 0, 0, 5, 0, 2]), width=4, seed=1)
    assert np.any(vectors.table.numpy() != 0, axis=1).tolist() == [False, False, False, True, False, True]
