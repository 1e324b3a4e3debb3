"""What a user's own history adds to a score, against a plain count of that history, and a loss written out."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import erf

from conf.schema import Model, Task
from models.heads.asked import HALF_LIVES, at_the_end, behind_each
from models.heads.negatives import Sample
from models.heads.slots import FEATURES, LEAST_RATE, features, find_slots, session_ages
from models.next_item import NextItemModel

POSITIONS, LENGTH = 5, 9
ITEMS = np.array([[3, 4, 3, 5, 3, 6, 4, 3, 0], [5, 5, 6, 5, 0, 0, 0, 0, 0]])
PLACES = np.array([[0, 0, 1, 1, 2, 2, 3, 4, -1], [0, 0, 1, 2, -1, -1, -1, -1, -1]])
AGES = np.array([[90, 90, 61, 61, 30, 30, 12, 2, 0], [20, 20, 9, 4.5, 0, 0, 0, 0, 0]], np.float32)
COUNT = np.array([5, 3], np.int32)
COUNTS = np.array([0, 0, 0, 8, 4, 2, 1, 3])


def by_hand(row: int, place: int, item: int, things: np.ndarray = ITEMS) -> list[float]:
    """The features of one item as of when the session after `place` began, from its sessions' ages.

    things  what each event is of, in place of its item: of a category its features
    """
    ages = [float(AGES[row][PLACES[row] == p][0]) for p in range(COUNT[row])]
    now = ages[place + 1] if place + 1 < COUNT[row] else 0.0
    held = [p for p in range(place + 1) if item in things[row][PLACES[row] == p]]
    told = []
    for half_life in HALF_LIVES:
        weights = [0.5 ** ((ages[p] - now) / half_life) for p in range(place + 1)]
        told.append(np.log(sum(weights[p] for p in held) / sum(weights) + LEAST_RATE))
    days, sessions, several = ages[held[-1]] - now, place - held[-1], float(len(held) > 1)
    usual_days = (ages[held[0]] - ages[held[-1]]) / max(1, len(held) - 1)
    usual_sessions = (held[-1] - held[0]) / max(1, len(held) - 1)
    told += [np.log1p(place), np.log(len(held)), np.log1p(days), np.log1p(sessions), several]
    told += [several * (np.log1p(days) - np.log1p(usual_days)), several * np.log1p(usual_days)]
    told += [several * (np.log1p(sessions) - np.log1p(usual_sessions)), several * np.log1p(usual_sessions)]
    return [*told, np.log1p(ages[place] - now)]


def slots():
    return find_slots(tf.constant(ITEMS, tf.int32), tf.constant(PLACES, tf.int32), POSITIONS)


def test_an_items_slot_is_its_first_event():
    found = slots()
    assert found.items.numpy().tolist() == [[3, 4, 0, 5, 0, 6, 0, 0, 0], [5, 0, 6, 0, 0, 0, 0, 0, 0]]
    assert found.first.numpy()[0].tolist() == [0, 0, 5, 1, 5, 2, 5, 5, 5]
    assert found.of_event.numpy()[0, :8].tolist() == [0, 1, 0, 3, 0, 5, 1, 0]
    assert found.held.numpy()[0, :, 0].tolist() == [1, 1, 1, 0, 1]


def test_features_are_a_plain_count_of_the_history():
    cases = [
        (0, 0, 3),
        (0, 1, 4),
        (0, 2, 3),
        (0, 3, 3),
        (0, 4, 4),
        (0, 4, 3),
        (0, 4, 6),
        (1, 0, 5),
        (1, 2, 5),
    ]
    where = [(row, place, int(np.flatnonzero(ITEMS[row] == item)[0])) for row, place, item in cases]
    ages = session_ages(tf.constant(AGES), tf.constant(PLACES, tf.int32), POSITIONS)
    asked = behind_each(ages, tf.constant(COUNT))
    found = features(slots(), asked, tf.constant(where, tf.int64)).numpy()
    assert found.shape == (len(cases), FEATURES)
    np.testing.assert_allclose(2 * found, [by_hand(*case) for case in cases], rtol=1e-4, atol=1e-4)


@pytest.fixture(params=[None, [0, 0, 0, 1, 2, 1, 0, 2]], ids=["without categories", "with categories"])
def model(request) -> NextItemModel:
    settings = Model(name="repeat", width=8, blocks=1, dropout=0.0, negatives=4, repeat=4)
    task = Task(event_types=["buy"], length=LENGTH, positions=POSITIONS)
    made = NextItemModel(settings, task, COUNTS, 1, request.param and np.array(request.param, np.int32))
    rng = np.random.default_rng(2)
    for variable in made.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    return made


def rows(row: int, place: int) -> list[tf.Tensor]:
    """The history of a row up to a position, asked as of when the next one began."""
    inside = (PLACES[row] <= place) & (PLACES[row] >= 0)
    now = AGES[row][PLACES[row] == place + 1][0]
    arrays = ITEMS[row] * inside, (PLACES[row] + 1) * inside, np.where(inside, AGES[row] - now, 0)
    return [tf.constant(a[None], t) for a, t in zip(arrays, (tf.int32, tf.int32, tf.float32), strict=True)]


def test_the_loss_is_that_of_the_scores_that_predict_the_next_basket(model):
    """With every item sampled for certain: a target against all that are no targets, by the scores of `score`."""
    sample = Sample(tf.constant([3, 4, 5, 6, 7]), tf.zeros(5))
    expected = []
    for row, place in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]:
        scores = model.score(*rows(row, place))[0].numpy().astype(float)
        targets = ITEMS[row][PLACES[row] == place + 1]
        others = sum(np.exp(scores[i]) for i in range(3, 8) if i not in targets)
        expected += [np.log(np.exp(scores[t]) + others) - scores[t] for t in targets]
    given = tf.constant(ITEMS, tf.int32), tf.constant(PLACES + 1, tf.int32), tf.ones(2)
    total, weight = model.loss(*given, sample, None, tf.constant(AGES))
    assert float(weight) == len(expected)
    np.testing.assert_allclose(total, np.sum(expected), rtol=1e-4)


@pytest.mark.parametrize(("row", "place"), [(0, 3), (0, 1), (1, 1)])
def test_scores_are_the_encoders_and_two_functions_of_the_history_written_out(model, row, place):
    """That of the item and that of its category: W₂ GELU(W₁ x + S h + V v + o), of the former with a straight part."""
    given = rows(row, place)
    _, state, _ = model._encoded(*given, None)
    expected, state = model.head.scores(state).numpy()[0].astype(float), state.numpy()[0]
    own, bias, vectors = model.repeat, model.head.bias.numpy(), model.vectors.matrix().numpy()

    def response(of, told, beside=0.0):
        y = told @ of.widen.numpy() + state @ of.of_state.numpy() + of.offset.numpy() + beside
        return float((y * (1 + erf(y / np.sqrt(2))) / 2) @ of.narrow.numpy()[:, 0])

    for item in set(ITEMS[row][(PLACES[row] <= place) & (PLACES[row] >= 0)].tolist()):
        told = np.append(np.array(by_hand(row, place, item)), bias[item]) / 2
        expected[item] += response(own.response, told, vectors[item] @ own.of_item.numpy())
        expected[item] += float(told @ own.straight.numpy()[:, 0] + own.bias.numpy()[0])
    if own.categories:
        category_of = own.categories.category_of.numpy()
        had = category_of[ITEMS]
        for category in set(had[row][(PLACES[row] <= place) & (PLACES[row] >= 0)].tolist()) - {0}:
            told = np.array(by_hand(row, place, category, had)) / 2
            expected[category_of == category] += response(own.categories.response, told)
    np.testing.assert_allclose(model.score(*given)[0, 3:], expected[3:], rtol=1e-4, atol=1e-4)


def test_an_item_that_the_user_had_counts_as_there_whether_it_was_drawn_or_not(model):
    given = tf.constant(ITEMS[1:], tf.int32), tf.constant(PLACES[1:] + 1, tf.int32), tf.ones(1)
    drawn, not_drawn = (Sample(tf.constant(s), tf.zeros(len(s))) for s in ([5, 7], [7]))
    totals = [float(model.loss(*given, s, None, tf.constant(AGES[1:])).total) for s in (drawn, not_drawn)]
    # Position 0 has had item 5 and 6 follows; at position 1, 5 follows: never one that the draw decides on.
    assert totals[0] == pytest.approx(totals[1])


def test_history_adds_to_the_items_that_were_had_alone(model):
    items, sessions, ages = rows(0, 3)
    plain = model.score(items, sessions, ages).numpy()
    model.repeat.bias.assign_add([1.0])
    more = model.score(items, sessions, ages).numpy()[0, 3:] - plain[0, 3:]
    np.testing.assert_allclose(more, [1, 1, 1, 1, 0], atol=1e-5)


def test_a_history_of_items_outside_the_vocabulary_scores_as_one_without(model):
    items = tf.constant([[99, 99, 98, 0, 0, 0, 0, 0, 0]])
    sessions, ages = tf.constant([[1, 2, 3, 0, 0, 0, 0, 0, 0]]), tf.zeros((1, 9))
    before = model.score(items, sessions, ages).numpy()
    model.repeat.bias.assign_add([1.0])
    np.testing.assert_array_equal(model.score(items, sessions, ages), before)


@pytest.mark.parametrize("model", [[0, 0, 0, 1, 2, 1, 0, 2]], indirect=True)
def test_the_history_with_a_category_adds_to_each_of_its_items_and_to_no_other(model):
    items, sessions, ages = rows(1, 0)  # had: item 5, of the category of 3
    with_it = model.score(items, sessions, ages).numpy()[0, 3:]
    narrow = model.repeat.categories.response.narrow
    narrow.assign(tf.zeros_like(narrow))
    added = with_it - model.score(items, sessions, ages).numpy()[0, 3:]
    assert abs(added[0]) > 1e-3
    np.testing.assert_allclose(added, added[0] * np.array([1, 0, 1, 0, 0]), atol=1e-5)


def test_a_training_asks_at_a_moment_between_two_sessions_and_a_prediction_when_it_is_asked():
    ages = session_ages(tf.constant(AGES), tf.constant(PLACES, tf.int32), POSITIONS)
    where, count = tf.constant([[0, 2, 0]], tf.int64), tf.constant(COUNT)
    at = {
        share: features(slots(), behind_each(ages, count, tf.fill((2, POSITIONS), share)), where).numpy()[
            0, -1
        ]
        for share in (0.0, 0.25, 1.0)
    }
    # The session before was 30 days ago, the next one 12: the time that passed is a share of 18 days.
    np.testing.assert_allclose([2 * x for x in at.values()], np.log1p([0, 4.5, 18]), rtol=1e-5)
    behind_the_last = features(slots(), behind_each(ages, count), tf.constant([[0, 4, 0]], tf.int64))
    at_end = features(slots(), at_the_end(ages, count), tf.constant([[0, 0, 0]], tf.int64))
    np.testing.assert_allclose(at_end, behind_the_last, rtol=1e-6)


def test_at_its_end_a_row_without_sessions_is_not_asked():
    ages = session_ages(tf.constant(AGES), tf.constant(PLACES, tf.int32), POSITIONS)
    asked = at_the_end(ages, tf.constant([0, 3]))
    assert asked.wanted.numpy().tolist() == [[False], [True]]
    assert {int(row) for row in slots().had(asked)[:, 0]} == {1}
