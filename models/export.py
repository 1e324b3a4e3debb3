"""Exports a ranker as a SavedModel that needs nothing of ours."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeGuard

import numpy as np
import pandas as pd
import tensorflow as tf

from models.compact import whole
from models.integrated_gradients import integrated_gradients

PADDING, UNKNOWN, FIRST_ITEM = 0, 1, 3

ITEMS = tf.TensorSpec([None, None], tf.int32, "items")
ITEM_IDS = tf.TensorSpec([None, None], tf.string, "item_ids")
SESSIONS = tf.TensorSpec([None, None], tf.int32, "sessions")
AGES = tf.TensorSpec([None, None], tf.float32, "ages")
CONTEXTS = tf.TensorSpec([None, None], tf.int32, "contexts")
TARGET = tf.TensorSpec([None], tf.int32, "target")
STEPS = tf.TensorSpec([], tf.int32, "steps")

SIGNATURES = ("by_id", "by_index", "scores")
OF_VECTORS = ("queries", "explain")  # further ones of a VectorRanker
GATED = (
    "head.vectors.content.gate",
    "head.vectors.content.project",
)  # weights of content, see models.gated_content


class Ranker(Protocol):
    """Anything that ranks: a `tf.Module` (or a Keras model) with these two members."""

    vocabulary_size: int

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) int32, int32, float32 -> (batch, vocabulary_size) float32.

        Higher is better; -inf is never recommended. One that `takes_contexts`, where it has an attribute of that name that
        is true, has these behind the ages: (batch, length) int32, see conf/contexts.py.
        """


def given_to(ranker: Ranker) -> list[str]:
    """What a ranker is given of events, by name and in its order."""
    return [spec.name for spec in (ITEMS, *_beside(ranker))]


def _beside(ranker: Ranker) -> tuple[tf.TensorSpec, ...]:
    """What it is given beside items."""
    return (SESSIONS, AGES, CONTEXTS) if getattr(ranker, "takes_contexts", False) else (SESSIONS, AGES)


class NewItems(NamedTuple):
    """Items that are in no vocabulary yet, of which a ranker knows all the same: (new,) ids."""

    ids: list[str]
    vectors: np.ndarray  # (new, width) float32, as they are multiplied
    bias: np.ndarray  # (new,) float32


class VectorRanker(Ranker, Protocol):
    """A ranker whose scores are products: `score` is `query @ item_vectors.T + item_bias`.

    Where there are `item_scales`, (vocabulary_size,) float32, the rows of `item_vectors` are of 16 or 8 bits
    (`models.compact`), and to be multiplied with them.

    Items that are not known, by `is_known` (vocabulary_size,) bool, have the vector and the bias of UNKNOWN.
    """

    has_products: bool  # false: it ranks by more, and is exported as any other Ranker
    item_vectors: tf.Variable  # (vocabulary_size, width) float32
    item_scales: tf.Variable | None
    item_bias: tf.Variable  # (vocabulary_size,) float32
    is_known: tf.Tensor
    new_items: NewItems | None

    def query(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        ages: tf.Tensor,
        contexts: tf.Tensor | None = None,
        *,
        presence: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """(batch, length) int32, int32, float32, int32 of one that takes them -> (batch, width) float32.

        presence  (batch, length) float32: what the vector of each event is multiplied by; none: 1
        """

    def read_by_category(self, category_of: np.ndarray, categories: int) -> None:
        """From now on the item -1 - c reads as the mean vector of the category c, and so do its items that are not known.

        Of `new_items` the item -1 - categories - n reads as the n-th.

        category_of  (vocabulary_size,) int: below `categories`; -1: none
        """


def has_products(ranker: Ranker) -> TypeGuard[VectorRanker]:
    """Whether its scores are products of a query and item vectors."""
    return getattr(ranker, "has_products", False)


def export(ranker: Ranker, vocabulary: Any, directory: str | Path, k: int) -> None:
    """Writes `ranker` as a SavedModel with three signatures to `directory`, new or empty.

    vocabulary: a table with the columns `item_index` and `item_id` (pyarrow, pandas or a dict of arrays): the
    items that may be recommended.

    `by_id`     item_ids string (batch, length) with "" as padding, sessions int32, ages float32
                -> ids string (batch, k), scores float32 (batch, k)
    `by_index`  items int32 (batch, length), sessions, ages
                -> indices int32 (batch, k), scores float32 (batch, k)
    `scores`    items, sessions, ages -> scores float32 (batch, vocabulary_size)
    Of a ranker that takes them each has `contexts` int32 (batch, length), too.
    Of a `VectorRanker` also
    `queries`   items, sessions, ages -> queries float32 (batch, width)
    `explain`   items, sessions, ages, target int32 (batch,): an item each, steps int32 () -> attributions float32
                (batch, length) of its score, score, baseline float32 (batch,): see `integrated_gradients`
    and the attributes `item_vectors`, maybe `item_scales`, `item_bias`, `is_known` and `categories`, string
    (categories,): those of the vocabulary's column `category`, if it has one. The item -1 - c is any of the category c.
    Of a ranker with `new_items` further `new_ids`, string (new,), `new_vectors` and `new_bias`: signatures read these
    items, by id or as -1 - categories - n, explain them, and rank none of them.
    An id or an index outside the vocabulary reads as unknown. Among equal scores the lower index comes
    first. With fewer than k candidates the rest is padding: id "", index 0, score -inf. The attribute
    `item_ids` of the loaded model maps index to id, string (vocabulary_size,).

    Only the forward pass is written: of a Keras model neither its optimizer (with Horovod's, the file would
    load nowhere else) nor its Python class. The attribute `named` of the loaded model has the ranker's variables
    by name (see `named_variables`), as far as scores depend on them.
    """
    directory = Path(directory)
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} has files in it: expected a new or an empty folder to export to")
    if k < 1:
        raise ValueError(f"task.k must be >= 1, got {k}")
    indices, ids = _checked(vocabulary, ranker.vocabulary_size)
    categories: list[str] = []
    new: NewItems | None = None
    if has_products(ranker):
        category_of, categories = _categories(vocabulary, indices, ranker.vocabulary_size)
        ranker.read_by_category(category_of, len(categories))
        new = ranker.new_items
    model = _with_signatures(ranker, indices, ids, categories, new, k)
    model.saved = getattr(
        ranker, "saved", []
    )  # exported models that it asks: their variables are kept with it
    signatures = {
        name: getattr(model, name).get_concrete_function()
        for name in (*SIGNATURES, *OF_VECTORS)
        if hasattr(model, name)
    }
    model.weights = [variable for signature in signatures.values() for variable in signature.graph.variables]
    written = {variable.ref() for variable in model.weights}
    model.named = {
        name: each
        for name, each in named_variables(ranker).items()
        if each.ref() in written or name.startswith(GATED)  # which its vectors were made with
    }
    tf.saved_model.save(model, str(directory), signatures)


