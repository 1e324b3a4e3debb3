import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr
from sklearn import metrics as theirs

from models import label_metrics as ours
from models.answers import Answers
from models.label_baselines import fit
from models.metrics import answers
from models.metrics.answers import METRICS, Rows, of_all

RNG = np.random.default_rng(3)
HAPPENED = (RNG.random(200) < 0.3).astype(np.float32)
VALUES = np.round(np.clip(0.3 * HAPPENED + 0.7 * RNG.random(200), 0.01, 0.99), 1)  # with equal ones
CLASSES = RNG.integers(0, 4, 200).astype(np.float32)
SHARES = RNG.dirichlet(np.ones(4), 200)
OF_CLASSES = ("accuracy", "precision_macro", "recall_macro", "f1_macro")


def test_metrics_are_those_of_scikit_learn():
    assert of_all(answers.roc_auc, HAPPENED, VALUES) == pytest.approx(theirs.roc_auc_score(HAPPENED, VALUES))
    assert of_all(answers.pr_auc, HAPPENED, VALUES) == pytest.approx(
        theirs.average_precision_score(HAPPENED, VALUES)
    )
    assert of_all(answers.log_loss, HAPPENED, VALUES) == pytest.approx(theirs.log_loss(HAPPENED, VALUES))
    assert of_all(answers.log_loss, CLASSES, SHARES) == pytest.approx(theirs.log_loss(CLASSES, SHARES))
    predicted = SHARES.argmax(axis=1)
    assert of_all(answers.accuracy, CLASSES, SHARES) == theirs.accuracy_score(CLASSES, predicted)
    likely = VALUES >= 0.5
    for name in ("precision", "recall", "f1"):
        metric, alike = METRICS[name], getattr(theirs, f"{name}_score")
        assert of_all(metric, HAPPENED, VALUES) == pytest.approx(alike(HAPPENED, likely))
        assert of_all(METRICS[f"{name}_macro"], CLASSES, SHARES) == pytest.approx(
            alike(CLASSES, predicted, average="macro")
        )
    assert of_all(answers.r2, HAPPENED, VALUES) == pytest.approx(theirs.r2_score(HAPPENED, VALUES))
    assert of_all(answers.spearman, HAPPENED, VALUES) == pytest.approx(spearmanr(HAPPENED, VALUES)[0])


def test_classes_that_never_came_or_were_never_predicted_count_as_nothing():
    """a a a b, of which a b a c was said: precision 1, 0, 0 and recall 2/3, 0, 0."""
    came, said = np.array([0.0, 0, 0, 1]), np.eye(4)[[0, 1, 0, 2]]
    assert of_all(answers.precision_macro, came, said) == pytest.approx(1 / 3)
    assert of_all(answers.recall_macro, came, said) == pytest.approx(2 / 9)
    assert of_all(answers.f1_macro, came, said) == pytest.approx(0.8 / 3)


