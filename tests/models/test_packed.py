"""Positions one behind the other, without padding."""

import numpy as np
import tensorflow as tf

from models.dropout import Dropout, Noise
from models.encoders.packed import Packed

TAKEN = tf.constant([[True, True, False], [False, False, False], [True, True, True]])


def test_what_is_taken_is_packed_in_order_and_spread_where_it_was():
    x = tf.reshape(tf.range(1.0, 19), (3, 3, 2))
    packed = Packed(TAKEN)
    assert packed.pack(x)[:, 0].numpy().tolist() == [1, 3, 13, 15, 17]
    np.testing.assert_array_equal(packed.spread(packed.pack(x)), tf.where(TAKEN[:, :, None], x, 0.0))


def test_one_of_each_row_is_found_and_where_a_row_has_none_anything_finite():
    packed = Packed(TAKEN)
    found = packed.at(packed.pack(tf.reshape(tf.range(1.0, 19), (3, 3, 2))), tf.constant([1, 0, 2]))
    assert found[::2, 0].numpy().tolist() == [3, 17]
    assert np.isfinite(found[1]).all()
    none = Packed(tf.zeros((1, 3), tf.bool))
    assert none.at(none.pack(tf.ones((1, 3, 2))), tf.constant([0])).numpy().tolist() == [[0, 0]]


def test_a_packed_position_loses_what_it_loses_where_it_is_spread():
    packed, drop = Packed(TAKEN), Dropout(0.5, "here")
    noise = Noise(tf.constant([7, 1]), tf.constant([10, 11, 2**40], tf.int64))
    spread = drop(tf.ones((3, 3, 8)), noise)
    np.testing.assert_array_equal(drop(tf.ones((5, 8)), packed.noise(noise)), packed.pack(spread))
    assert 0.2 < np.mean(packed.pack(spread) == 0) < 0.8
