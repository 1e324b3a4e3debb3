"""What a model is told of events beside their items: vectors of values, from nothing on, in losses, scores and exports."""

import zlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from conf.contexts import PARTS, hashed
from conf.schema import Model, Task
from models.dropout import Noise
from models.example_set import ExampleSetError, open_example_set
from models.explaining import explained_lists
from models.export import export, given_to
from models.next_item import NextItemModel
from models.scoring import load, top_k
from models.side_inputs import SIZES, SideInputs, half_octaves, side_inputs, told
from tests.models.example_sets import LENGTH, random_example_set
from tests.models.test_next_item import AGES, COUNTS, ITEMS, SMALL, rows

EVERY = ["category", "price", "type", "hour", "weekday", "channel"]
OF_ITEMS = {"category": np.arange(9) % 4, "price": np.arange(9) + 20}
CONTEXTS = [
    1 | 9 << 8 | 1 << 13 | 121 << 16,
    2 | 9 << 8 | 1 << 13,
    1 | 24 << 8 | 7 << 13 | 255 << 16,
    1 | 1 << 8,
    2,
    0,
]
VOCABULARY = {"item_index": np.arange(3, 9), "item_id": [f"p{i}" for i in range(3, 9)]}


def made(names=EVERY, learnt: float = 0.3, **changed) -> NextItemModel:
    side = SideInputs(names, 8, OF_ITEMS) if names else None
    task = Task(event_types=["buy", "view"], length=6, positions=6)
    choice = Model(**(SMALL | {"name": "sasrec"} | changed))
    model = NextItemModel(choice, task, COUNTS, 1, side=side)
    rng = np.random.default_rng(2)
    ours = {id(each) for each in (side.trainable_variables if side else ())}
    for variable in model.trainable_variables:
        if id(variable) not in ours:
            variable.assign_add(rng.normal(0, 0.3, variable.shape))
    for variable in side.trainable_variables if side else ():
        variable.assign_add(rng.normal(0, learnt, variable.shape))
    return model


def contexts(*counts: int) -> tf.Tensor:
    return tf.constant([CONTEXTS[:count] + [0] * (6 - count) for count in counts])


def test_parts_of_a_context_are_read_as_they_were_put_together():
    given = tf.constant([[1 | 24 << 8 | 7 << 13 | 255 << 16, 0]])
    assert {name: told(given, name).numpy().tolist() for name in PARTS} == {
        "type": [[1, 0]],
        "hour": [[24, 0]],
        "weekday": [[7, 0]],
        "channel": [[255, 0]],
    }


def test_an_event_has_the_sum_of_the_vectors_of_what_is_told_of_it():
    side = made().side
    tables = {name: table.numpy() for name, table in side.vectors.items()}
    found = side(tf.constant([[5, 99, -4]]), tf.constant([[CONTEXTS[2], CONTEXTS[3], 0]])).numpy()[0]
    expected = [
        {"category": 1, "price": 25, "type": 1, "hour": 24, "weekday": 7, "channel": 255},
        {
            "category": 0,
            "price": 20,
            "type": 1,
            "hour": 1,
            "weekday": 0,
            "channel": 0,
        },  # an item of no vocabulary reads as index 0
        {"category": 0, "price": 20, "type": 0, "hour": 0, "weekday": 0, "channel": 0},
    ]
    for vector, values in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            vector, sum(tables[name][value] for name, value in values.items()), rtol=1e-5
        )


def test_before_anything_is_learnt_a_model_is_as_without():
    asked = (*rows(6, 3), tf.constant([AGES, AGES]))
    plain, new = made(names=[]), made(learnt=0.0)
    np.testing.assert_allclose(new.score(*asked, contexts(6, 3)), plain.score(*asked), rtol=1e-5)
    assert (given_to(plain), given_to(new)) == (
        ["items", "sessions", "ages"],
        ["items", "sessions", "ages", "contexts"],
    )
    assert given_to(made(names=["category"])) == given_to(plain), "items tell it themselves"


@pytest.mark.parametrize("name", ["gru", "bsarec", "bert4rec", "hstu"])
def test_the_loss_of_a_last_item_is_that_of_predicting_it_from_those_before_and_what_is_told_of_them(name):
    model = made(name=name, targets="last", gaps=True)
    for count in range(3, 7):
        batch = {"contexts": contexts(count), "ages": tf.constant([AGES]), "weights": tf.ones(1)}
        items, sessions = rows(count)
        found = model.batch_loss(batch | {"items": items, "sessions": sessions}, None, None)
        scores = model.score(*rows(count - 1), batch["ages"], contexts(count - 1))[0].numpy()[3:]
        expected = np.log(np.exp(scores).sum()) - scores[ITEMS[count - 1] - 3]
        np.testing.assert_allclose(found, (expected, 1), rtol=1e-4)
        otherwise = model.score(*rows(count - 1), batch["ages"], contexts(0))[0].numpy()[3:]
        assert np.abs(scores - otherwise).max() > 1e-2


