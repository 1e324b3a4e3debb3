"""Frozen vectors of items, made outside of their text or pictures: a Parquet file with a row an item."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNS = "item_id string and vector list<float>, a row an item"


class ContentError(ValueError):
    """A file of item vectors that cannot be used; the text says what arrived, what was expected and what to do."""


class Content(NamedTuple):
    """What a file says of the items of a vocabulary, and of others. Rows of items that it does not know are zeros."""

    known: np.ndarray  # (vocabulary_size, dimensions) float32
    has: np.ndarray  # (vocabulary_size,) bool: it knows the item
    new_ids: list[str]  # items that are in no vocabulary yet, by their ids
    new: np.ndarray  # (new, dimensions) float32


def read_content(path: str, words: pa.Table, counts: np.ndarray) -> Content:
    """Reads a file of COLUMNS.

    words   the vocabulary: `item_index`, `item_id`
    counts  (vocabulary_size,) int: how often the training saw each item; 0: never

    Vectors are centred, each dimension by its mean over the items that the training saw, and scaled by one number, so that
    theirs have a mean squared length of 1.
    """
    ids, vectors = _read(path)
    place = pc.index_in(words["item_id"].combine_chunks(), ids).to_numpy(zero_copy_only=False)
    found = ~np.isnan(place)
    index, row = words["item_index"].to_numpy()[found], place[found].astype(np.int64)
    has = np.zeros(len(counts), bool)
    has[index] = True
    seen = row[counts[index] > 0]
    if not len(seen):
        raise ContentError(
            f"{path} knows none of the {np.count_nonzero(counts)} items that are trained on, among its {len(ids)}, expected "
            "vectors of items of this shop by the item_id of its events: make it anew"
        )
    vectors = vectors - vectors[seen].mean(axis=0)
    vectors /= max(float(np.sqrt(np.square(vectors[seen]).sum(axis=1).mean())), 1e-12)
    known = np.zeros((len(counts), vectors.shape[1]), np.float32)
    known[index] = vectors[row]
    is_new = np.ones(len(ids), bool)
    is_new[row] = False
    return Content(known, has, ids.filter(pa.array(is_new)).to_pylist(), vectors[is_new])


def _read(path: str) -> tuple[pa.Array, np.ndarray]:
    """Ids, (rows,), and vectors, (rows, dimensions) float32."""
    _check_there(path)
    try:
        table = pq.read_table(path, columns=["item_id", "vector"]).combine_chunks()
        ids = table["item_id"].combine_chunks().cast(pa.string())
        lists = table["vector"].combine_chunks().cast(pa.list_(pa.float32()))
    except (pa.ArrowException, KeyError) as error:
        said = str(error).splitlines()[0]
        raise ContentError(f"{path} cannot be read as Parquet of {COLUMNS}: {said}") from None
    lengths = pc.list_value_length(lists)
    width = pc.max(lengths).as_py()
    if not width or ids.null_count or lengths.null_count or pc.min(lengths).as_py() != width:
        raise ContentError(
            f"{path} has {len(ids)} rows, {ids.null_count} without an item_id, with vectors of {pc.min(lengths).as_py()} to "
            f"{width} numbers and {lengths.null_count} nulls, expected {COLUMNS}, all of a length"
        )
    if pc.count_distinct(ids).as_py() < len(ids):
        raise ContentError(f"{path} has an item_id twice, expected {COLUMNS}")
    numbers = lists.flatten().to_numpy(zero_copy_only=False)
    if not np.isfinite(numbers).all():
        raise ContentError(f"{path} has vectors with values that are no numbers, expected {COLUMNS}")
    return ids, numbers.reshape(len(ids), width)


def dimensions_of(path: str) -> int:
    """Numbers of its first vector, without reading more; 0: there is none."""
    if not Path(path).is_file():
        return 0  # what reads it says so
    first = next(pq.ParquetFile(path).iter_batches(1, columns=["vector"]), None)
    return 0 if first is None or not len(first) else len(first.column(0)[0].as_py() or [])


def digest_of(path: str) -> str:
    """What a training by this file is told apart by from one by another, whatever the files are called."""
    _check_there(path)
    about = Path(path).stat()
    return _digest(path, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=1)
def _digest(path: str, changed: int, size: int) -> str:
    """Read once a state of the file: a training asks for it several times."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _check_there(path: str) -> None:
    if not Path(path).is_file():
        raise ContentError(f"model.content is {path}, and there is no such file, expected Parquet: {COLUMNS}")
