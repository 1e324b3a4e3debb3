"""The weights of an exported model as the first ones of a new model.

What is known of an item goes with its id: indices differ from one example set to another.

item   old index  new index  category   begins with
milk   3          5          dairy      its own vector and bias
jam    4          3          breakfast  likewise
curd              4          dairy      the mean of the known vectors of its category, and noise
wine              6                     the mean of all known vectors, and noise

The noise is the vector that a cold start would give the item: normal, of standard deviation width**-0.5, drawn by
`train.seed`. Its bias is that of a cold start, the logarithm of its share, and what known items of the category have
above that in the mean.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import tensorflow as tf

from models.adapters import without_updates
from models.baskets import ItemVectors
from models.compact import whole
from models.export import GATED, named_variables
from models.labelled import LabelledModel
from models.next_item import NextItemModel
from models.warm_start import ANYWAY, FROM_SCRATCH, WarmStartError

VECTORS, BIASES, READ_AS = "head.vectors.table", "head.bias", "head.vectors.reads_as"
CODES, SCALES = "head.vectors.compact.codes", "head.vectors.compact.scales"  # in the place of VECTORS


@dataclass(frozen=True)
class Begun:
    """How the items that a training sees began."""

    known: int  # with what the version knew of them
    by_category: int  # from the mean of their category
    by_all: int  # from the mean of all: without a category, or with one that the version knew no item of


def begin(model: NextItemModel, saved_model: str, words: pa.Table) -> Begun:
    """Gives `model` the weights of an exported one.

    words  the vocabulary of the examples: `item_index`, `item_id`, `category`
    Items that the training never sees stay as they are. Raises `WarmStartError` where the weights do not fit.
    """
    new = {name: variable for name, variable in named_variables(model).items() if variable.trainable}
    return _begin(new, model.vectors, saved_model, words, ANYWAY)


def begin_encoder(model: LabelledModel, saved_model: str, words: pa.Table) -> Begun:
    """`begin` for the encoder and the item vectors of a model that has other heads."""
    named = without_updates(named_variables(model))
    new = {name: named[name] for name in named if name.startswith("encoder.") and named[name].trainable}
    return _begin(new | {VECTORS: model.vectors.table}, model.vectors, saved_model, words, FROM_SCRATCH)


def _begin(
    new: dict[str, tf.Variable], vectors: ItemVectors, saved_model: str, words: pa.Table, anyway: str
) -> Begun:
    """Gives the variables `new`, by their names in the exported model, its values: those of items by their ids."""
    loaded = tf.saved_model.load(saved_model)
    old = {name: variable.numpy() for name, variable in getattr(loaded, "named", {}).items()}
    if CODES in old:  # exported in fewer bits, or with what content adds
        old[VECTORS] = whole(old.pop(CODES), old.pop(SCALES)).numpy()
    for name in GATED:  # of another content the projection is learnt anew
        if name in new and (name not in old or old[name].shape != new[name].shape):
            del new[name]
    _check_weights(old, new, saved_model, anyway)
    tables = [name for name in (VECTORS, BIASES) if name in new]
    for name in new.keys() - {VECTORS, BIASES}:
        new[name].assign(old[name])

    trained = np.flatnonzero(old[READ_AS] == np.arange(len(old[READ_AS])))
    ids = loaded.item_ids.numpy()
    index_of = {ids[index]: index for index in trained if ids[index]}
    index = words["item_index"].to_numpy()  # (items,)
    before = np.array([index_of.get(item_id.encode(), 0) for item_id in words["item_id"].to_pylist()])
    sees = vectors.reads_as.numpy()[index] == index
    known, unknown = sees & (before > 0), sees & (before == 0)
    if not known.any():
        raise WarmStartError(
            f"{saved_model} knows none of the {sees.sum()} items, expected some of the same item_id: give another, {anyway}"
        )
    rows = np.column_stack(
        [new[name].numpy() for name in tables]
    )  # (vocabulary_size, width), and 1 with biases
    learnt = np.column_stack([old[name] for name in tables])[before[known]]  # (known, …)
    above, width = learnt.copy(), old[VECTORS].shape[1]
    above[:, width:] -= rows[index[known], width:]  # of biases, what they have more than a cold start's
    means, is_category = _means(above, words["category"].combine_chunks(), known, unknown)
    rows[index[known]] = learnt
    has_content = np.zeros(len(rows), bool)
    if vectors.content is not None:  # own vectors are what content does not say already
        has_content = vectors.content.has.numpy()
        rows[index[known], :width] -= vectors.content.added_to_all().numpy()[index[known]]
    rows[index[unknown]] += np.where(has_content[index[unknown], None], 0, means)
    new[VECTORS].assign(rows[:, :width])
    if BIASES in new:
        new[BIASES].assign(rows[:, width])
    return Begun(int(known.sum()), int(is_category.sum()), int((~is_category).sum()))


def _means(
    values: np.ndarray, category: pa.Array, known: np.ndarray, unknown: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the known items' values for each unknown one, by its category, else of all; and where by its category.

    (known, width), (items,) string, (items,) bool, (items,) bool -> (unknown, width), (unknown,) bool
    """
    encoded = category.dictionary_encode()
    none = len(encoded.dictionary)
    group = encoded.indices.fill_null(none).to_numpy()  # (items,)
    means = tf.math.unsorted_segment_mean(values, group[known], none + 1).numpy()
    has_known = np.bincount(group[known], minlength=none + 1) > 0
    has_known[none] = False
    is_category = has_known[group[unknown]]
    return np.where(is_category[:, None], means[group[unknown]], values.mean(axis=0)), is_category


def _check_weights(
    old: dict[str, np.ndarray], new: dict[str, tf.Variable], saved_model: str, anyway: str
) -> None:
    if not {VECTORS, BIASES, READ_AS} <= old.keys():
        raise WarmStartError(
            f"{saved_model} has no weights by name, expected {VECTORS} and others: it is of an earlier release; train "
            f"that model anew, {anyway}"
        )
    shapes = {name: tuple(variable.shape) for name, variable in new.items()}
    shapes[VECTORS], shapes[BIASES] = (len(old[VECTORS]), *shapes[VECTORS][1:]), old[BIASES].shape
    unlike = [name for name in shapes if name not in old or old[name].shape != shapes[name]]
    if unlike:
        name = unlike[0]
        found = old[name].shape if name in old else "nothing"
        raise WarmStartError(
            f"{saved_model} has {found} as {name}, expected {shapes[name]}: give its model.name and the "
            f"further keys of model that it was trained with, and its task.positions, {anyway}"
        )