@pytest.mark.parametrize("name", METRICS)
def test_a_resample_is_measured_as_rows_that_stand_there_as_often_as_they_were_drawn(name):
    of_classes = name in OF_CLASSES
    labels, values = (CLASSES, SHARES) if of_classes else (HAPPENED, VALUES)
    counts = np.stack([RNG.multinomial(200, np.ones(200) / 200) for _ in range(20)]).astype(np.float64)
    counts[0, HAPPENED > 0.5] = 0  # nothing happened
    counts[1] = np.where(VALUES < 0.3, counts[1], 0)
    stands = [np.repeat(np.arange(200), each.astype(int)) for each in counts]
    each = [of_all(METRICS[name], labels[rows], values[rows]) for rows in stands]
    np.testing.assert_allclose(METRICS[name](Rows(labels, values), counts), each, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_of_no_row_there_is_no_metric(name):
    values = SHARES if name in OF_CLASSES else VALUES
    assert np.isnan(METRICS[name](Rows(CLASSES, values), np.zeros((2, 200)))).all()


def test_lift_is_how_much_more_often_it_happens_at_the_top_and_equal_values_share():
    labels, values = np.repeat([1.0, 0.0], [10, 90]), np.repeat([0.9, 0.1], [10, 90])
    assert of_all(answers.lift, labels, values) == pytest.approx(10)
    assert of_all(answers.lift, labels, np.zeros(100)) == pytest.approx(1)


def test_the_calibration_error_is_nothing_where_tenths_come_true_and_the_distance_elsewhere():
    labels, right = np.tile([1.0, 0.0], 50), np.full(100, 0.5)
    assert of_all(answers.calibration_error, labels, right) == pytest.approx(0)
    assert of_all(answers.calibration_error, labels, right + 0.2) == pytest.approx(0.2)


def test_metrics_of_several_targets_are_means_over_those_that_have_one():
    labels = np.stack([HAPPENED, np.zeros(200), 1 - HAPPENED], axis=1)  # of the second there is no ROC-AUC
    values, weights = np.stack([VALUES] * 3, axis=1), np.ones((200, 3))
    weights[:100, 2] = 0
    found = ours.measured(["roc_auc"], labels, values, weights)["roc_auc"]
    each = [
        of_all(answers.roc_auc, HAPPENED, VALUES),
        of_all(answers.roc_auc, 1 - HAPPENED[100:], VALUES[100:]),
    ]
    assert found == pytest.approx(np.mean(each))


def test_answers_of_a_user_are_judged_with_all_others_and_drawn_together():
    """Clicks at 0.6, 0.6 and 0.2, beside none at 0.2 twice."""
    users, labels = np.array(["ann", "ann", "bob", "bob", "cid"]), np.array([0.0, 1, 0, 1, 1])
    values = {"a": np.array([0.2, 0.6, 0.2, 0.6, 0.2]), "b": np.full(5, 0.5)}
    found = ours.sampled_rows(["roc_auc"], users, labels, values, 200, 7)
    assert found["a"]["roc_auc"].value == pytest.approx((2 * 1 + 1 * 0.5) / 3)
    assert found["b"]["roc_auc"].value == 0.5
    both = ours.sampled_rows(["log_loss"], np.array([1, 1]), labels[:2], {"a": values["a"][:2]}, 20, 7)
    assert np.ptp(both["a"]["log_loss"].drawn) == 0, "there is one user to draw"


def test_differences_are_paired_and_have_the_baseline_s_sign():
    labels, weights = HAPPENED[:, None], np.ones((200, 1))
    said = {"naive": VALUES[:, None], "better": 0.5 * VALUES[:, None] + 0.5 * labels, "same": VALUES[:, None]}
    found = ours.compared(["roc_auc", "log_loss"], labels, weights, said, 200, 0.95, seed=1)
    better = found["better"]
    assert better["roc_auc"].difference.low > 0 > better["log_loss"].difference.high
    assert tuple(found["same"]["roc_auc"].difference) == (0, 0, 0)
    low, high = better["roc_auc"].value[1:]
    assert low <= better["roc_auc"].value.mean <= high


def test_of_several_baselines_a_model_stands_beside_the_best_of_each_metric():
    labels, weights = HAPPENED[:, None], np.ones((200, 1))
    ordered = 0.9 + 0.1 * VALUES[:, None]  # the same order, and far too high
    said = {"naive": np.full((200, 1), 0.3), "bg_nbd": ordered, "gru": VALUES[:, None]}
    found = ours.compared(["roc_auc", "log_loss"], labels, weights, said, 50, 0.95, 1, ["naive", "bg_nbd"])
    assert {name: each.baseline for name, each in found["gru"].items()} == {
        "roc_auc": "bg_nbd",
        "log_loss": "naive",
    }
    assert tuple(found["gru"]["roc_auc"].difference) == (0, 0, 0)


def said(name: str, head: str, labels, naive, asked, names: int = 1) -> np.ndarray:
    columns = (np.asarray(x, np.float32).reshape(-1, 1) for x in (labels, np.ones(len(labels)), naive))
    baseline = fit(name, head, 9, Answers(*columns), names)
    asked = tf.constant(np.asarray(asked, np.float32).reshape(-1, 1))
    return baseline.predict(None, None, None, asked)["value"].numpy()


def test_baselines_say_what_the_training_rows_say():
    labels, naive = np.repeat([1, 0, 1, 0], [300, 100, 100, 300]), np.repeat([1, 5], 400)
    assert said("prior", "binary", labels, naive, [1]).tolist() == [[0.5]]
    np.testing.assert_allclose(
        said("table", "binary", labels, naive, [1, 5, 3])[:, 0], [0.747, 0.253, 0.5], atol=1e-3
    )
    np.testing.assert_allclose(
        said("logistic", "binary", labels, naive, [1, 5])[:, 0], [0.75, 0.25], atol=1e-3
    )
    assert said("naive", "amount", labels, naive, [2.5]).tolist() == [[2.5]]


def test_a_table_of_classes_is_how_often_each_follows_each():
    last, following = np.repeat([0, 1, 2], [100, 100, 2]), np.tile([1, 1, 2, 1], 51)[:202]
    shares = said("table", "classes", following, last, [0, 2], names=3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    prior = np.bincount(following, minlength=3) / 202
    np.testing.assert_allclose(shares[0], (np.array([0, 75, 25]) + 5 * prior) / 105, rtol=1e-5)
    pair = np.bincount(following[200:], minlength=3)
    np.testing.assert_allclose(shares[1], (pair + 5 * prior) / 7, rtol=1e-5)


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        (["roc_auc", "pr_auc", "log_loss", "lift"], "log_loss"),
        (["roc_auc", "calibration_error", "mse", "mae"], "mse"),
        (["r2", "spearman"], "r2"),
        ([], "excess_loss"),
    ],
)
def test_epochs_are_chosen_by_the_first_loss(metrics, chosen):
    assert ours.choosing(metrics) == chosen
