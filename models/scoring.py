"""Bulk scoring: Arrow batches in, Arrow batches out (what `mapInArrow` calls; no Spark in here)."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models import metrics

# What comes out, in the words `mapInArrow` wants and as Arrow has it.
TOP_K_SCHEMA = "user_id string, ids array<string>, scores array<float>, reason string"
TOP_K = pa.schema(
    {
        "user_id": pa.string(),
        "ids": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
        "reason": pa.string(),
    }
)
RANK_FACTS_SCHEMA = (
    "user_id string, model string, n_targets int, better array<int>, ties array<int>, repeated array<boolean>, "
    "reason string"
)
RANK_FACTS = pa.schema(
    {
        "user_id": pa.string(),
        "model": pa.string(),
        "n_targets": pa.int32(),
        "better": pa.list_(pa.int32()),
        "ties": pa.list_(pa.int32()),
        "repeated": pa.list_(pa.bool_()),  # whether the user had the target before
        "reason": pa.string(),
    }
)
SEQUENCE = {"items": np.int32, "sessions": np.int32, "ages": np.float32}
SHORTEST = 32  # histories are padded to this length, or the next power of two that holds them
COPIES = 3  # arrays of the scores' size that exist at one time
EVENT_BYTES = 200  # of a model's working memory an event


class Model(NamedTuple):
    """An exported model in this process."""

    by_index: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]  # signatures, see `models.export`
    scores: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]
    ids: np.ndarray  # (vocabulary_size,) str: index -> id


class Rows(NamedTuple):
    """Some users of a batch whose histories have a similar length."""

    places: np.ndarray  # (rows,) their places in the batch
    inputs: dict[str, np.ndarray]  # items, sessions, ages: (rows, length)


def top_k(
    batches: Iterator[pa.RecordBatch], model_path: str, *, threads: int = 1, max_bytes: int = 256 << 20
) -> Iterator[pa.RecordBatch]:
    """Each user's best items by the exported model in `model_path`, best first.

    in   user_id string, items list<int>, sessions list<int>, ages list<float> (further columns are ignored)
    out  user_id string, ids list<string>, scores list<float>, reason string (TOP_K_SCHEMA), in the same order
    A user whose arrays are unusable (null, of different lengths, empty) gets null predictions and a
    `reason`; `reason` is null otherwise. Lists are shorter than k where there are fewer candidates.

    threads    of TensorFlow in this process; what counts is the first call
    max_bytes  bound on the scores that are held at one time
    """
    model = load(model_path, threads)
    for batch in batches:
        reasons = unusable(batch)
        ids: list[np.ndarray | None] = [None] * len(batch)
        scores: list[np.ndarray | None] = [None] * len(batch)
        for rows in chunks(batch, reasons, len(model.ids), max_bytes):
            best = model.by_index(rows.inputs)  # (rows, k) x 2
            for place, index, score in zip(rows.places, best["indices"], best["scores"], strict=True):
                if np.isnan(score).any():
                    reasons[place] = "the model's scores are not numbers"
                else:
                    real = score > -np.inf
                    ids[place], scores[place] = model.ids[index[real]], score[real]
        yield pa.RecordBatch.from_arrays(
            [
                batch.column("user_id").cast(pa.string()),
                pa.array(ids, TOP_K.field("ids").type),
                pa.array(scores, TOP_K.field("scores").type),
                pa.array(reasons, pa.string()),
            ],
            schema=TOP_K,
        )


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
    out         user_id, model, n_targets int, better list<int>, ties list<int>, repeated list<bool>: whether the
                target is in the history, reason (RANK_FACTS_SCHEMA), one row a user and model, for
                `metrics.per_user` and `metrics.by_part`
    """
    is_candidate = np.zeros(np.max(candidates, initial=0) + 1, bool)
    is_candidate[candidates] = True
    for batch in batches:
        for name, path in models.items():
            yield _rank_facts(batch, name, load(path, threads), is_candidate, max_bytes)


