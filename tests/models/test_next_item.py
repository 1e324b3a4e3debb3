"""What a training asks of a model, beside what a prediction gives."""

import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model, Task
from models.baskets import ABSENT, number_positions
from models.dropout import Noise
from models.encoders.members import APART
from models.heads.masking import Masking, told_at_last, told_at_own
from models.heads.next_item import disagreement
from models.next_item import NextItemModel

COUNTS = np.array([0, 0, 0, 8, 4, 2, 1, 5, 3])
ITEMS, SESSIONS = [3, 5, 4, 7, 8, 6], [1, 1, 2, 3, 5, 7]  # the first basket has two items
AGES = [50.0, 50.0, 20.0, 5.0, 4.0, 3.5]
SMALL = {"width": 8, "blocks": 2, "heads": 2, "dropout": 0.0, "loss": "softmax", "start": "normal"}
FILTERED = {"name": "bsarec", "norm": "post", "filter_share": 0.7, "forward": 4}


def made(**changed) -> NextItemModel:
    model = NextItemModel(
        Model(**(SMALL | changed)), Task(event_types=["buy"], length=6, positions=6), COUNTS, 1
    )
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    return model


def rows(*counts: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The first so many events, a row for each."""
    kept = np.arange(6) < np.array(counts)[:, None]
    return tf.constant(np.where(kept, ITEMS, 0), tf.int32), tf.constant(np.where(kept, SESSIONS, 0), tf.int32)


def of_score(model: NextItemModel, count: int) -> float:
    """The loss of the event behind the first `count`, by what the model predicts from these."""
    scores = model.score(*rows(count), tf.constant([AGES]))[0].numpy()[3:]
    return float(np.log(np.exp(scores).sum()) - scores[ITEMS[count] - 3])


def loss(model: NextItemModel, *counts: int) -> tuple[float, float]:
    ages = tf.tile(tf.constant([AGES]), [len(counts), 1])
    total, weight = model.loss(*rows(*counts), tf.ones(len(counts)), None, None, ages)
    return float(total), float(weight)


@pytest.mark.parametrize(
    "choice",
    [
        FILTERED | {"targets": "last"},
        FILTERED | {"targets": "last", "places": "relative"},
        {"name": "sasrec", "targets": "last"},
        {"name": "gru", "targets": "last", "blocks": 1},
        {"name": "bert4rec", "norm": "post"},
        {"name": "hstu", "targets": "last", "gaps": True},
        {"name": "sasrec", "targets": "last", "gaps": True},
        {"name": "sasrec", "targets": "last", "temperature": 0.2},
    ],
)
def test_the_loss_of_a_last_basket_is_that_of_predicting_it_from_those_before(choice):
    model = made(**choice)
    for count in range(3, 7):
        np.testing.assert_allclose(loss(model, count), (of_score(model, count - 1), 1), rtol=1e-4)


def test_with_biases_by_distance_a_loss_at_every_position_is_that_of_all_prefixes_as_rows():
    choice = FILTERED | {"places": "relative"}
    at_all, at_last = made(**choice, targets="all"), made(**choice, targets="last")
    np.testing.assert_allclose(loss(at_all, 6), loss(at_last, 3, 4, 5, 6), rtol=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec", "hstu"])
def test_a_batch_cut_to_its_rows_has_the_same_loss(name):
    model = made(name=name)
    items, sessions = rows(3, 4)
    whole = model.loss(items, sessions, tf.ones(2), None, None, tf.zeros((2, 6)))
    cut = model.loss(items[:, :4], sessions[:, :4], tf.ones(2), None, None, tf.zeros((2, 4)))
    np.testing.assert_allclose(whole, cut, rtol=1e-5)


def test_gaps_matter_to_hstu_and_where_they_are_asked_for():
    soon, late = [9.0, 9, 8, 7, 6, 5], [900.0, 900, 80, 79, 7, 5]
    choices = ({"name": "hstu"}, True), ({"name": "sasrec", "gaps": True}, True), ({"name": "sasrec"}, False)
    for choice, differs in choices:
        scores = [made(**choice).score(*rows(6), tf.constant([ages]))[0, 3:] for ages in (soon, late)]
        assert np.allclose(*scores, atol=1e-6) != differs


def test_smoothing_spreads_a_share_of_the_target_over_all_items():
    model = made(name="sasrec", targets="last", label_smoothing=0.3)
    scores = model.score(*rows(5), tf.zeros((1, 6)))[0].numpy()[3:]
    spread = np.full(6, 0.3 / 6)
    spread[ITEMS[5] - 3] += 0.7
    np.testing.assert_allclose(loss(model, 6), (np.log(np.exp(scores).sum()) - spread @ scores, 1), rtol=1e-4)


def test_consistency_adds_how_far_two_dropouts_of_a_row_disagree():
    choice = FILTERED | {"targets": "last", "dropout": 0.3}
    plain, twice = made(**choice), made(**choice, consistency=2.0)
    items, sessions = rows(4, 6)
    ids = tf.constant([5, 9], tf.int64)

    def lost(model, ids):
        noise = Noise(tf.constant([1, 2]), ids)
        return model.loss(items, sessions, tf.constant([1.0, 1.0]), None, noise)

    seen = []
    twice.head.softmax, softmax = lambda *a, **k: (seen.append(a), softmax(*a, **k))[1], twice.head.softmax
    total, weight = lost(twice, ids)
    first, second = tf.split(seen[0][0], 2)  # what was encoded of each view
    mean = (lost(plain, ids).total + lost(plain, ~ids).total) / 2
    logits = [
        tf.gather(view, [1, 3], batch_dims=1) @ tf.transpose(twice.vectors.table[3:]) + twice.head.bias[3:]
        for view in (first, second)
    ]
    np.testing.assert_allclose(total, mean + 2.0 * tf.reduce_sum(disagreement(*logits)), rtol=1e-4)
    assert float(weight) == 2 and float(total) > 1.01 * float(mean)


@pytest.mark.parametrize("name", ["bsarec", "gru", "hstu"])
@pytest.mark.parametrize("kind", ["softmax", "sampled_softmax"])
def test_members_learn_apart_and_the_mean_of_their_scores_answers(name, kind):
    choice = {"name": name, "loss": kind, "targets": "last", "dropout": 0.3, "negatives": 4}
    together, seed = made(**choice, members=2, width=16), tf.constant([3, 4])
    alone = [made(**choice) for _ in range(2)]
    tables = tf.split(together.vectors.table, 2, axis=1)
    for model, table, encoder in zip(alone, tables, together.encoder.members, strict=True):
        model.vectors.table.assign(table)
        model.head.bias.assign(together.head.bias)
        for weight, own in zip(model.encoder.weights, encoder.weights, strict=True):
            weight.assign(own)
    asked = (*rows(4, 6), tf.constant([AGES, AGES]))
    scores = [model.score(*asked)[:, 3:] for model in alone]
    np.testing.assert_allclose(together.score(*asked)[:, 3:], (scores[0] + scores[1]) / 2, atol=1e-5)
    assert np.abs(scores[0] - scores[1]).max() > 0.1

    def lost(model: NextItemModel, seed: tf.Tensor) -> float:
        noise = Noise(seed, tf.constant([5, 9], tf.int64))
        sample = model.sample(asked[0], tf.constant([1, 1]))
        return float(model.loss(*asked[:2], tf.ones(2), sample, noise, asked[2]).total)

    first, second = lost(alone[0], seed), lost(alone[1], seed + tf.constant([APART, 0]))
    np.testing.assert_allclose(lost(together, seed), (first + second) / 2, rtol=1e-5)
    assert lost(alone[1], seed) != pytest.approx(second, rel=1e-3)  # each drops what the other one keeps


def test_a_share_of_positions_is_masked_and_at_least_the_last():
    masking, rows = Masking(0.3), 4000
    noise = Noise(tf.constant([1, 2]), tf.range(rows, dtype=tf.int64))
    masked = masking(tf.fill([rows], 5), 7, noise, last_only=False).numpy()
    none_drawn = 0.7**5
    assert not masked[:, 5:].any() and masked.any(axis=1).all()
    np.testing.assert_allclose(masked[:, :4].mean(), 0.3, atol=0.02)
    np.testing.assert_allclose(masked[:, 4].mean(), 0.3 + none_drawn, atol=0.02)
    assert masking(tf.constant([3]), 4, None, False).numpy().tolist() == [[False, False, True, False]]


def test_events_are_told_at_the_position_before_their_own_or_at_it():
    events = number_positions(*rows(6), 5)
    assert told_at_last(events).positions.numpy().tolist() == [[ABSENT] * 5 + [4]]
    masked = tf.constant([[True, False, True, False, False]])
    assert told_at_own(events, masked).positions.numpy().tolist() == [[1, 1, ABSENT, 3, ABSENT, ABSENT]]


@pytest.mark.parametrize(
    "choice",
    [
        FILTERED | {"targets": "last"},
        {"name": "sasrec", "places": "relative", "members": 2, "heads": 1},
        {"name": "gru"},
        {"name": "bert4rec"},
        {"name": "hstu", "gaps": True},
    ],
)
def test_a_history_without_its_newest_basket_has_its_share_in_what_is_predicted(choice):
    whole, both = made(**choice), made(**choice, earlier_share=0.25)
    ages = tf.constant([AGES] * 4)
    before, history = (whole.score(*rows(*counts), ages) for counts in ((4, 3, 2, 0), (5, 4, 2, 0)))
    np.testing.assert_allclose(
        both.score(*rows(5, 4, 2, 0), ages)[:, 3:],
        ((history + 0.25 * before) / 1.25)[:, 3:],
        rtol=1e-4,
        atol=1e-6,
    )
    assert loss(both, 5, 4) == loss(whole, 5, 4), "nothing is learned otherwise"


@pytest.mark.parametrize(
    "choice", [{}, {"earlier_share": 0.5}, {"temperature": 0.2}, {"members": 2, "heads": 1}]
)
def test_scores_are_products_of_what_is_exported(choice):
    model, history = made(name="sasrec", **choice), (*rows(4), tf.constant([AGES]))
    products = tf.matmul(model.query(*history), model.item_vectors, transpose_b=True) + model.item_bias
    np.testing.assert_allclose(products[:, 3:], model.score(*history)[:, 3:], rtol=1e-5)
    norms = np.linalg.norm(model.item_vectors.numpy()[3:], axis=1)
    assert np.allclose(norms, 1) == ("temperature" in choice)