def test_every_vector_that_is_told_of_learns():
    model, noise = (
        made(learnt=0.0, dropout=0.2, consistency=0.5),
        Noise(tf.constant([1, 2]), tf.constant([4], tf.int64)),
    )
    with tf.GradientTape() as tape:
        loss = model.loss(*rows(6), tf.ones(1), None, noise, tf.constant([AGES]), contexts(6)).total
    gradients = dict(
        zip(model.side.vectors, tape.gradient(loss, list(model.side.vectors.values())), strict=True)
    )
    for name, gradient in gradients.items():
        assert tf.convert_to_tensor(gradient).shape == (SIZES[name], 8)
        assert np.abs(tf.convert_to_tensor(gradient)).max() > 0, name


def test_an_export_takes_contexts_says_where_there_are_none_and_explains_with_them(tmp_path):
    model = made()
    export(model, VOCABULARY, tmp_path / "model", k=3)
    whole = {
        "user_id": ["ann", "bob"],
        "items": pa.array([ITEMS, [3, 4]], pa.list_(pa.int32())),
        "sessions": pa.array([[1, 1, 2, 3, 5, 7], [1, 2]], pa.list_(pa.int32())),
        "ages": pa.array([AGES, [5.0, 4.0]], pa.list_(pa.float32())),
    }
    given = pa.array([CONTEXTS, CONTEXTS[:2]], pa.list_(pa.int32()))
    path, batch = str(tmp_path / "model"), pa.RecordBatch.from_pydict(whole | {"contexts": given})
    (found,) = top_k(iter([batch]), path, 3)
    expected = model.score(*rows(6), tf.constant([AGES]), contexts(6))[0].numpy()
    best = np.argsort(-expected[3:])[:3] + 3
    assert found.column("ids").to_pylist()[0] == [f"p{each}" for each in best]
    np.testing.assert_allclose(found.column("scores").to_pylist()[0], expected[best], rtol=1e-4)
    with pytest.raises(
        ValueError, match=r"wants contexts beside items, sessions, ages: .* set task\.contexts=true"
    ):
        next(top_k(iter([pa.RecordBatch.from_pydict(whole)]), path, 3))
    of_other_lengths = pa.array([CONTEXTS[:2], CONTEXTS[:2]], pa.list_(pa.int32()))
    broken = pa.RecordBatch.from_pydict(whole | {"contexts": of_other_lengths})
    (found,) = top_k(iter([broken]), path, 3)
    assert [each is None for each in found.column("reason").to_pylist()] == [False, True]

    (explained,) = explained_lists(iter([batch]), path, events=6, steps=64)
    gap = np.array(explained.column("gap").to_pylist())
    assert explained.num_rows == 2 and (gap < 0.05).all()
    assert load(path).scores({"items": np.int32([[3]]), "sessions": np.int32([[1]]), "ages": np.float32([[1]]),
                              "contexts": np.int32([[1]])}).shape == (1, 9)  # fmt: skip


def test_prices_and_categories_have_values_that_do_not_depend_on_the_others():
    assert half_octaves(np.array([1.0, 1.41, 1.42, 2.0, 0.5, 1e-9, 1e12, 0.0, np.nan])).tolist() == [
        *(20, 20, 21, 22, 18, 1, 63, 0, 0)
    ]
    assert hashed(None, 1024) == 0 and hashed("tea", 1024) == 1 + zlib.crc32(b"tea") % 1023


def test_what_examples_do_not_tell_is_refused_and_what_they_tell_is_taken(tmp_path):
    examples = open_example_set(random_example_set(tmp_path / "set", train=[3], validation=[2]))
    assert side_inputs([], 8, examples) is None
    with pytest.raises(
        ExampleSetError, match=r"nothing of category, price, hour, .* with task\.contexts=true"
    ):
        side_inputs(["category", "price", "hour"], 8, examples)
    size = len(examples.vocabulary)
    words = examples.vocabulary.drop_columns(["category", "price"])
    words = words.append_column("category", pa.array(["tea"] + [None] * (size - 1), pa.string()))
    words = words.append_column("price", pa.array([2.0] * size))
    columns = examples.spec["columns"] | {"contexts": {"dtype": "int32", "length": LENGTH}}
    telling = replace(examples, vocabulary=words, spec={**examples.spec, "columns": columns})
    side = side_inputs(["category", "price", "hour"], 8, telling)
    first, *others = words["item_index"].to_pylist()
    categories, prices = (side.of_items[name].numpy() for name in ("category", "price"))
    assert categories[first] == hashed("tea", 1024) and not categories[others].any()
    assert (prices[[first, *others]] == 22).all() and not prices[:3].any()