def _rank_facts(
    batch: pa.RecordBatch, name: str, model: Model, candidates: np.ndarray, max_bytes: int
) -> pa.RecordBatch:
    """The rows of one model for one batch; candidates: bool by item index."""
    reasons = unusable(batch, targets=True)
    usable = np.array([reason is None for reason in reasons], bool)
    better: list[np.ndarray | None] = [None] * len(batch)
    ties: list[np.ndarray | None] = [None] * len(batch)
    repeated: list[np.ndarray | None] = [None] * len(batch)
    targets, counts = batch.column("targets"), _lengths(batch.column("targets"))
    for rows in chunks(batch, reasons, len(model.ids), max_bytes):
        scores = model.scores(rows.inputs)["scores"]  # (rows, V)
        wanted = _padded(targets.take(pa.array(rows.places)), counts[rows.places].max(), np.int32)
        for place, above, equal in zip(rows.places, *metrics.facts(scores, candidates, wanted), strict=True):
            better[place], ties[place] = above[: counts[place]], equal[: counts[place]]
        for place, row, had in zip(rows.places, wanted, rows.inputs["items"], strict=True):
            repeated[place] = np.isin(row[: counts[place]], had)
    return pa.RecordBatch.from_arrays(
        [
            batch.column("user_id").cast(pa.string()),
            pa.array([name] * len(batch), pa.string()),
            pa.array(counts, pa.int32(), mask=~usable),
            pa.array(better, RANK_FACTS.field("better").type),
            pa.array(ties, RANK_FACTS.field("ties").type),
            pa.array(repeated, RANK_FACTS.field("repeated").type),
            pa.array(reasons, pa.string()),
        ],
        schema=RANK_FACTS,
    )


@lru_cache(maxsize=8)
def load(path: str, threads: int = 1) -> Model:
    """The exported model in `path`, read once a process: a worker scores many partitions with it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # takes seconds: only where a model is really used

    # TensorFlow is running already where a process loads its second model.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.saved_model.load(path)

    def call(signature: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            tensors = {name: tf.constant(values) for name, values in inputs.items()}
            return {name: out.numpy() for name, out in model.signatures[signature](**tensors).items()}

        return run

    ids = np.array([item_id.decode() for item_id in model.item_ids.numpy()], object)
    return Model(call("by_index"), call("scores"), ids)


def unusable(batch: pa.RecordBatch, targets: bool = False) -> list[str | None]:
    """Why a user of the batch cannot be scored, or None: one bad row costs that user only.

    Raises `ValueError` where a column is missing, which costs all.
    """
    columns = [*SEQUENCE, "targets"] if targets else [*SEQUENCE]
    missing = {"user_id", *columns} - set(batch.schema.names)
    if missing:
        raise ValueError(
            f"the batch has no column {', '.join(sorted(missing))}: expected user_id, {', '.join(columns)}"
        )
    lengths = np.stack([_lengths(batch.column(name)) for name in SEQUENCE])  # (3, users)
    reasons = np.full(len(batch), None, object)
    if targets:
        reasons[_lengths(batch.column("targets")) == 0] = "no targets"
    reasons[lengths.min(axis=0) == 0] = "no events"
    reasons[lengths.min(axis=0) < lengths.max(axis=0)] = "items, sessions and ages have different lengths"
    for name in columns:
        values = batch.column(name).flatten()
        broken = pc.is_null(values, nan_is_null=pa.types.is_floating(values.type))
        users = np.repeat(np.arange(len(batch)), _lengths(batch.column(name)))
        reasons[users[broken.to_numpy(zero_copy_only=False)]] = f"{name} has a value that is no number"
        reasons[batch.column(name).is_null().to_numpy(zero_copy_only=False)] = f"{name} is null"
    return reasons.tolist()


def chunks(
    batch: pa.RecordBatch, reasons: Sequence[str | None], vocabulary_size: int, max_bytes: int
) -> Iterator[Rows]:
    """The users without a reason, those of similar length together, few enough at a time for `max_bytes`.

    Histories are padded to powers of two, so that a short one does not pay for a long one.
    """
    lengths = np.maximum(_lengths(batch.column("items")), SHORTEST)
    padded_to = 2 ** np.ceil(np.log2(lengths)).astype(int)  # (users,)
    usable = np.array([reason is None for reason in reasons], bool)
    for length in np.unique(padded_to[usable]):
        places = np.nonzero(usable & (padded_to == length))[0]
        most = max(1, max_bytes // (COPIES * 4 * vocabulary_size + EVENT_BYTES * int(length)))
        for start in range(0, len(places), most):
            chosen = places[start : start + most]
            rows = batch.take(pa.array(chosen))
            yield Rows(
                chosen, {name: _padded(rows.column(name), length, dtype) for name, dtype in SEQUENCE.items()}
            )


def _lengths(lists: pa.ListArray) -> np.ndarray:
    """(rows,) int: the lists' lengths, 0 for a null."""
    return pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)


def _padded(lists: pa.ListArray, length: int, dtype: type) -> np.ndarray:
    """(rows, length): the lists, with zeros on the right."""
    matrix: np.ndarray = np.zeros((len(lists), length), dtype)
    matrix[np.arange(length) < _lengths(lists)[:, None]] = lists.flatten().to_numpy(zero_copy_only=False)
    return matrix
