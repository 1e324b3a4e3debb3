"""Exports a model of a task with labels as a SavedModel that needs nothing of ours."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from models.baskets import ItemVectors
from models.export import (
    AGES,
    ITEM_IDS,
    ITEMS,
    PADDING,
    SESSIONS,
    STEPS,
    TARGET,
    UNKNOWN,
    named_variables,
)
from models.integrated_gradients import integrated_gradients

FEATURES = tf.TensorSpec([None, None], tf.float32, "features")
NAIVE = tf.TensorSpec([None, None], tf.float32, "naive")


class Predictor(Protocol):
    """Anything that answers a task's questions: a `tf.Module` with these members."""

    vocabulary_size: int

    def predict(
        self, items: tf.Tensor, sessions: tf.Tensor, features: tf.Tensor, naive: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """(batch, length) int32 x 2, (batch, features), (batch, targets) -> `value`, maybe `low` and `high`."""


@runtime_checkable
class VectorPredictor(Predictor, Protocol):
    """One that looks at vectors of items."""

    vectors: ItemVectors

    def predict(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        presence: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """presence (batch, length) float32: what the vector of each event is multiplied by; none: 1."""


def export_labelled(
    predictor: Predictor, vocabulary: Any, spec: dict[str, Any], directory: str | Path
) -> None:
    """Writes `predictor` as a SavedModel with its signatures to `directory`, new or empty.

    vocabulary  a table with the columns `item_index` and `item_id`;  spec  of the example set

    `by_index`  items int32 (batch, length), sessions, ages, features float32 (batch, features), naive float32
                (batch, targets) -> value float32 (batch, targets), of classes (batch, classes); maybe low and high
    `by_id`     the same with item_ids string, "" as padding
    Of a `VectorPredictor` also
    `explain`   as `by_index`, and target int32 (batch,): a target or class each, steps int32 () -> attributions float32
                (batch, length) of its value, score, baseline float32 (batch,): see `integrated_gradients`
    Features are scaled as the example set's spec says. The attribute `names` of the loaded model has the targets or
    classes, string (names,), `feature_names` the columns of features.
    """
    directory = Path(directory)
    if directory.exists() and any(directory.iterdir()):
        raise FileExistsError(f"{directory} has files in it: expected a new or an empty folder to export to")
    widths = {name: int(column["length"]) for name, column in spec["columns"].items()}
    module = tf.Module()
    module.names = tf.Variable(tf.constant(spec["label"]["names"], tf.string), trainable=False)
    module.feature_names = tf.Variable(tf.constant(spec["label"]["features"], tf.string), trainable=False)
    ids = tf.constant(np.asarray(vocabulary["item_id"]).astype(object), tf.string)
    indices = tf.constant(np.asarray(vocabulary["item_index"]).astype(np.int64))
    pairs = tf.lookup.KeyValueTensorInitializer(ids, indices)
    module.index_of = tf.lookup.StaticHashTable(pairs, default_value=UNKNOWN)

    def answered(
        items: tf.Tensor, sessions: tf.Tensor, features: tf.Tensor, naive: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        features = tf.ensure_shape(features, [None, widths["features"]])
        return predictor.predict(items, sessions, features, tf.ensure_shape(naive, [None, widths["naive"]]))

    @tf.function(autograph=False, input_signature=[ITEMS, SESSIONS, AGES, FEATURES, NAIVE])
    def by_index(
        items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, features: tf.Tensor, naive: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        return answered(items, sessions, features, naive)

    @tf.function(autograph=False, input_signature=[ITEM_IDS, SESSIONS, AGES, FEATURES, NAIVE])
    def by_id(
        item_ids: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, features: tf.Tensor, naive: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        items = tf.where(item_ids == "", PADDING, tf.cast(module.index_of.lookup(item_ids), tf.int32))
        return answered(items, sessions, features, naive)

    module.by_index, module.by_id = by_index, by_id
    if isinstance(predictor, VectorPredictor):
        module.explain = explaining(predictor)
    signatures = {
        name: getattr(module, name).get_concrete_function()
        for name in ("by_index", "by_id", "explain")
        if hasattr(module, name)
    }
    module.weights = [v for signature in signatures.values() for v in signature.graph.variables]
    written = {variable.ref() for variable in module.weights}
    module.named = {n: v for n, v in named_variables(predictor).items() if v.ref() in written}
    tf.saved_model.save(module, str(directory), signatures)


def explaining(predictor: VectorPredictor) -> tf.types.experimental.PolymorphicFunction:
    """The signature `explain`."""

    def of_target(
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        target: tf.Tensor,
        presence: tf.Tensor,
    ) -> tf.Tensor:
        values = predictor.predict(items, sessions, features, naive, presence)["value"]
        return tf.gather(values, target, axis=1, batch_dims=1)  # (batch,)

    @tf.function(autograph=False, input_signature=[ITEMS, SESSIONS, AGES, FEATURES, NAIVE, TARGET, STEPS])
    def explain(
        items: tf.Tensor,
        sessions: tf.Tensor,
        ages: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        target: tf.Tensor,
        steps: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        inputs = (items, sessions, features, naive, target)
        return integrated_gradients(of_target, inputs, steps)._asdict()

    return explain
