"""Objectives of pretraining, each beside the same in NumPy."""

from dataclasses import asdict, replace

import horovod.tensorflow as hvd
import numpy as np
import pytest
import tensorflow as tf

from conf.schema import Model, Objectives, Pretrain, Task
from models.dropout import Noise
from models.indices import MASK
from models.next_item import NextItemModel
from models.objectives.contrast import info_nce
from models.objectives.given import Facts
from models.objectives.views import Views
from models.pretraining import PretrainingModel, passes
from tests.models.example_sets import LENGTH, POSITIONS

COUNTS = np.array([0, 0, 0, 8, 4, 2, 1, 3, 5, 0])  # items 3 to 8
CATEGORY_OF = np.array([-1, -1, -1, 0, 1, 1, -1, 0, 2, -1])
ITEMS = [[3, 4, 5, 5, 6, 3], [6, 3, 8, 7], [4, 5], [3, 4, 8]]
SESSIONS = [[1, 1, 2, 2, 2, 3], [4, 9, 9, 12], [1, 2], [1, 2, 3]]
AGES = [[30.0, 30.0, 9.0, 9.0, 9.0, 8.5], [50.0, 20.0, 20.0, 0.25], [3.0, 2.0], [7.0, 6.0, 1.0]]
TYPES = [[1, 1, 2, 1, 2, 2], [2, 2, 1, 1], [1, 2], [2, 1, 2]]
WEIGHTS = [1.0, 1.0, 1.0, 0.0]  # the last row fills the batch up
SASREC = Model(name="sasrec", width=8, blocks=1, dropout=0.2, loss="softmax")
NOTHING = Objectives(**dict.fromkeys(asdict(Objectives()), 0.0))
SETTINGS = Pretrain(objectives=NOTHING)


@pytest.fixture(autouse=True, scope="module")
def one_rank() -> None:
    hvd.init()


def padded(rows: list, dtype: type) -> tf.Tensor:
    return tf.constant([[*row, *[0] * (LENGTH - len(row))] for row in rows], dtype)


BATCH = {
    "row_ids": tf.constant([11, 12, 13, 14], tf.int64),
    "items": padded(ITEMS, tf.int32),
    "sessions": padded(SESSIONS, tf.int32),
    "ages": padded(AGES, tf.float32),
    "contexts": padded(TYPES, tf.int32),
    "weights": tf.constant(WEIGHTS),
}
NOISE = Noise(tf.constant([7, 3]), BATCH["row_ids"])


def model(described: Model = SASREC, settings: Pretrain = SETTINGS, **weights: float) -> PretrainingModel:
    """With weights as no new one has them."""
    settings = replace(settings, objectives=replace(NOTHING, **weights))
    task = Task(event_types=["view", "purchase"], length=LENGTH, positions=POSITIONS)
    made = PretrainingModel(described, task, COUNTS, Facts(settings, CATEGORY_OF, 2), seed=1)
    rng = np.random.default_rng(5)
    for variable in made.trainable_variables:
        variable.assign(variable + 0.3 * rng.normal(size=variable.shape))
    return made


