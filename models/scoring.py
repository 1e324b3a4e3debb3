"""Bulk scoring: Arrow batches in, Arrow batches out (what `mapInArrow` calls; no Spark in here)."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

# The same as `pa.schema`s below, in the words `mapInArrow` wants.
TOP_K_SCHEMA = "user_id string, ids array<string>, scores array<float>, reason string"
RANK_FACTS_SCHEMA = (
    "user_id string, model string, n_targets int, better array<int>, ties array<int>, reason string"
)


def top_k(
    batches: Iterator[pa.RecordBatch], model_path: str, *, threads: int = 1, max_bytes: int = 256 << 20
) -> Iterator[pa.RecordBatch]:
    """Each user's best items by the exported model in `model_path`, best first.

    in   user_id string, items list<int>, sessions list<int>, ages list<float> (further columns are ignored)
    out  user_id string, ids list<string>, scores list<float>, reason string (TOP_K_SCHEMA)
    A user whose arrays are unusable (null, of different lengths, empty) gets null predictions and a `reason`; `reason` is
    null otherwise. Lists are shorter than k where there are fewer candidates.
    """
    raise NotImplementedError
    yield


def rank_facts(
    batches: Iterator[pa.RecordBatch],
    models: Mapping[str, str],
    candidates: np.ndarray,
    *,
    threads: int = 1,
    max_bytes: int = 256 << 20,
) -> Iterator[pa.RecordBatch]:
    """Where each user's targets stand in the ranking of each model (see `models.metrics.facts`).

    in          as `top_k`, and targets list<int>: distinct item indices
    models      name -> path of an exported model
    candidates  (items,) int: the item indices that are ranked
    out         user_id, model, n_targets int, better list<int>, ties list<int>, reason: one row a user and model
                (RANK_FACTS_SCHEMA); feed `better`, `ties`, `n_targets` to `models.metrics.per_user`
    """
    raise NotImplementedError
    yield
