import numpy as np
import tensorflow as tf

from models.gradients import surgery

SEED = tf.constant([1, 2], tf.int32)


def taken(*tasks: list[float]) -> list[float]:
    """What is left of gradients of two weights, each a variable of its own."""
    made = surgery([[tf.constant([x]), tf.constant([[y]])] for x, y in tasks], SEED)
    assert [each.shape for each in made] == [(1,), (1, 1)]
    return [float(each) for each in made]


def test_gradients_that_agree_are_added_up():
    assert taken([1.0, 0.0], [1.0, 2.0]) == [2.0, 2.0]
    assert taken([1.0, 0.0], [0.0, 2.0]) == [1.0, 2.0], "at a right angle none takes anything back"


def test_each_of_two_that_conflict_loses_what_points_against_the_other():
    # (1, 0) along (-1, 1): -1/2 of it goes: (1/2, 1/2). (-1, 1) along (1, 0): (0, 1).
    np.testing.assert_allclose(taken([1.0, 0.0], [-1.0, 1.0]), [0.5, 1.5])
    np.testing.assert_allclose(taken([1.0, 0.0], [-1.0, 0.0]), [0.0, 0.0])


def test_a_task_without_a_gradient_changes_nothing():
    assert taken([1.0, 2.0], [0.0, 0.0]) == [1.0, 2.0]


def test_three_meet_in_an_order_by_lot_that_is_the_seed_s():
    tasks = [[1.0, 0.0], [-1.0, 1.0], [-1.0, -2.0]]
    assert taken(*tasks) == taken(*tasks)
    found = np.array(taken(*tasks))
    plain = np.sum(tasks, axis=0)
    assert not np.allclose(found, plain)
