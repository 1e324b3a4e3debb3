"""Which past events a prediction came from: attributions add up, and stand beside what is lost without each event."""

from types import SimpleNamespace

import horovod.tensorflow as hvd
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from models.attributions import leave_one_out, without
from models.baselines import fit
from models.calibration import Line
from models.explaining import EXPLAINED, agreement, explained_answers, explained_lists
from models.export import export
from models.export_labelled import export_labelled
from models.integrated_gradients import integrated_gradients
from models.label_baselines import LabelBaseline
from models.scoring import load
from models.trained import Labelled
from tests.models.labelled_cases import conf_of, example_set
from tests.models.test_next_item import AGES, COUNTS, FILTERED, rows
from tests.models.test_next_item import made as made_anywhere

VOCABULARY = {"item_index": np.arange(3, 9), "item_id": [f"p{i}" for i in range(3, 9)]}
HISTORY = {"items": [3, 5, 4, 7, 8, 6], "sessions": [1, 1, 2, 3, 5, 7], "ages": AGES}
SHORT = {"items": [8], "sessions": [1], "ages": [2.0]}
STEPS = 64


def made(**choice):
    """A model whose unknown items have the vector that they always have."""
    model = made_anywhere(**choice)
    model.vectors.table.scatter_nd_update([[1]], tf.zeros((1, 8)))
    return model


def batch(*users, **more) -> pa.RecordBatch:
    """Users with histories, in this order, and one whose arrays are broken."""
    columns = {name: [user[name] for user in users] + [[1, 2]] for name in HISTORY}
    columns["sessions"][-1] = [1]
    named = {"user_id": [f"user {n}" for n in range(len(users))] + ["broken"]}
    types = {"items": pa.int32(), "sessions": pa.int32(), "ages": pa.float32()}
    arrays = {name: pa.array(values, pa.list_(types[name])) for name, values in columns.items()}
    return pa.RecordBatch.from_pydict(
        named | arrays | {n: [each] * (len(users) + 1) for n, each in more.items()}
    )


def test_an_event_is_given_what_its_part_of_a_product_comes_to():
    """Of (a p + b q)^2 along p = q the integral gives a (a + b) and b (a + b); a sum gives each its own."""
    weights = tf.constant([[1.0, 2.0, 0.0]])
    items = tf.constant([[7, 8, 0]])
    for power, expected in (1, [1, 2, 0]), (2, [3, 6, 0]):
        found = integrated_gradients(
            lambda items, presence, power=power: tf.reduce_sum(weights * presence, axis=1) ** power,
            (items,),
            tf.constant(STEPS),
        )
        np.testing.assert_allclose(found.attributions[0], expected, rtol=1e-3)
        assert (float(found.score[0]), float(found.baseline[0])) == (3**power, 0)


@pytest.mark.parametrize(
    "choice",
    [
        {"name": "gru", "blocks": 1},
        pytest.param({"name": "lstm", "blocks": 1}, marks=pytest.mark.long),
        pytest.param({"name": "sasrec"}, marks=pytest.mark.long),
        {"name": "sasrec", "temperature": 0.2, "gaps": True},
        pytest.param(FILTERED | {"targets": "last"}, marks=pytest.mark.long),
        pytest.param({"name": "bert4rec", "norm": "post"}, marks=pytest.mark.long),
        {"name": "hstu", "blocks": 1},
    ],
    ids=lambda choice: choice["name"],
)
def test_attributions_add_up_to_the_score_less_that_of_unknown_items(choice):
    model = made(**choice)
    items, sessions = rows(6, 4, 2)
    ages = tf.constant([AGES] * 3)
    vectors = tf.gather(model.item_vectors, [3, 8, 5])

    def score(items, sessions, ages, vectors, presence):
        return tf.reduce_sum(model.query(items, sessions, ages, presence=presence) * vectors, axis=1)

    found = integrated_gradients(score, (items, sessions, ages, vectors), tf.constant(STEPS))
    unknown = tf.where(items > 0, 1, 0)
    whole = score(items, sessions, ages, vectors, None)
    nothing = score(unknown, sessions, ages, vectors, None)
    np.testing.assert_allclose(found.score, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.baseline, nothing, rtol=1e-5, atol=1e-6)
    assert np.abs(whole - nothing).min() > 0.01, "else there is nothing to add up to"
    np.testing.assert_allclose(
        tf.reduce_sum(found.attributions, axis=1), whole - nothing, rtol=5e-3, atol=1e-3
    )
    assert not found.attributions.numpy()[items.numpy() == 0].any(), "padding is given nothing"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    path = tmp_path_factory.mktemp("explained") / "model"
    model = made(name="sasrec")
    export(model, VOCABULARY, path, k=4)
    return str(path)


def explained(found) -> list[dict]:
    table = pa.Table.from_batches(list(found))
    assert table.schema == EXPLAINED
    return table.to_pylist()


