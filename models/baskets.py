"""From events to positions: item vectors, and their mean over each session.

A position is a session, the basket of its items. Everything happens in the graph, from the arrays that every
model takes (`items`, `sessions`: oldest first, right-padded with zeros), so that an exported model needs no
preparation outside.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from models.compact import FLOAT32, Compact
from models.dropout import Noise
from models.gated_content import GatedContent
from models.indices import FIRST_ITEM, PADDING, UNKNOWN

ABSENT = -1  # the position of an event that is padding, or older than the last `positions` sessions


class Events(NamedTuple):
    """The events that an encoder looks at."""

    items: tf.Tensor  # (batch, length) int32, read through `ItemVectors.read`; 0: padding
    positions: tf.Tensor  # (batch, length) int32: 0 is the oldest session kept; ABSENT
    count: tf.Tensor  # (batch,) int32: sessions kept


class ItemVectors(tf.Module):
    """One vector an item, and how an item is read: as itself, or as unknown where the training never saw it.

    counts     (vocabulary_size,) int: how often the training saw each item; 0: never
    deviation  of the first values; none: width**-0.5
    content    of items, which is added to their vectors; an item that the training never saw is read as itself by it
    Padding, unknown, mask and items never seen start as zeros and, having no gradient, stay so.
    """

    def __init__(
        self,
        counts: np.ndarray,
        width: int,
        seed: int,
        deviation: float | None = None,
        content: GatedContent | None = None,
    ):
        super().__init__()
        size, self.content = len(counts), content
        self.is_learnt = (counts > 0) & (np.arange(size) >= FIRST_ITEM)
        reads_as = np.where(
            (counts > 0) | (content is not None and content.has.numpy()), np.arange(size), UNKNOWN
        )
        reads_as[:FIRST_ITEM] = np.arange(FIRST_ITEM)
        start = np.random.default_rng(seed).standard_normal((size, width), np.float32)
        start *= np.where(counts > 0, deviation or width**-0.5, 0).astype(np.float32)[:, None]
        self.reads_as = tf.Variable(reads_as, dtype=tf.int32, trainable=False, name="reads_as")
        self.table = tf.Variable(start, dtype=tf.float32, name="item_vectors")  # (vocabulary_size, width)
        self.compact: Compact | None = None  # what `table` is exported as, where that is not itself
        self.means: tf.Variable | None = None  # (categories, width), once there are

    @property
    def is_known(self) -> tf.Tensor:
        """(vocabulary_size,) bool: which items are read as themselves."""
        return self.reads_as == tf.range(self.reads_as.shape[0])

    def keep_as(self, kind: str) -> None:
        """From now on vectors are those of the table in so many bits, one of `models.compact.KINDS`.

        To be called when training is over.
        """
        self.compact = None
        if kind != FLOAT32 or self.content is not None:
            self.compact = Compact(self.matrix().numpy(), kind)

    def matrix(self) -> tf.Tensor:
        """All vectors: (vocabulary_size, width) float32."""
        if self.compact is not None:
            return self.compact.all()
        if self.content is None:
            return self.table
        return self.content.kept(self.table) + self.content.added_to_all()

    def rows(self, items: tf.Tensor) -> tf.Tensor:
        """Those of some places of the vocabulary: (…) int32 -> (…, width) float32."""
        if self.compact is not None:
            return self.compact.rows(items)
        own = tf.gather(self.table, items)
        if self.content is None:
            return own
        return self.content.kept(own, items) + self.content.added(items)

    def some_by_content(self, noise: Noise | None) -> AbstractContextManager[None]:
        """In here some items are known by their content alone; see `GatedContent.taken_away`."""
        return nullcontext() if self.content is None else self.content.taken_away(noise)

    def read_by_category(self, category_of: np.ndarray, categories: int) -> None:
        """Keeps the mean vector of each category's known items, as what the others of it are read as.

        category_of  (vocabulary_size,) int: below `categories`; -1: none
        Zeros, as the vector of unknown, for a category without a known item. Behind the categories come the items that no
        vocabulary has yet, by their content. To be called when training is over.
        """
        learnt, size = self.is_learnt & (category_of >= 0), len(category_of)
        means = tf.math.unsorted_segment_mean(
            self.matrix().numpy()[learnt], category_of[learnt], categories
        ).numpy()
        if self.content is not None:
            means = np.concatenate([means, self.content.added_to_new()])
        self.means = tf.Variable(means, trainable=False, name="category_means")
        others = ~self.is_known.numpy() & (category_of >= 0)
        self.reads_as.assign(np.where(others, size + category_of, self.reads_as.numpy()))

    def read(self, items: tf.Tensor) -> tf.Tensor:
        """The index that each item is read as, of the same shape.

        Indices outside the vocabulary are unknown, but for -1 - c: the category c, which is read as vocabulary_size + c, and
        behind the categories the new items.
        """
        size = self.reads_as.shape[0]
        inside = (items >= 0) & (items < size)
        read = tf.gather(self.reads_as, tf.where(inside, items, UNKNOWN))
        if self.means is None:
            return read
        is_category = (items < 0) & (items >= -self.means.shape[0])
        return tf.where(is_category, size - 1 - items, read)

    def __call__(self, items: tf.Tensor) -> tf.Tensor:
        """Vectors of items already read: (…) int32 -> (…, width) float32."""
        if self.means is None or not self.means.shape[0]:
            return self.rows(items)
        size = self.table.shape[0]
        is_category = items >= size
        own = self.rows(tf.where(is_category, UNKNOWN, items))
        mean = tf.gather(self.means, tf.where(is_category, items - size, 0))
        return tf.where(is_category[..., None], mean, own)


def last_events(items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor, length: int) -> list[tf.Tensor]:
    """The last `length` events of each row, padding apart: three (batch, any) -> three (batch, length).

    Rows that are no longer stay as they are.
    """
    given = [items, sessions, ages]
    if items.shape[1] and items.shape[1] <= length:
        return given
    items, *_ = given = [tf.pad(x, [[0, 0], [0, 1]]) for x in given]  # a column even where there is none
    count = tf.reduce_sum(tf.cast(items != PADDING, tf.int32), axis=1)  # (batch,)
    index = tf.maximum(count - length, 0)[:, None] + tf.range(length)  # (batch, length)
    inside = index < count[:, None]
    index = tf.where(inside, index, 0)
    return [tf.where(inside, tf.gather(x, index, batch_dims=1), tf.zeros((), x.dtype)) for x in given]


def number_positions(items: tf.Tensor, sessions: tf.Tensor, positions: int) -> Events:
    """Numbers each row's sessions from 0, and keeps the last `positions` of them.

    items      7 8 9 5 0        positions kept: 2
    sessions   3 3 6 8 0   ->   positions  - - 0 1 -   count 2
    """
    present = items != PADDING  # (batch, length)
    starts = present[:, 1:] & (sessions[:, 1:] != sessions[:, :-1])
    number = tf.cumsum(tf.cast(tf.pad(starts, [[0, 0], [1, 0]]), tf.int32), axis=1)  # (batch, length)
    count = tf.reduce_max(tf.where(present, number + 1, 0), axis=1)  # (batch,)
    number -= tf.maximum(count - positions, 0)[:, None]
    kept = present & (number >= 0)
    return Events(
        tf.where(kept, items, PADDING), tf.where(kept, number, ABSENT), tf.minimum(count, positions)
    )


def basket_means(vectors: tf.Tensor, positions_of_events: tf.Tensor, positions: int) -> tf.Tensor:
    """The mean vector of each position's events; zeros where a position has none.

    (batch, length, width) and (batch, length) -> (batch, positions, width)
    """
    batch, width = tf.shape(vectors)[0], vectors.shape[-1]
    places = positions_of_events + tf.range(batch)[:, None] * positions
    segment = tf.where(
        positions_of_events == ABSENT, -1, places
    )  # TensorFlow drops what is of a negative segment
    means = tf.math.unsorted_segment_mean(
        tf.reshape(vectors, [-1, width]), tf.reshape(segment, [-1]), batch * positions
    )
    return tf.reshape(means, [-1, positions, width])


def filled(count: tf.Tensor, positions: int) -> tf.Tensor:
    """Which positions are taken: (batch,) -> (batch, positions) bool."""
    return tf.sequence_mask(count, positions)
