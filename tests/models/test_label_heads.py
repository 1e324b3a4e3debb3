import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import lognorm
from sklearn.metrics import f1_score as theirs_f1

from models.answers import Answers
from models.calibration import fit
from models.heads.labels import Binary, Classes, LogNormal, Mean, Quantiles
from models.known import Known

LABELS = np.array([[1, 0], [0, 0], [0, 1], [0, 0]], np.float32)
WEIGHTS = np.array([[1, 1], [1, 1], [1, 0], [1, 1]], np.float32)


def answers(labels, weights=None) -> Answers:
    labels = np.asarray(labels, np.float32)
    return Answers(labels, np.ones_like(labels) if weights is None else weights, np.zeros_like(labels))


def nothing_known(of: Answers) -> np.ndarray:
    return np.zeros((*of.labels.shape, 0))


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_a_binary_head_starts_at_the_shares_of_training_and_its_loss_is_the_cross_entropy():
    told = answers(LABELS, WEIGHTS)
    head = Binary(told, nothing_known(told), balanced=False)
    np.testing.assert_allclose(
        sigmoid(head.start), [0.25, 1e-4], rtol=1e-6
    )  # the second's one 1 weighs nothing
    outputs, labels = np.array([[0.3, -2.0], [1.5, 0.0]], np.float32), np.array([[1, 0], [0, 1]], np.float32)
    chance = sigmoid(outputs)
    expected = -(labels * np.log(chance) + (1 - labels) * np.log(1 - chance))
    np.testing.assert_allclose(head.loss(outputs, labels), expected, rtol=1e-5)
    np.testing.assert_allclose(head.predict(outputs)["value"], chance, rtol=1e-5)


def test_balanced_sides_weigh_alike():
    told = answers([[1], [0], [0], [0]])
    head = Binary(told, nothing_known(told), balanced=True)
    assert head.start == pytest.approx([0.0], abs=1e-6)
    loss = head.loss(np.zeros((4, 1), np.float32), np.array([[1], [0], [0], [0]], np.float32)).numpy()[:, 0]
    assert loss[0] == pytest.approx(loss[1:].sum(), rel=1e-5)
    assert loss.sum() == pytest.approx(4 * np.log(2), rel=1e-5)


@pytest.mark.parametrize("balanced", [False, True])
def test_a_head_of_classes_is_a_softmax_over_them(balanced):
    told = answers([[0], [0], [0], [2]])
    head = Classes(told, nothing_known(told), balanced, classes=3)
    counts = np.array([3, 0.5, 1])
    np.testing.assert_allclose(head.start, np.zeros(3) if balanced else np.log(counts / 4.5), rtol=1e-6)
    outputs, labels = np.array([[0.1, 2.0, -1.0], [0.0, 0.0, 3.0]]), np.array([[1.0], [2.0]])
    share = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    weight = 4.5 / (3 * counts) if balanced else np.ones(3)
    expected = [[-weight[1] * np.log(share[0, 1])], [-weight[2] * np.log(share[1, 2])]]
    loss = head.loss(tf.constant(outputs, tf.float32), tf.constant(labels, tf.float32))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(head.predict(tf.constant(outputs, tf.float32))["value"], share, rtol=1e-5)


def test_an_amount_that_is_zero_or_lognormal_has_the_loss_mean_and_quantiles_of_scipy():
    paid = np.array([0, 0, 5.0, 20.0, 80.0])[:, None]
    head = LogNormal(answers(paid), nothing_known(answers(paid)))
    chance, mean, spread = sigmoid(head.start[0]), head.start[1], np.log1p(np.exp(head.start[2]))
    np.testing.assert_allclose([chance, mean, spread], [0.6, np.log(20), np.log(paid[2:]).std()], rtol=1e-6)
    outputs = np.tile(head.start, (5, 1)) + np.linspace(-0.5, 0.5, 5)[:, None]
    chance, mean, spread = sigmoid(outputs[:, 0]), outputs[:, 1], np.log1p(np.exp(outputs[:, 2]))
    amount = lognorm(s=spread, scale=np.exp(mean))
    density = np.where(paid[:, 0] > 0, chance * amount.pdf(np.maximum(paid[:, 0], 1e-9)), 1 - chance)
    loss = head.loss(tf.constant(outputs, tf.float32), tf.constant(paid, tf.float32))
    np.testing.assert_allclose(loss[:, 0], -np.log(density), rtol=1e-4)
    found = head.predict(tf.constant(outputs, tf.float32))
    np.testing.assert_allclose(found["value"][:, 0], chance * amount.mean(), rtol=1e-4)
    for name, share in (("low", 0.1), ("high", 0.9)):
        inside = np.clip((share - (1 - chance)) / chance, 0, 1)
        np.testing.assert_allclose(found[name][:, 0], amount.ppf(inside), rtol=1e-3)
    assert (found["low"].numpy() == 0).all(), "more than a tenth of them pay nothing"


