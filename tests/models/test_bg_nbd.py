"""BG/NBD: the paper's numbers, users drawn as it says, and what comes of scaled features."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import dblquad
from scipy.stats import beta, gamma
from sklearn.metrics import log_loss, roc_auc_score

from conf.load import load
from conf.schema import Model
from models.answers import Answers
from models.bg_nbd import BgNbd, Shape, Visits, columns_of, fit, log_likelihood, most_likely
from models.labelled import Asked, Beside, LabelledModel

CDNOW = Shape(0.243, 4.414, 0.793, 2.426)  # Fader, Hardie and Lee (2005), in weeks
STATISTICS = {
    "spend": {"scale": "log", "center": 3.0, "spread": 1.0},
    "session_count": {"scale": "log", "center": 1.0, "spread": 0.8},
    "recency": {"scale": "log", "center": 2.0, "spread": 0.5},
    "tenure": {"scale": "none", "center": 40.0, "spread": 10.0},
}
SPEC = {"label": {"features": list(STATISTICS), "statistics": STATISTICS, "horizon_days": 28}}


def scaled(session_count, recency, tenure) -> np.ndarray:
    """Features of users as an example set has them."""
    given = {
        "spend": np.ones(len(tenure)),
        "session_count": session_count,
        "recency": recency,
        "tenure": tenure,
    }
    columns = []
    for name, values in given.items():
        by, values = STATISTICS[name], np.asarray(values, np.float64)
        columns.append(((np.log1p(values) if by["scale"] == "log" else values) - by["center"]) / by["spread"])
    return np.stack(columns, axis=1).astype(np.float32)


def drawn(shape: Shape, users: int, until: np.ndarray, seed: int) -> tuple[Visits, np.ndarray]:
    """Users as the model has them, and who comes within 28 days from `until`."""
    rng = np.random.default_rng(seed)
    rates, leaving = rng.gamma(shape.r, 1 / shape.alpha, users), rng.beta(shape.a, shape.b, users)
    again, last, comes = np.zeros(users), np.zeros(users), np.zeros(users, bool)
    for user in range(users):
        at = 0.0
        # The first visit is where a user begins: behind it nobody goes.
        while (at := at + rng.exponential(1 / rates[user])) <= until[user] + 28:
            if at > until[user]:
                comes[user] = True
                break
            again[user], last[user] = again[user] + 1, at
            if rng.random() < leaving[user]:
                break
    return Visits(again, last, until), comes


def asked(shape: Shape, horizon: float, session_count, recency, tenure) -> np.ndarray:
    model = BgNbd(9, shape, horizon, columns_of(SPEC))
    return model.predict(None, None, scaled(session_count, recency, tenure), None)["value"].numpy()[:, 0]


def test_who_came_twice_and_not_of_late_is_as_likely_alive_as_in_the_paper():
    # 2 visits behind the first, the last after 30.43 of 38.86 weeks; in the long run who is alive comes for certain.
    gone = asked(CDNOW, 1e12, [3], [38.86 - 30.43], [38.86])
    assert 1 - gone[0] == pytest.approx(0.7266, abs=2e-4)


def test_the_chance_of_no_visit_is_that_of_its_own_integral():
    """Over the rate and the chance of leaving, by what is likely given the visits."""
    x, last, until, ahead = 4, 20.0, 33.0, 7.0

    def of_visits(rate: float, leaving: float) -> tuple[float, float]:
        prior = gamma.pdf(rate, CDNOW.r, scale=1 / CDNOW.alpha) * beta.pdf(leaving, CDNOW.a, CDNOW.b)
        stayed = (1 - leaving) ** x * rate**x * np.exp(-rate * until)
        left = leaving * (1 - leaving) ** (x - 1) * rate**x * np.exp(-rate * last)
        return prior * (stayed + left), prior * (stayed * np.exp(-rate * ahead) + left)

    seen = dblquad(lambda rate, leaving: of_visits(rate, leaving)[0], 0, 1, 0, 5, epsabs=1e-12)[0]
    none = dblquad(lambda rate, leaving: of_visits(rate, leaving)[1], 0, 1, 0, 5, epsabs=1e-12)[0]
    found = log_likelihood(CDNOW, Visits(*(np.array([value]) for value in (x, last, until))))
    assert np.exp(found[0]) == pytest.approx(seen, rel=1e-4)
    assert asked(CDNOW, ahead, [x + 1], [until - last], [until])[0] == pytest.approx(none / seen, rel=1e-3)


def test_users_drawn_from_a_shape_lead_back_to_it_and_stay_away_as_often_as_is_said():
    shape, until = Shape(0.8, 6.0, 0.6, 3.0), np.random.default_rng(0).uniform(20, 60, 6000)
    visits, comes = drawn(shape, 6000, until, seed=1)
    found = most_likely(visits)
    assert found.r == pytest.approx(shape.r, rel=0.1)
    assert found.alpha == pytest.approx(shape.alpha, rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(shape.a / (shape.a + shape.b), rel=0.15)
    features = scaled(visits.again + 1, visits.until - visits.last, visits.until)
    stays_away = fit(SPEC, features, size=9).predict(None, None, features, None)["value"].numpy()[:, 0]
    for low, high in ((0, 0.3), (0.3, 0.7), (0.7, 1.01)):
        among = (stays_away >= low) & (stays_away < high)
        assert among.sum() > 300
        assert stays_away[among].mean() == pytest.approx(1 - comes[among].mean(), abs=0.04)


def test_a_model_that_knows_what_it_says_begins_there():
    """Of users drawn from a shape, whose features tell all there is, with a baseline's number that tells nothing."""
    shape, until = Shape(0.8, 6.0, 0.6, 3.0), np.random.default_rng(0).uniform(20, 60, 3000)
    visits, comes = drawn(shape, 3000, until, seed=2)
    features = scaled(visits.again + 1, visits.until - visits.last, visits.until)
    labels = (~comes).astype(np.float32)[:, None]
    told = Answers(labels, np.ones_like(labels), np.zeros_like(labels))
    fitted = fit(SPEC, features, size=9)
    task = replace(load(["task=churn"]).task, length=4, positions=2)
    counts, small = np.array([0, 0, 0, 5, 5, 5, 5, 5, 5]), Model(name="gru", width=4, blocks=1)
    asked_of = [Asked(task.label, 1)]
    model = LabelledModel(small, task, counts, told, asked_of, 4, 1, beside=Beside([[fitted]], features))
    nobody, number = tf.zeros((3000, 4), tf.int32), tf.zeros((3000, 1))
    value = model.predict(nobody, nobody, tf.constant(features), number)["value"].numpy()
    by_itself = fitted.predict(None, None, features, None)["value"].numpy()
    assert roc_auc_score(labels, value) == pytest.approx(roc_auc_score(labels, by_itself), abs=1e-3)
    assert log_loss(labels, value) < log_loss(labels, by_itself) + 0.01


def test_a_task_without_the_features_is_told_which_are_missing():
    with pytest.raises(ValueError, match="no tenure"):
        columns_of({"label": {"features": ["recency", "session_count"], "statistics": STATISTICS}})
