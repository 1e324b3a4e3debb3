"""Pretraining: an encoder of baskets, and objectives without labels that are told from what it makes of a user's history.

The encoder and the item vectors are those of a model that ranks (models/next_item.py), which is what is exported: the heads
of the other objectives are left behind.
"""

from dataclasses import asdict, replace

import numpy as np
import tensorflow as tf

from conf.schema import Model, Pretrain, Task
from models.baskets import basket_means, filled, number_positions
from models.dropout import Noise
from models.example_set import ExampleSet, ExampleSetError
from models.heads.negatives import Sample
from models.heads.next_item import Loss
from models.next_item import NextItemModel
from models.objectives import OBJECTIVES
from models.objectives.given import Facts, Given
from models.trainable import Batch

PASSES = {"masked_item": 1, "replaced_item": 1, "contrast": 2}
"""How many times an objective encodes the rows once more."""


class PretrainingModel(tf.Module):
    """The sum of the objectives' losses by their weights.

    counts  (vocabulary_size,) int: sessions with each item that the training sees
    """

    def __init__(self, model: Model, task: Task, counts: np.ndarray, facts: Facts, seed: int):
        super().__init__()
        # Rows are told at all positions, and by no more than vectors: what else ranks is learnt for a task of its own.
        self.ranker = NextItemModel(replace(model, repeat=0, targets="all"), task, counts, seed)
        weights = asked(facts.settings)
        self.objectives = [OBJECTIVES[name](self.ranker, facts) for name in weights]
        self.weights = list(weights.values())
        self.vocabulary_size, self.samples_batch = self.ranker.vocabulary_size, self.ranker.samples_batch

    @property
    def tables(self) -> tuple[tf.Variable, ...]:
        """The weights with a row an item."""
        return self.ranker.tables

    def sample(self, items: tf.Tensor, seed: tf.Tensor) -> Sample | None:
        """The items that a step tells others from; none: all."""
        return self.ranker.sample(items, seed)

    def batch_loss(self, batch: Batch, sample: Sample | None, noise: Noise | None) -> Loss:
        """Of the rows of an example set."""
        given = self.given(batch, sample, noise)
        parts = [
            weight * objective(given) for weight, objective in zip(self.weights, self.objectives, strict=True)
        ]
        return Loss(tf.add_n(parts), tf.reduce_sum(given.targets))

    def given(self, batch: Batch, sample: Sample | None, noise: Noise | None) -> Given:
        """What objectives look at."""
        ranker, items = self.ranker, batch["items"]
        positions = min(ranker.positions, items.shape[1])
        events = number_positions(ranker.vectors.read(items), batch["sessions"], positions)
        vectors = ranker.vectors(events.items)  # (batch, length, width)
        baskets = basket_means(vectors, events.positions, positions)  # (batch, positions, width)
        targets = tf.reduce_sum(tf.cast(events.positions > 0, tf.float32), axis=1) * batch["weights"]

        def encode(baskets: tf.Tensor, count: tf.Tensor, noise: Noise | None) -> tf.Tensor:
            return ranker.encoder(baskets, filled(count, positions), noise=noise)

        hidden = encode(baskets, events.count, noise)
        return Given(batch, events, vectors, baskets, hidden, targets, encode, sample, noise)


def asked(settings: Pretrain) -> dict[str, float]:
    """The objectives that there are, and their weights."""
    return {name: weight for name, weight in asdict(settings.objectives).items() if weight}


def passes(settings: Pretrain) -> int:
    """How many times a step encodes its rows."""
    return 1 + sum(PASSES.get(name, 0) for name in asked(settings))


def facts_of(examples: ExampleSet, settings: Pretrain) -> Facts:
    """What objectives are made of; raises `ExampleSetError` where the examples lack what one of them asks for."""
    wanted, category_of = asked(settings), examples.category_of() - 1
    categories = int(category_of.max()) + 1
    types = examples.spec.get("configuration", {}).get("task", {}).get("event_types", [])
    if "next_type" in wanted and not ("contexts" in examples.spec["columns"] and len(types) > 1):
        raise ExampleSetError(
            f"{examples.path} tells of no types of events, expected two at least: make examples with task.contexts=true and "
            "task.event_types of several, or set pretrain.objectives.next_type=0"
        )
    if "next_category" in wanted and categories < 2:
        raise ExampleSetError(
            f"{examples.path} has items of {categories} categories, expected two at least: set "
            "pretrain.objectives.next_category=0"
        )
    return Facts(settings, category_of, len(types))