def test_a_mean_s_loss_is_the_squared_error_in_spreads_of_training():
    told = answers([[0], [10], [20]])
    head = Mean(told, nothing_known(told))
    outputs, labels = tf.constant([[0.5], [-9.0]]), tf.constant([[12.0], [0.0]])
    spread = np.std([0, 10, 20])
    expected = [[((12 - 10) / spread - 0.5) ** 2], [(-10 / spread + 9) ** 2]]
    np.testing.assert_allclose(head.loss(outputs, labels), expected, rtol=1e-5)
    np.testing.assert_allclose(head.predict(outputs)["value"], [[10 + 0.5 * spread], [0]], rtol=1e-5)


def test_an_amount_by_quantiles_has_the_pinball_loss_and_they_never_cross():
    paid = np.array([0, 0, 5.0, 20.0, 80.0])[:, None]
    head = Quantiles(answers(paid), nothing_known(answers(paid)))
    spread = paid.std()
    np.testing.assert_allclose(head.start, np.quantile(paid, [0.1, 0.5, 0.9]) / spread, rtol=1e-6)
    outputs = tf.constant([[0.5, 0.1, 0.9], [-1.0, -0.5, 0.2]])
    labels = np.array([[20.0], [0.0]])
    missed = labels / spread - outputs.numpy()
    expected = [
        [sum(max(q * m, (q - 1) * m) for q, m in zip((0.1, 0.5, 0.9), row, strict=True))] for row in missed
    ]
    np.testing.assert_allclose(head.loss(outputs, tf.constant(labels, tf.float32)), expected, rtol=1e-5)
    said = {name: each.numpy()[:, 0] / spread for name, each in head.predict(outputs).items()}
    np.testing.assert_allclose(said["low"], [0.1, 0], atol=1e-6)
    np.testing.assert_allclose(said["value"], [0.5, 0], atol=1e-6)
    np.testing.assert_allclose(said["high"], [0.9, 0.2], rtol=1e-5)


def guessed(head, known: np.ndarray) -> np.ndarray:
    """What a head predicts of what is known alone."""
    outputs = np.einsum("rqi,qio->rqo", known, head.slopes).reshape(len(known), -1) + head.start
    return head.predict(tf.constant(outputs, tf.float32))["value"].numpy()


def test_before_anything_is_learnt_a_head_says_what_a_regression_on_what_is_known_says():
    rng = np.random.default_rng(3)
    number = rng.exponential(20, 4000).astype(np.float32)
    known = Known(number[:, None], levels=False)
    x, chance = known(tf.constant(number[:, None])).numpy(), sigmoid(np.log1p(number) - 2)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-4)
    happened = (rng.random(4000) < chance).astype(np.float32)[:, None]
    plain, even = (Binary(answers(happened), x, balanced) for balanced in (False, True))
    np.testing.assert_allclose(guessed(plain, x)[:, 0], chance, atol=0.08)
    sides = guessed(even, x)[:, 0]
    assert sides.mean() == pytest.approx(0.5, abs=0.05), "sides weigh alike"
    assert (np.argsort(sides) == np.argsort(guessed(plain, x)[:, 0])).mean() > 0.9
    amount = 3 * number + 10 + rng.normal(0, 1, 4000).astype(np.float32)
    np.testing.assert_allclose(guessed(Mean(answers(amount[:, None]), x), x)[:, 0], 3 * number + 10, atol=0.5)
    paid = np.where(rng.random(4000) < 0.5, 4 * (1 + number) * np.exp(rng.normal(0, 0.5, 4000)), 0)
    much = LogNormal(answers(paid[:, None]), x)
    np.testing.assert_allclose(guessed(much, x)[:, 0], 2 * (1 + number) * np.exp(0.125), rtol=0.15)
    median = Quantiles(answers(amount[:, None]), x)
    np.testing.assert_allclose(guessed(median, x)[:, 0], 3 * number + 10, atol=0.5)
    assert np.log1p(np.exp(much.start[2])) == pytest.approx(0.5, abs=0.02), "the spread around what is known"


def test_of_levels_a_head_of_classes_begins_with_the_shares_at_each_and_of_a_new_one_with_those_of_all():
    levels, came = (
        np.repeat([3.0, 7.0], [40, 60])[:, None],
        np.repeat([0, 1, 1, 2], [30, 10, 50, 10])[:, None],
    )
    known = Known(levels, levels=True)
    head = Classes(answers(came), known(tf.constant(levels, tf.float32)).numpy(), False, classes=3)
    found = guessed(head, known(tf.constant([[7.0], [3.0], [5.0]])).numpy())
    share = np.array([0.3, 0.6, 0.1])
    np.testing.assert_allclose(found[0], (np.array([0, 50, 10]) + 5 * share) / 65, rtol=1e-5)
    np.testing.assert_allclose(found[1], (np.array([30, 10, 0]) + 5 * share) / 45, rtol=1e-5)
    np.testing.assert_allclose(found[2], share, rtol=1e-5)


