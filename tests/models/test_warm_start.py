"""Warm starts: which version a training begins from, and what each of its weights begins with."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from conf.schema import Model, Task
from models.baselines import fit
from models.example_set import ExampleSet, open_example_set
from models.export import export
from models.next_item import NextItemModel
from models.registry import CHAMPION, Registry, Version, connect
from models.warm_start import NONE, PRETRAINED, WarmStartError, fitting, resolve
from models.warm_weights import Begun, begin
from tests.models.example_sets import LENGTH, POSITIONS, random_example_set

ITEMS, WIDTH = 99, 6
CATEGORIES = ("dairy", "bread", "drinks", None)
GRU = Model(name="gru", width=WIDTH, blocks=1, negatives=8)
SASREC = Model(name="sasrec", width=WIDTH, blocks=2, negatives=8)


def ranker(model: Model, counts: np.ndarray, seed: int, positions: int = POSITIONS) -> NextItemModel:
    task = Task(event_types=["purchase"], length=LENGTH, positions=positions)
    return NextItemModel(model, task, counts, seed)


def vocabulary(items: dict[str, str | None]) -> pa.Table:
    """Item -> category: items in this order, from index 3 on."""
    index = pa.array(range(3, 3 + len(items)), pa.int32())
    columns = {"item_id": pa.array(list(items)), "category": pa.array(list(items.values()), pa.string())}
    return pa.table({"item_index": index} | columns)


def seen(words: pa.Table, *never: str) -> np.ndarray:
    """How often a training saw each index: each item 5 times and more, but for those it never did."""
    ids = words["item_id"].to_pylist()
    return np.array([0, 0, 0, *(0 if item in never else 5 + place for place, item in enumerate(ids))])


def trained(model: NextItemModel) -> NextItemModel:
    """The model with weights as no new one has them, zeros but for the items that it reads as themselves."""
    rng = np.random.default_rng(11)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(5, 1, variable.shape))
    is_trained = (model.vectors.reads_as.numpy() == np.arange(model.vocabulary_size))[:, None]
    is_trained[:3] = False
    model.vectors.table.assign(model.vectors.table * is_trained)
    return model


def exported(model: NextItemModel, words: pa.Table, folder: Path) -> str:
    export(model, words, folder, k=3)
    return str(folder)


def by_id(model: NextItemModel, words: pa.Table) -> dict[str, np.ndarray]:
    """Item -> its vector and, last, its bias."""
    rows = np.column_stack([model.vectors.table.numpy(), model.head.bias.numpy()])
    return dict(zip(words["item_id"].to_pylist(), rows[words["item_index"].to_numpy()], strict=True))


@pytest.mark.parametrize(
    ("model", "share_new", "new"),
    [(GRU, 0.0, 0), (GRU, 0.01, 1), (GRU, 0.2, 25), (SASREC, 0.2, 25)],
    ids=["gru-0%", "gru-1%", "gru-20%", "sasrec-20%"],
)
def test_items_keep_what_was_learnt_by_their_id_and_the_encoder_all_of_it(tmp_path, model, share_new, new):
    ids = [f"item-{n}" for n in range(ITEMS)] + [f"new-{n}" for n in range(new)]
    assert new == round(share_new * len(ids))
    old_words = vocabulary(dict.fromkeys(ids[:ITEMS]))
    words = vocabulary({ids[place]: "dairy" for place in np.random.default_rng(3).permutation(len(ids))})
    old, warm = trained(ranker(model, seen(old_words), seed=1)), ranker(model, seen(words), seed=2)
    begun = begin(warm, exported(old, old_words, tmp_path / "old"), words)
    assert begun == Begun(known=ITEMS, by_category=new, by_all=0)
    learnt, began = by_id(old, old_words), by_id(warm, words)
    assert list(learnt) != [item for item in began if item in learnt], "indices differ"
    for item, row in learnt.items():
        np.testing.assert_array_equal(began[item], row)
    encoders = zip(warm.encoder.variables, old.encoder.variables, strict=True)
    assert all(np.array_equal(one, other) for one, other in encoders)
    assert not warm.vectors.table.numpy()[:3].any(), "padding, unknown and mask"


def test_new_items_begin_at_the_mean_of_their_category_and_apart_from_each_other(tmp_path):
    old_words = vocabulary({"milk": None, "curd": None, "rye": None, "wheat": None, "pen": None, "ink": None})
    categories = {
        "kefir": "dairy",
        "rye": "bread",
        "milk": "dairy",
        "cream": "dairy",
        "curd": "dairy",
        "pen": None,
    }
    words = vocabulary(categories | {"oats": "bread", "glue": None, "beer": "drinks", "ink": "bread"})
    old = trained(ranker(GRU, seen(old_words, "ink"), seed=1))
    cold, warm = (ranker(GRU, seen(words), seed=2) for _ in range(2))
    begun = begin(warm, exported(old, old_words, tmp_path / "old"), words)
    assert begun == Begun(known=4, by_category=4, by_all=2)
    learnt, began, without = by_id(old, old_words), by_id(warm, words), by_id(cold, words)
    bias = np.arange(WIDTH + 1) == WIDTH
    above = {item: learnt[item] - bias * without[item] for item in ("milk", "curd", "rye", "pen")}
    dairy, everything = (above["milk"] + above["curd"]) / 2, sum(above.values()) / 4
    means = {
        "kefir": dairy,
        "cream": dairy,
        "oats": above["rye"],
        "ink": above["rye"],
        "glue": everything,
        "beer": everything,
    }
    for item, mean in means.items():
        np.testing.assert_allclose(began[item], mean + without[item], rtol=1e-5)
    assert np.linalg.norm(began["kefir"][:-1] - began["cream"][:-1]) > 0.1


def test_what_a_training_never_sees_still_reads_as_unknown(tmp_path):
    words = vocabulary({"milk": "dairy", "curd": "dairy", "new": "dairy"})
    old = trained(ranker(GRU, seen(words, "new"), seed=1))
    warm = ranker(GRU, seen(words, "curd", "new"), seed=2)
    assert begin(warm, exported(old, words, tmp_path / "old"), words) == Begun(1, 0, 0)
    assert not by_id(warm, words)["curd"][:-1].any()
    assert not by_id(warm, words)["new"][:-1].any()
    assert warm.vectors.read(tf.constant([3, 4, 5])).numpy().tolist() == [3, 1, 1]


def test_the_same_seed_begins_alike_and_another_one_apart(tmp_path):
    old_words, words = vocabulary({"milk": None}), vocabulary({"milk": "dairy", "curd": "dairy"})
    saved = exported(trained(ranker(GRU, seen(old_words), seed=1)), old_words, tmp_path / "old")

    def curd(seed: int) -> list[float]:
        begin(warm := ranker(GRU, seen(words), seed), saved, words)
        return by_id(warm, words)["curd"].tolist()

    assert curd(2) == curd(2) != curd(3)


def test_a_warm_model_scores_as_the_one_it_begins_from(tmp_path):
    ids = [f"item-{n}" for n in range(ITEMS)]
    old_words = vocabulary(dict.fromkeys(ids))
    words = vocabulary(dict.fromkeys(reversed(ids)))
    old, warm = ranker(SASREC, seen(old_words), seed=1), ranker(SASREC, seen(words), seed=2)
    begin(warm, exported(old, old_words, tmp_path / "old"), words)
    sessions, ages = tf.constant([[1, 1, 2]]), tf.constant([[3.0, 3.0, 1.0]])
    before = old.score(tf.constant([[3, 4, 5]]), sessions, ages).numpy()[0, 3:]
    mirrored = tf.constant([[ITEMS + 2, ITEMS + 1, ITEMS]])
    np.testing.assert_allclose(warm.score(mirrored, sessions, ages).numpy()[0, :2:-1], before, rtol=1e-5)


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (GRU, SASREC, r"has nothing as encoder\..*, expected \("),
        (
            GRU,
            Model(name="gru", width=8, blocks=1),
            r"has \(18, 6\) as .*, expected \(18, 8\)|has \(2, 18\) as",
        ),
        (
            SASREC,
            "fewer positions",
            r"has \(4, 6\) as encoder\.back, expected \(3, 6\): give its model\.name",
        ),
        (
            GRU,
            "other items",
            r"knows none of the 2 items, expected some of the same item_id: give another, or",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(tmp_path, theirs, ours, message):
    words = vocabulary({"milk": None, "curd": None})
    saved = exported(ranker(theirs, seen(words), seed=1), words, tmp_path / "old")
    model = ours if isinstance(ours, Model) else theirs
    warm = ranker(model, seen(words), seed=2, positions=3 if ours == "fewer positions" else POSITIONS)
    before = [variable.numpy() for variable in warm.variables]
    if ours == "other items":
        words = vocabulary({"pen": None, "ink": None})
    with pytest.raises(WarmStartError, match=message):
        begin(warm, saved, words)
    if ours != "other items":
        assert all(np.array_equal(was, now) for was, now in zip(before, warm.variables, strict=True))


def test_a_model_without_weights_by_name_is_of_an_earlier_release(tmp_path):
    words = vocabulary({"milk": None})
    tf.saved_model.save(tf.Module(), str(tmp_path / "old"))
    with pytest.raises(
        WarmStartError, match=r"no weights by name, .*earlier release; train that model anew, or begin"
    ):
        begin(ranker(GRU, seen(words), seed=2), str(tmp_path / "old"), words)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    folder = tmp_path_factory.mktemp("registry")
    return connect(f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"))


@pytest.fixture(scope="module")
def register(registry, tmp_path_factory) -> Callable[..., Version]:
    """Registers a small SavedModel as a version that says of itself what it is told to say."""
    saved = tmp_path_factory.mktemp("saved") / "model"
    export(
        fit("frequency", 5, np.array([3, 4]), np.array([2, 1])),
        {"item_index": [3, 4], "item_id": ["a", "b"]},
        saved,
        k=2,
    )
    said = {"model": "gru", "kind": "encoder", "set_id": "earlier", "warm_start": NONE}
    moments = {"validation_from": "2017-11-01T00:00:00+00:00", "as_of": "2017-12-01T00:00:00+00:00"}
    shape = {"name": "gru", "width": WIDTH, "blocks": 1, "heads": 2}

    def register(task: str, positions: int = POSITIONS, **tags: str) -> Version:
        with registry.run("gru", {"model": shape, "task": {"positions": positions}}) as run:
            return registry.register(run, task, saved, said | moments | tags)

    return register


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> ExampleSet:
    """As of the moments of the versions above."""
    return open_example_set(random_example_set(tmp_path_factory.mktemp("examples") / "set", train=[3]))


def test_the_champion_is_the_version_that_has_the_alias_when_it_is_asked_for(registry, register):
    first, second = register("changing"), register("changing")
    registry.set_alias(first, CHAMPION)
    assert resolve(registry, "changing", "champion", "set", "gru") == ("1", "")
    registry.set_alias(second, CHAMPION)
    assert resolve(registry, "changing", "champion", "set", "gru") == ("2", "")
    assert resolve(registry, "changing", "1", "set", "gru") == ("1", "")
    assert resolve(registry, "changing", NONE, "set", "gru") == (NONE, "")


def test_without_an_encoder_as_champion_it_is_a_cold_start_and_that_is_said(registry, register):
    number, note = resolve(registry, "first", "champion", "set", "gru")
    assert (number, note) == (NONE, "first has no champion yet to begin from: a cold start")
    registry.set_alias(register("first", model="popularity", kind="baseline"), CHAMPION)
    number, note = resolve(registry, "first", "champion", "set", "gru")
    assert number == NONE
    assert (
        note
        == "the champion first v1 (popularity) is a baseline, without weights to begin from: a cold start"
    )


def test_a_champion_of_the_same_examples_stands_for_what_it_began_from(registry, register):
    register("again")
    registry.set_alias(register("again", set_id="set", warm_start="1"), CHAMPION)
    assert resolve(registry, "again", "champion", "set", "gru") == ("1", "")
    assert resolve(registry, "again", "champion", "next set", "gru") == ("2", "")


def test_a_version_that_fits_is_found_by_its_number(registry, register, examples):
    version = register("fits")
    assert fitting(registry, "fits", "1", GRU, examples) == version


def test_a_pretrained_encoder_is_the_newest_of_the_model(registry, register, examples):
    with pytest.raises(WarmStartError, match=r"tuned\.encoder has no version of model=gru: pretrain one"):
        resolve(registry, "tuned", PRETRAINED, "set", "gru")
    register("tuned.encoder")
    newest = register("tuned.encoder")
    register("tuned.encoder", model="sasrec")
    assert resolve(registry, "tuned", PRETRAINED, "set", "gru") == ("tuned.encoder/2", "")
    assert fitting(registry, "tuned", "tuned.encoder/2", GRU, examples) == newest


@pytest.mark.parametrize(
    ("model", "positions", "tags", "message"),
    [
        (
            GRU,
            POSITIONS,
            {"kind": "baseline", "model": "frequency"},
            r"v1 \(frequency\) is no encoder, expected one",
        ),
        (
            SASREC,
            POSITIONS,
            {},
            r"has model\.name=gru, model\.blocks=1, and this training model\.name=sasrec, model\.blocks=2",
        ),
        (
            Model(name="gru", width=64, blocks=1),
            POSITIONS,
            {},
            r"model\.width=6, .* model\.width=64: give model\.width=6, or",
        ),
        (
            GRU,
            9,
            {},
            r"has task\.positions=9, and this training task\.positions=4: give task\.positions=9, or begin without",
        ),
        (
            GRU,
            POSITIONS,
            {"validation_from": "2017-11-02T00:00:00+00:00"},
            r"seen days on which this training is judged",
        ),
        (
            GRU,
            POSITIONS,
            {"as_of": "2017-12-02T00:00:00+00:00"},
            r"give an earlier version, or begin without",
        ),
    ],
)
def test_a_version_that_does_not_fit_is_an_error(
    registry, register, examples, model, positions, tags, message, request
):
    task = f"unfit {request.node.callspec.indices['message']}"
    register(task, positions, **tags)
    with pytest.raises(WarmStartError, match=message):
        fitting(registry, task, "1", model, examples)


def test_a_version_that_is_not_there_is_an_error(registry, register, examples):
    register("few"), register("few")
    with pytest.raises(WarmStartError, match=r"is 7, and few has no such version \(there are: 1, 2\)"):
        fitting(registry, "few", "7", GRU, examples)
