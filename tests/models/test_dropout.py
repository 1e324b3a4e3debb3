"""What is dropped follows from seed, step, place and row, and is as random as it has to be."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from models.dropout import Dropout, Noise, Parts, StochasticDepth

SHAPE = (40, 50)


def noise(step: int = 1, rows=range(64), seed: int = 7) -> Noise:
    return Noise(tf.constant([seed, step], tf.int32), tf.constant(list(rows), tf.int64))


def dropped(rate: float, place: str, of: Noise) -> np.ndarray:
    x = tf.ones((len(of.rows), *SHAPE))
    return Dropout(rate, place)(x, of).numpy() == 0


def finalized(number: int) -> int:
    """MurmurHash3's last step, as it is published, on Python's integers."""
    number ^= number >> 16
    number = number * 0x85EBCA6B % 2**32
    number ^= number >> 13
    number = number * 0xC2B2AE35 % 2**32
    return number ^ number >> 16


def test_the_bits_are_those_of_the_published_hash():
    seed, step, row, place = 7, 123_456, 5_000_000_017, "here"
    key = zlib.crc32(place.encode())
    for part in (seed, step, row % 2**32, row >> 32):
        key = finalized(key ^ part)
    expected = [finalized(key ^ finalized(number)) for number in range(1, 9)]
    assert Dropout(0.5, place).bits(noise(step, [row], seed), 8).numpy().tolist() == [expected]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_that_is_dropped_is_the_rate_and_the_mean_stays(rate):
    x = tf.ones((64, *SHAPE))
    y = Dropout(rate, "here")(x, noise()).numpy()
    spread = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) < 4 * spread
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)


def test_depth_takes_rows_whole_and_where_positions_are_packed_each_row_at_all_of_its_positions():
    whole = StochasticDepth(0.3, "here")(tf.ones((64, 3, 2)), noise()).numpy().reshape(64, -1)
    assert set(np.ptp(whole, axis=1)) == {0.0}
    np.testing.assert_allclose(sorted(set(whole[:, 0])), [0, 1 / 0.7], rtol=1e-6)
    assert 8 <= (whole[:, 0] == 0).sum() <= 30
    rows = np.repeat(np.arange(64), 2)
    packed = noise(rows=rows)._replace(parts=Parts(tf.constant([0, 1] * 64), 2))
    at_positions = StochasticDepth(0.3, "here")(tf.ones((128, 2)), packed).numpy()
    np.testing.assert_array_equal(at_positions, np.repeat(whole[:, :2], 2, axis=0))
    assert StochasticDepth(0.3, "here")(whole, None) is whole


def test_rows_steps_places_and_seeds_have_nothing_to_do_with_each_other():
    one = dropped(0.5, "here", noise())
    others = [
        dropped(0.5, "there", noise()),
        dropped(0.5, "here", noise(2)),
        dropped(0.5, "here", noise(seed=8)),
    ]
    for other in (*others, np.roll(one, 1, axis=0), np.roll(one, 1, axis=1), np.roll(one, 1, axis=2)):
        assert abs((one == other).mean() - 0.5) < 4 * 0.5 / np.sqrt(one.size)


def test_a_row_loses_the_same_in_any_batch_and_without_noise_nothing_is_lost():
    together, alone = (
        dropped(0.3, "here", noise(rows=[5, 2**40, 9])),
        dropped(0.3, "here", noise(rows=[2**40])),
    )
    np.testing.assert_array_equal(together[1:2], alone)
    x = tf.ones((2, 3))
    assert Dropout(0.3, "here")(x, None) is x
    assert Dropout(0.0, "here")(x, noise(rows=[1, 2])) is x


def test_what_is_dropped_has_no_gradient():
    x = tf.Variable(tf.ones((2, 50)))
    with tf.GradientTape() as tape:
        y = Dropout(0.5, "here")(x, noise(rows=[1, 2]))
    np.testing.assert_array_equal(tape.gradient(y, x), y)