def test_what_is_the_same_of_all_rows_says_nothing():
    known = Known(np.zeros((5, 2), np.float32), levels=False)
    assert not known(tf.constant([[3.0, 0.0]])).numpy().any()


@pytest.fixture(scope="module")
def overconfident():
    """Outputs that say three times too much: (rows, 1), and what came."""
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1, 20_000)
    return (3 * true[:, None] + 1).astype(np.float32), (rng.random(20_000) < sigmoid(true)).astype(
        np.float32
    )[:, None]


@pytest.mark.parametrize("kind", ["temperature", "isotonic"])
def test_calibrated_probabilities_come_true_as_often_as_they_say(overconfident, kind):
    outputs, labels = overconfident
    found = fit(kind, "binary", outputs, labels, np.ones_like(labels))
    value = found(tf.constant(outputs)).numpy()[:, 0]
    np.testing.assert_allclose(
        value, sigmoid((outputs[:, 0] - 1) / 3), atol=0.03 if kind == "temperature" else 0.1
    )
    for part in np.array_split(np.argsort(value), 5):
        assert value[part].mean() == pytest.approx(labels[part].mean(), abs=0.02)
    order = np.argsort(outputs[:, 0])
    assert (np.diff(value[order]) >= -1e-6).all(), "the order stays"


def test_an_isotonic_curve_is_scikit_learn_s(overconfident):
    from sklearn.isotonic import IsotonicRegression

    outputs, labels = (each[:300] for each in overconfident)
    found = fit("isotonic", "binary", outputs, labels, np.ones_like(labels))
    theirs = IsotonicRegression(y_min=1e-6, y_max=1 - 1e-6, out_of_bounds="clip").fit(
        sigmoid(outputs[:, 0]), labels[:, 0]
    )
    asked = np.linspace(-12, 12, 50, dtype=np.float32)[:, None]
    np.testing.assert_allclose(
        found(tf.constant(asked))[:, 0], theirs.predict(sigmoid(asked[:, 0])), atol=1e-4
    )


def test_the_temperature_of_classes_is_found_again():
    rng = np.random.default_rng(2)
    true = rng.normal(0, 1, (5000, 3))
    labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)[:, None]
    found = fit("temperature", "classes", 2 * true, labels, np.ones_like(labels))
    assert float(found.temperature) == pytest.approx(2, rel=0.1)
    np.testing.assert_allclose(found.shifts - np.mean(found.shifts), 0, atol=0.1)


@pytest.fixture(scope="module")
def lopsided():
    """Outputs of a model whose classes weighed alike, (rows, 3), and what came: nearly always the last."""
    rng = np.random.default_rng(4)
    outputs, often = rng.normal(0, 1.5, (6000, 3)), np.log([0.04, 0.06, 0.9])
    labels = (outputs + often + rng.gumbel(size=outputs.shape)).argmax(axis=1)[:, None]
    return outputs, labels, often


def test_what_balanced_weights_put_in_is_taken_back_of_classes_too(lopsided):
    outputs, labels, often = lopsided
    found = fit("temperature", "classes", outputs, labels, np.ones_like(labels))
    shifts = found.shifts.numpy()
    np.testing.assert_allclose(shifts - shifts[2], often - often[2], atol=0.25)
    value = found(tf.constant(outputs, tf.float32)).numpy()
    np.testing.assert_allclose(value.mean(axis=0), np.bincount(labels[:, 0]) / len(labels), atol=0.01)


def test_a_class_that_never_came_is_held_where_it_is():
    outputs = np.random.default_rng(5).normal(0, 1, (400, 3))
    labels = np.zeros((400, 1), int)
    found = fit("temperature", "classes", outputs, labels, np.ones_like(labels))
    assert np.isfinite(found.shifts).all() and np.abs(found.shifts).max() < 12


def test_rare_classes_are_told_of_where_the_macro_f1_is_what_counts(lopsided):
    outputs, labels, _ = lopsided
    f1 = {}
    for kind in ("temperature", "macro_f1"):
        value = fit(kind, "classes", outputs, labels, np.ones_like(labels))(tf.constant(outputs, tf.float32))
        f1[kind] = theirs_f1(labels[:, 0], value.numpy().argmax(axis=1), average="macro")
    balanced = theirs_f1(labels[:, 0], outputs.argmax(axis=1), average="macro")
    assert f1["macro_f1"] > f1["temperature"] + 0.02 and f1["macro_f1"] > balanced + 0.02


def test_where_nothing_happened_there_is_nothing_to_calibrate_by():
    nothing = np.zeros((5, 1), np.float32)
    assert fit("temperature", "binary", nothing, nothing, nothing + 1) is None
    assert fit("none", "binary", nothing, nothing, nothing + 1) is None
