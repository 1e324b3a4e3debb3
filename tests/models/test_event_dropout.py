"""Histories without some of their events: which stay, how they are moved together, and what a training makes of it."""

import numpy as np
import pytest
import tensorflow as tf

from models.dropout import Noise
from models.event_dropout import EventDropout
from models.indices import PADDING
from tests.models.test_next_item import AGES, made, rows

LENGTH = 9
SESSIONS_OF = [1, 1, 2, 4, 4, 4, 5, 9, 9]


def noise(rows: int, step: int = 1, first: int = 0) -> Noise:
    return Noise(tf.constant([7, step]), tf.range(first, first + rows, dtype=tf.int64))


def some_rows(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items that tell their places, sessions and ages, of rows of 0 to LENGTH events."""
    counts = np.arange(number) % (LENGTH + 1)
    there = np.arange(LENGTH) < counts[:, None]
    items = np.where(there, np.arange(LENGTH) + 10, PADDING).astype(np.int32)
    return items, np.where(there, SESSIONS_OF, 0).astype(np.int32), np.where(there, items * 0.5, 0)


def by_hand(bits: list[int], rate: float, items: list[int], sessions: list[int]) -> list[int]:
    """The items that stay, one by one."""
    events = [place for place, item in enumerate(items) if item != PADDING]
    earlier = [place for place in events if sessions[place] != sessions[events[-1]]]
    stay = [place for place in earlier if bits[place] >= rate * 2**32]
    if earlier and not stay:
        stay = [max(earlier, key=lambda place: bits[place])]
    return [items[place] for place in events if place in stay or place not in earlier]


@pytest.mark.parametrize("rate", [0.2, 0.95])
def test_what_stays_is_what_is_drawn_the_last_session_and_one_event_before_it(rate):
    dropout, of = EventDropout(rate), noise(500)
    items, sessions, ages = some_rows(500)
    found = [x.numpy() for x in dropout(items, sessions, ages, noise=of)]
    bits = dropout.lot.bits(of, LENGTH).numpy().astype(np.int64).tolist()
    for row in range(500):
        left = by_hand(bits[row], rate, items[row].tolist(), sessions[row].tolist())
        padded = left + [0] * (LENGTH - len(left))
        assert found[0][row].tolist() == padded
        assert found[1][row].tolist() == [SESSIONS_OF[item - 10] if item else 0 for item in padded]
        assert found[2][row].tolist() == [item * 0.5 for item in padded], (
            "what is beside an event goes with it"
        )
    assert 0 < (found[0] != items).any(axis=1).mean() < 1


def test_the_share_that_is_left_out_is_the_rate():
    items, sessions = np.tile(np.arange(LENGTH) + 10, (4000, 1)), np.tile(np.arange(LENGTH), (4000, 1))
    left, _ = EventDropout(0.3)(items, sessions, noise=noise(4000))
    np.testing.assert_allclose((left.numpy() != 0).sum(axis=1).mean(), 1 + 0.7 * (LENGTH - 1), atol=0.05)


def test_without_noise_or_rate_rows_stay_and_a_row_loses_the_same_in_any_batch():
    items, sessions, ages = some_rows(60)
    assert EventDropout(0.5)(items, sessions, None, noise=None) == [items, sessions, None]
    assert EventDropout(0.0)(items, sessions, noise=noise(60))[0] is items
    dropout = EventDropout(0.5)
    whole = dropout(items, sessions, ages, noise=noise(60))
    part = dropout(items[20:30], sessions[20:30], ages[20:30], noise=noise(10, first=20))
    for of_whole, of_part in zip(whole, part, strict=True):
        np.testing.assert_array_equal(of_whole[20:30], of_part)
    other = dropout(items, sessions, ages, noise=noise(60, step=2))
    assert (other[0].numpy() != whole[0].numpy()).any(), "another step leaves out others"


@pytest.mark.parametrize("choice", [{"name": "bsarec", "targets": "last"}, {"name": "gru"}, {"name": "hstu"}])
def test_the_loss_is_that_of_the_rows_that_are_left_and_scores_look_at_all(choice):
    partial, whole = made(**choice, dropout_events=0.5), made(**choice)
    (items, sessions), ages, of = rows(6, 5, 4), tf.constant([AGES] * 3), noise(3)
    left = EventDropout(0.5)(items, sessions, ages, noise=of)
    assert (left[0].numpy() != items.numpy()).any()
    lost = partial.loss(items, sessions, tf.ones(3), None, of, ages)
    expected = whole.loss(*left[:2], tf.ones(3), None, of, left[2])
    np.testing.assert_allclose([lost.total, lost.weight], [expected.total, expected.weight], rtol=1e-6)
    np.testing.assert_array_equal(partial.score(items, sessions, ages), whole.score(items, sessions, ages))
