import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model
from models.baskets import ItemVectors, number_positions
from models.heads.negatives import Negatives, Sample
from models.heads.next_item import NextItem, disagreement

COUNTS = np.array([0, 0, 0, 8, 4, 2, 1, 0])  # items 3 to 6 were trained on, 7 was not
POSITIONS, WIDTH = 3, 4
ITEMS = tf.constant([[3, 4, 5, 5, 6, 3, 0], [6, 3, 0, 0, 0, 0, 0]])
SESSIONS = tf.constant([[1, 1, 2, 2, 2, 3, 0], [4, 9, 0, 0, 0, 0, 0]])
TARGETS = [(0, 0, [5, 5, 6]), (0, 1, [3]), (1, 0, [3])]  # row, position, the items of the next position


@pytest.fixture(params=[None, 0.3], ids=["products", "cosines"])
def head(request) -> NextItem:
    vectors = ItemVectors(COUNTS, WIDTH, seed=1)
    made = NextItem(vectors, COUNTS, Model(name="sasrec", temperature=request.param))
    made.bias.assign(tf.linspace(-1.0, 1.0, len(COUNTS)))
    return made


def inputs(head: NextItem):
    events = number_positions(head.vectors.read(ITEMS), SESSIONS, POSITIONS)
    hidden = tf.random.stateless_normal((2, POSITIONS, WIDTH), (1, 1))
    return hidden, events, head.vectors(events.items)


def logits_of(head: NextItem, hidden) -> np.ndarray:
    hidden, table, bias = (np.asarray(each, np.float64) for each in (hidden, head.vectors.table, head.bias))
    if head.temperature:
        hidden = hidden / np.linalg.norm(hidden, axis=-1, keepdims=True) / head.temperature
        table = table / np.maximum(np.linalg.norm(table, axis=-1, keepdims=True), 1e-9)
    return hidden @ table.T + bias


def test_softmax_is_over_the_trained_items_for_every_event_of_the_next_position(head):
    hidden, events, vectors = inputs(head)
    logits = logits_of(head, hidden)
    expected = [
        np.log(np.exp(logits[row, place, 3:7]).sum()) - logits[row, place, target]
        for row, place, targets in TARGETS
        for target in targets
    ]
    total, weight = head.softmax(hidden, events, vectors, tf.ones(2))
    assert float(weight) == len(expected) == 5
    np.testing.assert_allclose(total, np.sum(expected), rtol=1e-5)


def test_sampled_softmax_weighs_items_that_are_no_target_by_their_inverse_probability(head):
    hidden, events, vectors = inputs(head)
    sample, probability = [3, 5], np.array([1, 1, 1, 0.9, 1, 0.4, 1, 1])
    logits = logits_of(head, hidden)
    expected = []
    for row, place, targets in TARGETS:
        others = sum(np.exp(logits[row, place, i]) / probability[i] for i in sample if i not in targets)
        for target in targets:
            score = logits[row, place, target]
            expected.append(np.log(np.exp(score) + others) - score)
    drawn = Sample(tf.constant(sample), tf.constant(np.log(probability[sample]), tf.float32))
    total, weight = head.sampled_softmax(hidden, events, vectors, tf.ones(2), drawn)
    assert float(weight) == 5
    np.testing.assert_allclose(total, np.sum(expected), rtol=1e-5)


def test_an_empty_sample_leaves_nothing_to_tell_a_target_from(head):
    hidden, events, vectors = inputs(head)
    nothing = Sample(tf.zeros(0, tf.int32), tf.zeros(0))
    total, weight = head.sampled_softmax(hidden, events, vectors, tf.ones(2), nothing)
    assert (float(total), float(weight)) == (0, 5)


def test_a_row_of_weight_zero_counts_nothing(head):
    hidden, events, vectors = inputs(head)
    alone = head.softmax(
        hidden[:1], number_positions(ITEMS[:1], SESSIONS[:1], POSITIONS), vectors[:1], tf.ones(1)
    )
    both = head.softmax(hidden, events, vectors, tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(both, alone, rtol=1e-6)


def test_a_batch_without_targets_has_no_loss_and_no_gradient(head):
    events = number_positions(tf.constant([[3, 4]]), tf.constant([[1, 1]]), POSITIONS)
    with tf.GradientTape() as tape:
        loss = head.softmax(tf.ones((1, POSITIONS, WIDTH)), events, head.vectors(events.items), tf.ones(1))
    assert [float(x) for x in loss] == [0, 0]
    assert not np.any(tf.convert_to_tensor(tape.gradient(loss.total, head.bias)))


def test_scores_hide_padding_unknown_and_mask_and_give_untrained_items_the_score_of_unknown(head):
    last = tf.random.stateless_normal((2, WIDTH), (5, 5))
    scores = head.scores(last).numpy()
    assert scores.shape == (2, len(COUNTS))
    assert np.all(scores[:, :3] == -np.inf)
    np.testing.assert_allclose(scores[:, 3:7], logits_of(head, last)[:, 3:7], rtol=1e-5)
    np.testing.assert_allclose(scores[:, 7], head.bias[1], rtol=1e-6)


def test_the_sampled_loss_of_all_items_is_the_full_loss_where_baskets_hold_one_item(head):
    items, sessions = tf.constant([[3, 4, 6]]), tf.constant([[1, 2, 3]])
    events = number_positions(items, sessions, POSITIONS)
    hidden, vectors = tf.random.stateless_normal((1, POSITIONS, WIDTH), (1, 1)), head.vectors(items)
    everything = Negatives(COUNTS, "popularity", 50)(tf.constant([1, 1]), items)
    sampled = head.sampled_softmax(hidden, events, vectors, tf.ones(1), everything)
    np.testing.assert_allclose(sampled, head.softmax(hidden, events, vectors, tf.ones(1)), rtol=1e-5)


def test_two_softmaxes_disagree_by_their_mean_divergence():
    logits = np.random.default_rng(1).normal(0, 2, (2, 3, 5))
    one, other = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = ((one * np.log(one / other)).sum(axis=1) + (other * np.log(other / one)).sum(axis=1)) / 2
    np.testing.assert_allclose(disagreement(*tf.constant(logits)), expected, rtol=1e-6)
