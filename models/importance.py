"""What each input is worth to a model of a task with labels: how much worse a metric gets where the input is shuffled.

Permutation importance, after Breiman, 2001, "Random Forests", and Fisher, Rudin and Dominici, 2019, "All Models are Wrong,
but Many are Useful". Inputs that say the same stand in for each other: each alone may then be worth little.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.example_set import ExampleSet
from models.indices import PADDING
from models.judging_labels import Answer, said_of
from models.label_metrics import LEAST_IS_BEST, measured

Batch = dict[str, tf.Tensor]
HISTORY = ("items", "sessions", "ages")
WHOLE = {"history": HISTORY, "ages": ("ages",), "naive": ("naive",)}
"""Inputs that users exchange with each other, as they do features one by one; `order` is that of a user's own items."""


class Importance(NamedTuple):
    """By how much a metric is worse, in its unit, over several ways to shuffle."""

    mean: float
    deviation: float


def importances(
    say: Answer, examples: ExampleSet, split: str, metric: str, repeats: int, seed: int
) -> dict[str, Importance]:
    """Of each input what it is worth to what is said of a split's rows, the most first.

    Users exchange values with those of their batch, whose rows an example set has in an order by lot.
    """
    values, labels, weights = said_of(say, examples, split)
    whole = measured([metric], labels, values, weights)[metric]
    better = -1 if metric in LEAST_IS_BEST else 1
    found = {}
    for name in ("history", "order", "ages", *examples.spec["label"]["features"], "naive"):
        said, *_ = said_of(Shuffled(say, name, examples, repeats, seed), examples, split)
        each = [
            better * (whole - measured([metric], labels, part, weights)[metric])
            for part in np.split(said, repeats, axis=1)
        ]
        found[name] = Importance(float(np.mean(each)), float(np.std(each)))
    return dict(sorted(found.items(), key=lambda pair: -pair[1].mean))


class Shuffled:
    """What is said of batches in which one input is shuffled, `repeats` times, side by side: (batch, repeats * width)."""

    def __init__(self, say: Answer, name: str, examples: ExampleSet, repeats: int, seed: int):
        self.say, self.name, self.repeats = say, name, repeats
        self.features: Sequence[str] = examples.spec["label"]["features"]
        self.rng = np.random.default_rng(seed)

    def __call__(self, batch: Batch) -> tf.Tensor:
        return tf.concat([self.say(batch | self.shuffled(batch)) for _ in range(self.repeats)], axis=1)

    def shuffled(self, batch: Batch) -> Batch:
        """The columns of a batch that change; rows that fill it up stay where they are."""
        if self.name == "order":
            return {"items": tf.constant(reordered(batch["items"].numpy(), self.rng))}
        rows = np.arange(len(batch["items"]))
        real = batch["weights"].numpy() > 0
        rows[real] = self.rng.permutation(rows[real])
        if self.name in WHOLE:
            return {column: tf.gather(batch[column], rows) for column in WHOLE[self.name]}
        features, place = batch["features"].numpy().copy(), self.features.index(self.name)
        features[:, place] = features[rows, place]
        return {"features": tf.constant(features)}


def reordered(items: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each row's items in another order, (batch, length) int32; padding stays behind them."""
    keys = np.where(items != PADDING, rng.random(items.shape), 2.0)
    return np.take_along_axis(items, keys.argsort(axis=1), axis=1)
