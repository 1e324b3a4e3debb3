"""Trains a second stage (models/reranker.py) on the validation rows of an example set, which its first stage has not learnt.

A part of the rows is learnt from, the others choose the epoch: by a hash of each row. What the first stage says of a row is
asked once and kept on disk.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from conf.schema import Rerank
from models.example_set import VALIDATION, ExampleSet
from models.inputs import rows_of_split
from models.metrics import facts, per_user
from models.optimizers import LEGACY
from models.reranker import NUMBERS, Reranker

SAMPLED = 50  # batches by which numbers are scaled
MIXED = np.uint64(0x9E3779B97F4A7C15)


class RerankError(ValueError):
    """A second stage that cannot be trained; the text says what was found and what to do."""


class Epoch(NamedTuple):
    """What an epoch came to."""

    number: int
    loss: float  # before the first one: NaN
    metrics: dict[str, float]  # of the rows that choose
    best: bool


def train(
    model: Reranker,
    examples: ExampleSet,
    settings: Rerank,
    metric: str,
    folder: Path,
    tell: Callable[[Epoch], None],
) -> list[Epoch]:
    """Trains `model` in place until `metric` gets no better on the rows that choose; it has the weights of the best epoch.

    folder  for what the first stage says of the rows
    The first epoch, 0, is the first stage's own order: where nothing is better, that stays.
    """
    optimizer = LEGACY.Adam(settings.learning_rate)
    rows = told(model, examples, settings).cache(str(folder / "told"))
    learnt, numbers, batches = 0, [], 0
    for batch in rows:
        learnt, batches = learnt + int(batch["learns"].numpy().sum()), batches + 1
        if batches <= SAMPLED:
            numbers.append(_numbers(model, batch))
    if not learnt:
        raise RerankError(
            f"{examples.path} has no validation row with a target among the first {model.candidates} items, expected some: "
            "set rerank.candidates higher, or ingest more"
        )
    model.fit_scale(np.concatenate(numbers))

    @tf.function(autograph=False, reduce_retracing=True)
    def step(batch: dict[str, tf.Tensor]) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = model.batch_loss(batch | {"wanted": batch["wanted"] & batch["learns"][:, None]})
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    epochs = [Epoch(0, float("nan"), judged(model, examples, settings), best=True)]
    tell(epochs[0])
    best, waited = [tf.identity(v) for v in model.trainable_variables], 0
    for number in range(1, settings.epochs + 1):
        shuffled = rows.shuffle(batches, seed=settings.seed + number, reshuffle_each_iteration=False)
        losses = [float(step(batch)) for batch in shuffled]
        metrics = judged(model, examples, settings)
        better = metrics[metric] > max(epoch.metrics[metric] for epoch in epochs)
        epochs.append(Epoch(number, float(np.mean(losses)), metrics, better))
        tell(epochs[-1])
        waited = 0 if better else waited + 1
        if better:
            best = [tf.identity(v) for v in model.trainable_variables]
        if waited == settings.patience:
            break
    for variable, value in zip(model.trainable_variables, best, strict=True):
        variable.assign(value)
    return epochs


def told(model: Reranker, examples: ExampleSet, settings: Rerank) -> tf.data.Dataset:
    """Validation rows in batches, with what `Reranker.batch_loss` takes, and `learns` (batch,) bool: who is learnt from."""
    best = tf.function(
        lambda *history: tf.math.top_k(model.first_scores(*history), model.candidates), reduce_retracing=True
    )

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for batch in rows_of_split(examples, VALIDATION, settings.batch_size):
            scores, places = (x.numpy() for x in best(batch["items"], batch["sessions"], batch["ages"]))
            targets = batch["targets"].numpy()
            wanted = (places[:, :, None] == targets[:, None, :]).any(axis=2) & (scores > -np.inf)
            real = batch["weights"].numpy() > 0
            yield {
                **{name: batch[name].numpy() for name in ("items", "sessions", "ages")},
                "places": places,
                "best": scores,
                "wanted": wanted,
                "learns": real & wanted.any(axis=1) & is_learnt(batch["row_ids"].numpy(), settings.share),
            }

    length = examples.lengths(VALIDATION)["items"][1]
    of_events = {
        "items": tf.TensorSpec((settings.batch_size, length), tf.int32),
        "sessions": tf.TensorSpec((settings.batch_size, length), tf.int32),
        "ages": tf.TensorSpec((settings.batch_size, length), tf.float32),
    }
    of_candidates = {
        name: tf.TensorSpec((settings.batch_size, model.candidates), dtype)
        for name, dtype in (("places", tf.int32), ("best", tf.float32), ("wanted", tf.bool))
    }
    signature = of_events | of_candidates | {"learns": tf.TensorSpec((settings.batch_size,), tf.bool)}
    return tf.data.Dataset.from_generator(batches, output_signature=signature)


def is_learnt(row_ids: np.ndarray, share: float) -> np.ndarray:
    """(rows,) int64 -> (rows,) bool: `share` of all rows, whatever their order."""
    mixed = (row_ids.astype(np.uint64) + np.uint64(1)) * MIXED
    mixed ^= mixed >> np.uint64(29)
    return (mixed * MIXED).astype(np.float64) / 2.0**64 < share


def judged(model: Reranker, examples: ExampleSet, settings: Rerank) -> dict[str, float]:
    """Means over the rows that choose, all of the catalogue ranked; with a `share` of 1 over all rows."""
    candidates = examples.counts("validation_sessions") > 0
    score = tf.function(model.score, autograph=False, reduce_retracing=True)
    found: dict[str, list[np.ndarray]] = {}
    for batch in rows_of_split(examples, VALIDATION, settings.batch_size):
        chooses = batch["weights"].numpy() > 0
        if settings.share < 1:
            chooses &= ~is_learnt(batch["row_ids"].numpy(), settings.share)
        if not chooses.any():
            continue
        history = (tf.boolean_mask(batch[name], chooses) for name in ("items", "sessions", "ages"))
        targets = batch["targets"].numpy()[chooses]
        better, ties = facts(score(*history).numpy(), candidates, targets)
        for name, values in per_user(better, ties, np.count_nonzero(targets, axis=1)).items():
            found.setdefault(name, []).append(values)
    if not found:
        raise RerankError(
            f"{examples.path} leaves no validation row to choose an epoch by, expected some: set rerank.share lower"
        )
    return {name: float(np.concatenate(parts).mean()) for name, parts in found.items()}


def _numbers(model: Reranker, batch: dict[str, tf.Tensor]) -> np.ndarray:
    """Those of the candidates of users with a history, (pairs, NUMBERS)."""
    told = model.numbers(*(batch[name] for name in ("items", "sessions", "ages", "places", "best")))
    real = (batch["items"].numpy() > 0).any(axis=1)
    return told.numpy()[real].reshape(-1, NUMBERS)
