"""Items beside items: Arrow batches of item indices in, each item's neighbours out."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from models.scoring import load
from models.top_k import best_by_vectors

NEIGHBOURS_SCHEMA = "item_id string, neighbours array<string>, cosine array<float>"
NEIGHBOURS = pa.schema(
    {"item_id": pa.string(), "neighbours": pa.list_(pa.string()), "cosine": pa.list_(pa.float32())}
)


def has_vectors(model_path: str) -> bool:
    """Whether the exported model has item vectors; a baseline has none."""
    return load(model_path).vectors is not None


def size_of(model_path: str) -> int:
    """How many item indices the exported model has."""
    return len(load(model_path).ids)


def neighbours(batches: Iterator[pa.RecordBatch], model_path: str, k: int) -> Iterator[pa.RecordBatch]:
    """The k items whose vectors have the largest cosine with each item's own, itself apart: exact, over all items.

    in   id int: item indices;  out  NEIGHBOURS_SCHEMA, without indices of no item and of items that the model never learnt
    """
    model = load(model_path)
    assert model.vectors is not None, "a model without vectors has no neighbours to find"
    length = np.linalg.norm(model.vectors, axis=1, keepdims=True)  # (size, 1)
    is_learnt = (length[:, 0] > 0) & (model.ids != "")
    unit = model.vectors / np.where(length > 0, length, 1)
    bias = np.where(is_learnt, 0, -np.inf).astype(np.float32)
    for batch in batches:
        index = batch.column("id").to_numpy()
        index = index[is_learnt[index]]
        found, cosine = best_by_vectors(unit[index], unit, bias, k, index[:, None])
        real = cosine > -np.inf
        yield pa.RecordBatch.from_arrays(
            [
                pa.array(model.ids[index], pa.string()),
                pa.array(
                    [model.ids[row[keep]] for row, keep in zip(found, real, strict=True)], NEIGHBOURS.types[1]
                ),
                pa.array([row[keep] for row, keep in zip(cosine, real, strict=True)], NEIGHBOURS.types[2]),
            ],
            schema=NEIGHBOURS,
        )