def baskets_of(row: int) -> list[list[int]]:
    """The places of each session's events."""
    numbers = np.unique(SESSIONS[row], return_inverse=True)[1]
    return [np.flatnonzero(numbers == n).tolist() for n in range(numbers.max() + 1)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = logits.astype(np.float64)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def targets(row: int) -> int:
    return len(ITEMS[row]) - len(baskets_of(row)[0])


def expected(loss_of_row) -> float:
    """Each row's mean loss, times its targets."""
    return sum(targets(row) * loss_of_row(row) for row in range(3))


def told(made: PretrainingModel, noise: Noise | None = None) -> tuple[float, float]:
    loss = made.batch_loss(BATCH, None, noise)
    return float(loss.total), float(loss.weight)


def test_next_item_alone_is_the_loss_of_the_model_that_ranks():
    made = model(next_item=1.0)
    total, weight = told(made, NOISE)
    loss = made.ranker.batch_loss(BATCH, None, NOISE)
    assert weight == float(loss.weight) == sum(map(targets, range(3)))
    assert total == pytest.approx(float(loss.total), rel=1e-6)


def class_of_gap(row: int, position: int) -> int:
    baskets, ages = baskets_of(row), AGES[row]
    hours = 24 * (ages[baskets[position - 1][0]] - ages[baskets[position][0]])
    return int(np.log(max(hours, 1.0)) / np.log(1.5))


@pytest.mark.parametrize(
    ("name", "class_of"),
    [
        ("next_gap", lambda row, position, event: class_of_gap(row, position)),
        ("next_type", lambda row, position, event: TYPES[row][event] - 1),
        ("next_category", lambda row, position, event: CATEGORY_OF[ITEMS[row][event]]),
    ],
)
def test_a_class_of_each_event_is_told_from_the_position_before_it(name, class_of):
    made = model(next_item=0.0, **{name: 0.5})
    (objective,) = made.objectives
    hidden = made.given(BATCH, None, None).hidden.numpy()
    kernel, bias = (variable.numpy() for variable in objective.last.weights)

    def loss_of_row(row: int) -> float:
        losses = []
        for position, events in enumerate(baskets_of(row)):
            said = log_softmax(hidden[row, position - 1] @ kernel + bias)
            classes = [class_of(row, position, event) for event in events if position]
            losses += [-said[each] for each in classes if each >= 0]
        return np.mean(losses)

    total, weight = told(made)
    assert total == pytest.approx(0.5 * expected(loss_of_row), rel=1e-5)
    assert weight == 8


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_masked_baskets_are_told_where_the_encoder_saw_a_mask(name):
    made = model(replace(SASREC, name=name, mask_share=0.4, dropout=0.0), masked_item=2.0)
    ranker, given = made.ranker, made.given(BATCH, None, NOISE)
    masked = ranker.mask(given.events.count, POSITIONS, NOISE, last_only=False).numpy()
    assert masked[:3].any(axis=1).all()
    table, bias = ranker.vectors.table.numpy(), ranker.head.bias.numpy()
    shown = np.where(masked[:, :, None], table[MASK], given.baskets.numpy()).astype(np.float32)
    hidden = given.encode(tf.constant(shown), given.events.count, None).numpy()

    def loss_of_row(row: int) -> float:
        losses = []
        for position, events in enumerate(baskets_of(row)):
            said = log_softmax((hidden[row, position] @ table.T + bias)[3:9])
            losses += [-said[ITEMS[row][event] - 3] for event in events if masked[row, position]]
        return np.mean(losses)

    assert told(made, NOISE)[0] == pytest.approx(2 * expected(loss_of_row), rel=1e-5)


@pytest.mark.parametrize("name", ["sasrec", "bert4rec"])
def test_what_was_replaced_is_told_from_what_the_encoder_saw_in_its_place(name):
    made = model(replace(SASREC, name=name, mask_share=0.6, dropout=0.0), replaced_item=2.0)
    (objective,) = made.objectives
    given = made.given(BATCH, None, NOISE)
    shown, replaced = (each.numpy() for each in objective.replaced(given))
    table, own = made.ranker.vectors.table.numpy(), given.baskets.numpy()
    learnt = np.flatnonzero(made.ranker.vectors.is_learnt)
    assert replaced[:3].any() and not replaced[:3].all()
    for row in range(3):
        for position, events in enumerate(baskets_of(row)):
            if not replaced[row, position]:
                np.testing.assert_array_equal(shown[row, position], own[row, position])
                continue
            (drawn,) = [item for item in learnt if np.array_equal(table[item], shown[row, position])]
            assert drawn not in [ITEMS[row][event] for event in events]
    hidden = given.encode(tf.constant(shown), given.events.count, None).numpy()
    kernel, bias = (variable.numpy() for variable in objective.last.weights)

    def loss_of_row(row: int) -> float:
        places = range(len(baskets_of(row)))
        odds = [float(hidden[row, place] @ kernel[:, 0] + bias[0]) for place in places]
        return np.mean(
            [np.log1p(np.exp(-x if replaced[row, p] else x)) for p, x in zip(places, odds, strict=True)]
        )

    assert told(made, NOISE)[0] == pytest.approx(2 * expected(loss_of_row), rel=1e-5)


def cosines(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_contrast_tells_the_other_view_of_a_row_from_all_views_of_all_other_rows():
    rng = np.random.default_rng(2)
    views, real, temperature = rng.normal(size=(5, 2, 8)), [True, True, True, False, True], 0.3
    views /= np.linalg.norm(views, axis=-1, keepdims=True)
    losses = []
    for row in (1, 2):
        of_views = []
        for view in (0, 1):
            others = [(a, b) for a in range(5) for b in (0, 1) if (a, b) != (row, view) and real[a]]
            scores = np.array([cosines(views[row, view], views[a, b]) / temperature for a, b in others])
            of_views.append(-log_softmax(scores)[others.index((row, 1 - view))])
        losses.append(np.mean(of_views))
    everyone = tf.constant(views, tf.float32)
    found = info_nce(everyone[1:3], everyone, tf.constant(real), tf.constant(1), temperature)
    np.testing.assert_allclose(found, losses, rtol=1e-5)


def test_contrast_looks_at_two_dropouts_of_each_row_that_is_more_than_filling():
    made = model(settings=replace(SETTINGS, temperature=0.5), contrast=1.0)
    (objective,) = made.objectives
    given = made.given(BATCH, None, NOISE)
    pair = []
    for noise in (NOISE, Noise(NOISE.seed, ~NOISE.rows)):
        hidden = given.encode(given.baskets, given.events.count, noise).numpy()
        last = np.stack([hidden[row, len(baskets_of(row)) - 1] for row in range(3)])
        (first, shift), (second, move) = (
            (w.numpy() for w in layer.weights) for layer in (objective.widen, objective.narrow)
        )
        made_of = np.maximum(last @ first + shift, 0) @ second + move
        pair.append(made_of / np.linalg.norm(made_of, axis=1, keepdims=True))
    assert np.abs(pair[0] - pair[1]).max() > 1e-3, "dropout makes them differ"
    views = tf.constant(np.stack(pair, axis=1), tf.float32)
    losses = info_nce(views, views, tf.ones(3, tf.bool), tf.constant(0), 0.5).numpy()
    assert told(made, NOISE)[0] == pytest.approx(expected(lambda row: losses[row]), rel=1e-4)


def test_objectives_add_up_by_their_weights_and_teach_all_of_the_encoder():
    both = model(next_item=1.0, next_gap=0.5)
    first, second = (model(**{name: 1.0}) for name in ("next_item", "next_gap"))
    for part in (first, second):
        for ours, theirs in zip(part.ranker.variables, both.ranker.variables, strict=True):
            ours.assign(theirs)
    for ours, theirs in zip(second.objectives[0].variables, both.objectives[1].variables, strict=True):
        ours.assign(theirs)
    parts = told(first, NOISE)[0] + 0.5 * told(second, NOISE)[0]
    assert told(both, NOISE)[0] == pytest.approx(parts, rel=1e-5)
    with tf.GradientTape() as tape:
        loss = both.batch_loss(BATCH, None, NOISE)
    assert all(gradient is not None for gradient in tape.gradient(loss.total, both.trainable_variables))
    assert passes(replace(SETTINGS, objectives=Objectives(contrast=1.0, masked_item=1.0))) == 4


def test_views_keep_mask_and_reorder_shares_of_the_baskets_that_there_are():
    vectors = NextItemModel(SASREC, Task(length=8, positions=8), COUNTS, 1).vectors
    vectors.table.assign(tf.tensor_scatter_nd_update(vectors.table, [[MASK]], tf.fill((1, 8), -1.0)))
    rows, count = 40, tf.fill((40,), 5)
    numbers = tf.tile(tf.range(8.0)[None, :, None] + 1, (rows, 1, 8))  # a basket says its place, from 1
    noise = Noise(tf.constant([1, 2]), tf.range(rows, dtype=tf.int64))

    def seen(*kinds: str) -> tuple[np.ndarray, np.ndarray]:
        views, counts = Views(kinds, 0.6, vectors)(numbers, count, noise)
        return views.numpy()[:, :, 0], counts.numpy()

    cropped, counts = seen("crop")
    assert set(counts) == {3}
    assert (np.diff(cropped[:, :3], axis=1) == 1).all()
    assert set(cropped[:, 0]) == {1, 2, 3}
    masked, counts = seen("mask")
    assert set(counts) == {5}
    assert ((masked == -1) | (masked == numbers.numpy()[:, :, 0])).all()
    assert 0.25 < (masked[:, :5] == -1).mean() < 0.55
    reordered, counts = seen("reorder")
    assert set(counts) == {5}
    assert (np.sort(reordered, axis=1) == numbers.numpy()[:, :, 0]).all(), "none is lost, none twice"
    assert (reordered[:, 5:] == [6, 7, 8]).all(), "padding stays behind"
    assert {tuple(row) for row in np.sign(np.abs(reordered - numbers.numpy()[:, :, 0]))[:, :5]} >= {
        (1, 1, 0, 0, 0),
        (0, 0, 0, 1, 1),
    }
    mixed, counts = seen("crop", "dropout")
    assert set(counts) == {3, 5}
    assert (mixed[counts == 5] == numbers.numpy()[0, :, 0]).all()
    np.testing.assert_array_equal(seen("crop", "reorder")[0], seen("crop", "reorder")[0])
