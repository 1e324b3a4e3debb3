"""What targets weigh against each other, against a count by hand."""

import numpy as np
import tensorflow as tf

from conf.schema import Model, Task
from models.baskets import number_positions
from models.heads.weights import LONGEST, SHORTEST, of_events
from models.next_item import NextItemModel

ITEMS = tf.constant([[3, 4, 5, 4, 6, 3, 3, 0]])
SESSIONS = tf.constant([[1, 1, 2, 2, 2, 2, 3, 0]])
AGES = tf.constant([[40.0, 31.0, 30.999]])  # of sessions


def test_a_session_weighs_by_its_gap_and_its_size():
    events = number_positions(ITEMS, SESSIONS, 3)
    found = of_events(events, AGES, by_session=0.5, by_gap=1.0).numpy()[0, :7]
    np.testing.assert_allclose(found[2:], [9 / 2] * 4 + [SHORTEST], rtol=1e-5)
    alike = of_events(events, AGES, by_session=0.0, by_gap=0.0).numpy()[0, :7]
    np.testing.assert_array_equal(alike, np.ones(7))
    late = of_events(events, tf.constant([[90.0, 1.0, 0.0]]), by_session=1.0, by_gap=1.0).numpy()[0]
    np.testing.assert_allclose(late[2], LONGEST / 4)


def test_a_loss_by_sessions_is_the_mean_over_sessions_of_means_over_their_items():
    task = Task(event_types=["buy"], length=8, positions=3)
    counts = np.array([0, 0, 0, 8, 4, 2, 1])
    ages = tf.constant([[40.0, 40, 31, 31, 31, 31, 20, 0]])

    def loss(items, sessions, ages, **settings):
        settings = {"name": "gru", "width": 8, "blocks": 1, "loss": "softmax"} | settings
        model = NextItemModel(Model(**settings), task, counts, 1)
        return model.loss(items, sessions, tf.ones(1), None, None, ages)

    total, weight = loss(ITEMS, SESSIONS, ages, by_session=1.0)
    assert float(weight) == 2
    first = loss(ITEMS[:, :6], SESSIONS[:, :6], ages[:, :6])
    both = loss(ITEMS, SESSIONS, ages)
    second = float(both.total) - float(first.total)
    np.testing.assert_allclose(total, float(first.total) / 4 + second, rtol=1e-5)