def named_variables(ranker: tf.Module) -> dict[str, tf.Variable]:
    """The variables of a ranker by their place in it: `head.bias`, `encoder.blocks.0.query.kernel`.

    One that has several places has the name of the first. Keras' own names would not do: they count the layers of
    a process. Places that Keras keeps for itself have none.
    """
    named: dict[Any, tuple[str, tf.Variable]] = {}
    places = ranker._flatten(predicate=lambda value: isinstance(value, tf.Variable), with_path=True)
    for place, variable in places:
        if not any(str(part).startswith("_") for part in place):
            named.setdefault(variable.ref(), (".".join(map(str, place)), variable))
    return dict(named.values())


def _checked(vocabulary: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The vocabulary's indices, int (items,), and ids, str (items,): distinct, indices below `size`."""
    indices = np.asarray(vocabulary["item_index"]).astype(np.int64)
    ids = np.asarray(vocabulary["item_id"]).astype(object)
    if len(indices) != len(ids):
        raise ValueError(
            f"{len(indices)} item_index came with {len(ids)} item_id: expected one of each an item"
        )
    outside = indices[(indices < FIRST_ITEM) | (indices >= size)]
    if len(outside):
        raise ValueError(
            f"item_index {outside[0]} is no item of a model with vocabulary_size={size}: "
            f"expected {FIRST_ITEM} to {size - 1}"
        )
    for name, values in ("item_index", indices), ("item_id", ids):
        if len(set(values)) < len(values):
            raise ValueError(f"{name} has a value twice in the vocabulary: expected one row an item")
    if "" in set(ids):
        raise ValueError('an item_id is "", which stands for padding: give the item another id at ingest')
    return indices, ids


def _categories(vocabulary: Any, indices: np.ndarray, size: int) -> tuple[np.ndarray, list[str]]:
    """The place of each item's category, int (size,), -1 where it has none; and the categories, sorted."""
    category_of = np.full(size, -1, np.int32)
    try:
        column = pd.Series(np.asarray(vocabulary["category"]), dtype=object)
    except KeyError:
        return category_of, []
    category_of[indices], categories = pd.factorize(column, sort=True)
    return category_of, categories.tolist()


def _with_signatures(
    ranker: Ranker,
    indices: np.ndarray,
    ids: np.ndarray,
    categories: list[str],
    new: NewItems | None,
    k: int,
) -> tf.Module:
    """What is saved: the vocabulary (indices, ids: (items,)) and the signatures as functions.

    The functions close over the ranker. As an attribute of the module it would be saved whole: Keras adds a
    trace of every layer, and its optimizer.
    """
    size, score, beside = ranker.vocabulary_size, ranker.score, _beside(ranker)
    id_of = np.full(size, "", object)
    id_of[indices] = ids
    module = tf.Module()
    module.item_ids = tf.Variable(tf.constant(id_of, tf.string), trainable=False)  # (V,)
    module.candidate = tf.Variable(id_of != "", trainable=False)  # (V,)
    special = np.arange(size) < FIRST_ITEM
    reads_as = np.where(special | (id_of != ""), np.arange(size), UNKNOWN)
    module.reads_as = tf.Variable(reads_as.astype(np.int32), trainable=False)  # (V,)
    new_ids = np.array(new.ids if new else [], object)
    further = len(categories) + len(new_ids)  # items below 0 that are read
    codes = -1 - len(categories) - np.arange(len(new_ids))
    pairs = tf.lookup.KeyValueTensorInitializer(
        tf.constant(np.append(ids, new_ids), tf.string), tf.constant(np.append(indices, codes), tf.int64)
    )
    module.index_of = tf.lookup.StaticHashTable(pairs, default_value=UNKNOWN)

    def read(items: tf.Tensor) -> tf.Tensor:
        inside = (items >= PADDING) & (items < size)
        is_further = (items < PADDING) & (items >= -further)
        read = tf.gather(module.reads_as, tf.where(inside, items, UNKNOWN))  # (batch, length)
        return tf.where(is_further, items, read)

    def scored(items: tf.Tensor, *told: tf.Tensor) -> tf.Tensor:
        scores = score(read(items), *told)  # (batch, V)
        return tf.where(module.candidate, tf.ensure_shape(scores, [None, size]), -np.inf)

    def best(items: tf.Tensor, *told: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scores = tf.pad(scored(items, *told), [[0, 0], [0, max(0, k - size)]], constant_values=-np.inf)
        scores, indices = tf.math.top_k(scores, k)  # (batch, k) x 2
        return tf.where(scores > -np.inf, indices, PADDING), scores

    @tf.function(autograph=False, input_signature=[ITEMS, *beside])
    def scores(items: tf.Tensor, *told: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": scored(items, *told)}

    @tf.function(autograph=False, input_signature=[ITEMS, *beside])
    def by_index(items: tf.Tensor, *told: tf.Tensor) -> dict[str, tf.Tensor]:
        indices, scores = best(items, *told)
        return {"indices": indices, "scores": scores}

    @tf.function(autograph=False, input_signature=[ITEM_IDS, *beside])
    def by_id(item_ids: tf.Tensor, *told: tf.Tensor) -> dict[str, tf.Tensor]:
        items = tf.where(item_ids == "", PADDING, tf.cast(module.index_of.lookup(item_ids), tf.int32))
        indices, scores = best(items, *told)
        return {"ids": tf.gather(module.item_ids, indices), "scores": scores}

    module.scores, module.by_index, module.by_id = scores, by_index, by_id
    if has_products(ranker):
        query = ranker.query
        module.item_vectors, module.item_bias = ranker.item_vectors, ranker.item_bias
        if (scales := ranker.item_scales) is not None:
            module.item_scales = scales
        if new is not None:
            module.new_ids = tf.Variable(tf.constant(new.ids, tf.string), trainable=False)
            module.new_vectors = tf.Variable(new.vectors, trainable=False)
            module.new_bias = tf.Variable(new.bias, trainable=False)
        module.is_known = tf.Variable(ranker.is_known, trainable=False)
        module.categories = tf.Variable(
            tf.constant(categories, tf.string, (len(categories),)), trainable=False
        )

        @tf.function(autograph=False, input_signature=[ITEMS, *beside])
        def queries(items: tf.Tensor, *told: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"queries": query(read(items), *told)}

        def of_target(items: tf.Tensor, *given: tf.Tensor) -> tf.Tensor:
            *told, target, presence = given
            place = tf.maximum(target, UNKNOWN)
            place = tf.where(tf.gather(module.is_known, place), place, UNKNOWN)
            vectors, bias = (tf.gather(x, place) for x in (module.item_vectors, module.item_bias))
            vectors = vectors if scales is None else whole(vectors, tf.gather(scales, place))
            if new is not None:
                nth = -1 - len(categories) - target
                is_new = (nth >= 0) & (nth < len(new.ids))
                nth = tf.where(is_new, nth, 0)
                vectors = tf.where(is_new[:, None], tf.gather(module.new_vectors, nth), vectors)
                bias = tf.where(is_new, tf.gather(module.new_bias, nth), bias)
            return tf.reduce_sum(query(items, *told, presence=presence) * vectors, axis=1) + bias  # (batch,)

        @tf.function(autograph=False, input_signature=[ITEMS, *beside, TARGET, STEPS])
        def explain(items: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
            *told, steps = given
            return integrated_gradients(of_target, (read(items), *told), steps)._asdict()

        module.queries, module.explain = queries, explain
    return module
