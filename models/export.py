"""Exports a ranker as a SavedModel that needs nothing of ours."""

from pathlib import Path
from typing import Any, Protocol

import tensorflow as tf


class Ranker(Protocol):
    """Anything that ranks: a `tf.Module` (or a Keras model) with these two members."""

    vocabulary_size: int

    def score(self, items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        """(batch, length) int32, int32, float32 -> (batch, vocabulary_size) float32; -inf is never recommended."""


def export(ranker: Ranker, vocabulary: Any, directory: str | Path, k: int) -> None:
    """Writes `ranker` to `directory` (which must not exist or be empty) as a SavedModel with three signatures.

    vocabulary: a table with the columns `item_index` and `item_id` (pyarrow, pandas or a dict of arrays): the items
    that may be recommended.

    `by_id`     item_ids string (batch, length) with "" as padding, sessions int32, ages float32
                -> ids string (batch, k), scores float32 (batch, k)
    `by_index`  items int32 (batch, length), sessions, ages -> indices int32 (batch, k), scores float32 (batch, k)
    `scores`    items, sessions, ages -> scores float32 (batch, vocabulary_size)
    With fewer than k candidates the rest is padding: id "", index 0, score -inf.
    """
    raise NotImplementedError