def test_an_exported_encoder_says_which_events_the_first_of_a_list_came_from(encoder):
    """Of a history that is longer than what the model looks at, events before that are given nothing."""
    long = {"items": [8, 3, *HISTORY["items"]], "sessions": [1, 1, *(s + 1 for s in HISTORY["sessions"])]}
    long |= {"ages": [90.0, 90.0, *AGES]}
    whole, short, longer = explained(
        explained_lists(iter([batch(HISTORY, SHORT, long)]), encoder, events=4, steps=STEPS)
    )
    scorer, model = load(encoder), made(name="sasrec")
    inputs = [tf.constant([x]) for x in (HISTORY["items"], HISTORY["sessions"], AGES)]
    scores = model.score(*inputs)[0].numpy()
    best = int(scores.argmax())
    unknown = model.score(tf.ones_like(inputs[0]), *inputs[1:])[0, best]
    assert whole["items"] == HISTORY["items"] and whole["ages"] == AGES
    np.testing.assert_allclose(sum(whole["attributions"]), scores[best] - unknown, rtol=5e-3)
    assert whole["gap"] < 5e-3 * abs(scores[best] - unknown)
    assert whole["changes"][:2] == [None, None], "four are left out"
    kept = {name: np.delete(each, 5) for name, each in HISTORY.items()}
    without_last = model.score(*(tf.constant([x]) for x in kept.values()))[0, best]
    assert whole["changes"][-1] == pytest.approx(float(scores[best] - without_last), abs=1e-5)
    assert -1 <= whole["agreement"] <= 1
    assert (len(short["items"]), short["agreement"]) == (1, None)
    assert scorer.explain is not None
    assert longer["items"] == HISTORY["items"], "the model looks at six events"
    np.testing.assert_allclose(longer["attributions"], whole["attributions"], atol=1e-5)


def test_what_looks_at_no_vectors_is_explained_by_leaving_out_alone(tmp_path):
    """A count of sessions: 7 came twice, and without one of these it comes once."""
    export(fit("frequency", len(COUNTS), np.arange(3, 9), COUNTS[3:]), VOCABULARY, tmp_path / "model", k=4)
    user = {"items": [7, 5, 7, 4], "sessions": [1, 1, 2, 3], "ages": [9.0, 9.0, 5.0, 2.0]}
    (found,) = explained(explained_lists(iter([batch(user)]), str(tmp_path / "model"), events=64, steps=2))
    assert found["changes"] == [1, 0, 1, 0]
    assert (found["attributions"], found["agreement"], found["gap"]) == ([None] * 4, None, None)
    hidden = batch(user, excluded=[7])
    (found,) = explained(explained_lists(iter([hidden]), str(tmp_path / "model"), events=64, steps=2))
    assert found["changes"] == pytest.approx([0, 0, 0, 1 + 1 / (1 + COUNTS[4])]), (
        "7 is not shown, and 4 is next"
    )


@pytest.fixture(scope="module")
def answering(tmp_path_factory):
    hvd.init()
    folder = tmp_path_factory.mktemp("answering")
    conf, examples = conf_of("two targets"), example_set(folder, "two targets")
    model = Labelled(conf, conf.task, examples).model
    rng = np.random.default_rng(2)
    for variable in model.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))
    model.vectors.table.scatter_nd_update([[1]], tf.zeros((1, 8)))
    model.questions[0].calibration = Line(1.5, -0.2)
    spec = dict(examples.spec)
    export_labelled(model, examples.vocabulary, spec, folder / "model")
    nothing = np.full(1, np.nan), np.full((2, 2), 0.3)
    baseline = LabelBaseline(examples.vocabulary_size, *nothing, None, plain=False)
    export_labelled(baseline, examples.vocabulary, spec, folder / "naive")
    return SimpleNamespace(model=model, path=str(folder / "model"), naive=str(folder / "naive"))


def test_answers_of_a_task_with_labels_add_up_with_their_features_as_they_are(answering):
    features, naive = [0.5, -1.0, 0.2], [0.0, 0.0]
    given = batch(HISTORY, SHORT, features=features, naive=naive)
    whole, short = explained(explained_answers(iter([given]), answering.path, events=64, steps=STEPS))

    def values(**history):
        items, sessions = (tf.constant([history[name]], tf.int32) for name in ("items", "sessions"))
        return answering.model.predict(items, sessions, tf.constant([features]), tf.constant([naive]))[
            "value"
        ][0].numpy()

    everything = values(**HISTORY)
    target = int(everything.argmax())
    nothing = values(**HISTORY | {"items": [1] * 6})[target]
    assert abs(everything[target] - nothing) > 0.005
    np.testing.assert_allclose(sum(whole["attributions"]), everything[target] - nothing, rtol=5e-3)
    first = {name: np.delete(each, 0) for name, each in HISTORY.items()}
    assert whole["changes"][0] == pytest.approx(float(everything[target] - values(**first)[target]), abs=1e-5)
    assert len(short["changes"]) == 1
    (naive_one, _) = explained(explained_answers(iter([given]), answering.naive, events=64, steps=STEPS))
    assert set(naive_one["attributions"]) == {None} and set(naive_one["changes"]) == {0.0}
    unasked = batch(HISTORY, features=[0.5, None, 0.2], naive=naive)
    assert explained(explained_answers(iter([unasked]), answering.path, events=64, steps=2)) == []


def test_leaving_out_removes_one_event_at_a_time_and_nothing_else():
    inputs = {name: np.array(each) for name, each in HISTORY.items()} | {"excluded": np.array([3])}
    assert without(inputs, 1)["items"].tolist() == [3, 4, 7, 8, 6]
    assert without(inputs, 1)["ages"].tolist() == [50.0, 20.0, 5.0, 4.0, 3.5]
    assert without(inputs, 1)["excluded"].tolist() == [3]
    sums = leave_one_out(lambda users: np.array([[u["items"].sum()] for u in users]), inputs, 4)
    assert (sums[0].tolist(), sums[1].tolist()) == ([33], [[8], [6]])


def test_agreement_is_a_correlation_of_ranks_where_there_is_one():
    assert agreement(np.array([1.0, 5.0, 2.0]), np.array([10.0, 12.0, 11.0])) == pytest.approx(1)
    assert agreement(np.array([1.0, 5.0]), np.array([10.0, 12.0])) is None
    assert agreement(np.array([1.0, 5.0, 2.0]), np.zeros(3)) is None
