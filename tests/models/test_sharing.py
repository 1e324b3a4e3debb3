import numpy as np
import pytest
import tensorflow as tf

from models.sharing import Uncertainty, make_sharing

QUESTIONS, OUTPUTS, WIDTH, EXPERTS, INPUTS = 3, 2, 4, 2, 5
START = np.arange(QUESTIONS * OUTPUTS, dtype=np.float32)
ASKED = np.repeat(np.arange(QUESTIONS), OUTPUTS)


@pytest.mark.parametrize("kind", ["bottom", "mmoe", "ple"])
def test_before_anything_is_learnt_each_output_is_its_start(kind):
    made = make_sharing(kind, ASKED, START, WIDTH, EXPERTS)
    np.testing.assert_allclose(made(tf.random.normal((7, INPUTS))), np.tile(START, (7, 1)))


@pytest.mark.parametrize(("kind", "own"), [("mmoe", 0), ("ple", 1)])
def test_each_question_mixes_the_experts_by_its_own_gate(kind, own):
    tf.keras.utils.set_random_seed(1)
    made, x = (
        make_sharing(kind, ASKED, START, WIDTH, EXPERTS),
        np.random.default_rng(2).normal(size=(6, INPUTS)),
    )
    made(tf.constant(x, tf.float32))  # makes weights
    made.kernel.assign(tf.random.normal(made.kernel.shape))

    def dense(layer, activation=lambda y: np.maximum(y, 0)):
        kernel, bias = (weight.numpy().astype(np.float64) for weight in layer.weights)
        return activation(x @ kernel + bias)

    shared = dense(made.shared).reshape(6, EXPERTS, WIDTH)
    alone = dense(made.own).reshape(6, QUESTIONS, own, WIDTH) if own else np.zeros((6, QUESTIONS, 0, WIDTH))
    gates = dense(made.gates, lambda y: y).reshape(6, QUESTIONS, own + EXPERTS)
    expected = []
    for row in range(6):
        for question in range(QUESTIONS):
            share = np.exp(gates[row, question])
            experts = np.concatenate([alone[row, question], shared[row]])
            expected.append(share / share.sum() @ experts @ made.kernel.numpy()[question == ASKED].T)
    expected = np.reshape(expected, (6, QUESTIONS * OUTPUTS)) + START
    np.testing.assert_allclose(made(tf.constant(x, tf.float32)), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["mmoe", "ple"])
def test_questions_may_have_as_many_outputs_as_they_want(kind):
    start = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    made = make_sharing(kind, np.array([0, 1, 1, 1]), start, WIDTH, EXPERTS)
    np.testing.assert_allclose(made(tf.random.normal((2, INPUTS))), [start, start])
    assert made.gates.units == 2 * (EXPERTS + (kind == "ple"))


def test_the_best_variance_of_a_question_is_that_of_twice_its_loss_and_one_without_answers_stays():
    balance, losses = Uncertainty(2), tf.constant([[0.5, 3.0], [0.7, 9.0]])
    weights = tf.constant([[1.0, 0.0], [1.0, 0.0]])
    optimizer = tf.keras.optimizers.legacy.SGD(0.5)
    for _ in range(60):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(balance(losses) * weights) / 2
        optimizer.minimize(loss, [balance.logarithm], tape=tape)
    np.testing.assert_allclose(np.exp(balance.logarithm[0]), 2 * 0.6, rtol=1e-2)
    assert float(balance.logarithm[1]) == 0
