"""What a model is told of an event beside its item: a vector for each value, added to the item's where it is an input.

category, price               of the item, as its vocabulary has them: the category hashed, of the price its half octave
type, hour, weekday, channel  of the event, out of its context (conf/contexts.py)

Value 0 is that nothing is told. Categories and channels are hashed, so that a value means the same in every example set.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from conf.contexts import PARTS, hashed
from models.example_set import ExampleSet, ExampleSetError

OF_ITEMS = {"category": 1024, "price": 64}
"""How many values what is told of an item has."""
SIZES = OF_ITEMS | {name: part.values for name, part in PARTS.items()}
CHEAPEST = 20  # half octaves from the first one to a price of 1


class SideInputs(tf.Module):
    """The vectors; they begin at zero, as if nothing of it mattered.

    names     what is told, of SIZES
    of_items  of what is told of items the value of each, (vocabulary_size,) int32
    """

    def __init__(self, names: Sequence[str], width: int, of_items: Mapping[str, np.ndarray]):
        super().__init__()
        self.of_items = {
            name: tf.Variable(of_items[name], dtype=tf.int32, trainable=False, name=f"{name}_of_items")
            for name in names
            if name in OF_ITEMS
        }
        self.vectors = {
            name: tf.Variable(tf.zeros((SIZES[name], width)), name=f"{name}_vectors") for name in names
        }

    @property
    def take_contexts(self) -> bool:
        return any(name in PARTS for name in self.vectors)

    def __call__(self, items: tf.Tensor, contexts: tf.Tensor | None) -> tf.Tensor:
        """(batch, length) int32, as they are given, x 2 -> (batch, length, width): the sum of what is told."""
        added = []
        for name, vectors in self.vectors.items():
            if name in self.of_items:
                values = self.of_items[name]
                inside = (items >= 0) & (items < values.shape[0])
                value = tf.gather(values, tf.where(inside, items, 0))
            else:
                assert contexts is not None, "of this model the contexts are given"
                value = told(contexts, name)
            added.append(tf.gather(vectors, value))
        return tf.add_n(added)


def told(contexts: tf.Tensor, name: str) -> tf.Tensor:
    """One part of contexts, int32 of any shape."""
    part = PARTS[name]
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(contexts, part.first), part.values - 1)


def side_inputs(names: Sequence[str], width: int, examples: ExampleSet) -> SideInputs | None:
    """What `model.inputs` names, of these examples; raises `ExampleSetError` where they do not tell it."""
    if not names:
        return None
    words = examples.vocabulary
    lacking = [name for name in names if name in OF_ITEMS and words[name].null_count == len(words)]
    if "contexts" not in examples.spec["columns"]:
        lacking += [name for name in names if name in PARTS]
    if lacking:
        raise ExampleSetError(
            f"{examples.path} tells nothing of {', '.join(lacking)}, expected what model.inputs names: make examples with "
            f"task.contexts=true (and a catalogue with categories), or leave it out of model.inputs={list(names)}"
        )
    values = {
        "category": [hashed(each, OF_ITEMS["category"]) for each in words["category"].to_pylist()],
        "price": half_octaves(words["price"].to_numpy()),
    }
    index, of_items = words["item_index"].to_numpy(), {}
    for name, each in values.items():
        of_items[name] = np.zeros(examples.vocabulary_size, np.int32)
        of_items[name][index] = each
    return SideInputs(names, width, of_items)


def half_octaves(prices: np.ndarray) -> np.ndarray:
    """The value of each price, int32 from 1; 0: none is known. Prices that differ by the square root of 2 are one apart."""
    known = prices > 0  # false of NaN
    steps = np.floor(2 * np.log2(np.where(known, prices, 1.0))) + CHEAPEST
    return np.where(known, np.clip(steps, 1, OF_ITEMS["price"] - 1), 0).astype(np.int32)
