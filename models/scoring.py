"""Bulk scoring: Arrow batches in, Arrow batches out (what `mapInArrow` calls; no Spark in here)."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models import metrics
from models.histories import NO_HISTORY, chunks, lengths_of, of_events, padded, unusable
from models.indices import FIRST_ITEM, UNKNOWN
from models.shelf import EMPTY, Shelf
from models.top_k import best_by_scores, best_by_vectors

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
    "first array<int>, seconds float, reason string"
)
RANK_FACTS = pa.schema(
    {
        "user_id": pa.string(),
        "model": pa.string(),
        "n_targets": pa.int32(),
        "better": pa.list_(pa.int32()),
        "ties": pa.list_(pa.int32()),
        "repeated": pa.list_(pa.bool_()),  # whether the user had the target before
        "first": pa.list_(pa.int32()),
        "seconds": pa.float32(),
        "reason": pa.string(),
    }
)
FIRST = 10  # items of a ranking that are kept


class Newer(NamedTuple):
    """Items of a model that are not in its vocabulary, (new,) each; `index_of` has the place of an id."""

    index_of: dict[str, int]
    vectors: np.ndarray  # (new, width) float32
    bias: np.ndarray  # (new,) float32
    codes: np.ndarray  # (new,) int32, below 0: what the model reads as them


class Model(NamedTuple):
    """An exported model in this process. `size` items: its vocabulary_size."""

    scores: Callable[[dict[str, np.ndarray]], np.ndarray]  # histories -> (users, size); see `models.export`
    queries: (
        Callable[[dict[str, np.ndarray]], np.ndarray] | None
    )  # -> (users, width); none: it has no vectors
    vectors: np.ndarray | None  # (size, width) float32: scores are queries @ vectors.T + bias
    bias: np.ndarray  # (size,) float32; -inf: never recommended. Zeros where there are no vectors
    ids: np.ndarray  # (size,) str: index -> id; "": an index of no item
    categories: dict[str, int]  # category -> the index, below 0, that reads as the mean of its items
    explain: Callable[..., dict[str, np.ndarray]] | None = None  # the signature of this name, if it has one
    new: Newer | None = None  # items that came after it and that it knows of


class Scorer(NamedTuple):
    """A model on a day's shelf, made by `on_shelf`: all that answering a user takes. By item_index, for `size` of them."""

    model: Model
    vectors: np.ndarray | None  # (size, width) float32: those of the model, and of new items on the shelf
    bias: np.ndarray  # (size,) float32: added to scores; the model's own, and the shelf's boosts
    ids: np.ndarray  # (size,) str
    reads_as: np.ndarray  # (any,) int32: item_index -> what the model is given for it; further ones: unknown


def best_items(
    scorer: Scorer, inputs: dict[str, np.ndarray], k: int, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The k best items of some users: what bulk scoring (`top_k`) and the service answer with, and the only place of it.

    inputs   items int32, sessions int32, ages float32, of some models contexts int32: (users, length), oldest first,
             zeros on the right; items are item_index, of any age. A row of zeros is a user without a history, who gets what
             is best for everyone. Further `excluded` int32 (users, any), or none: items that a user is not shown; zeros name
             nothing.
    threads  that users are divided among, where there are more than 256
    -> indices int32 (users, k), scores float32 (users, k)

    Exact over all that is on the shelf, boosts and blocks of its rules included. Best first; among equal scores the lower
    index first; where there are fewer than k the rest is index 0, score -inf. `scorer.ids` has the ids of indices.
    A user whose scores are not numbers has NaN for all of them.
    """
    model, excluded = scorer.model, inputs.get("excluded")
    histories = as_read(scorer, inputs)
    if model.queries is not None:
        queries = model.queries(histories)  # (users, width)
        is_number = np.isfinite(queries).all(axis=1)
        queries = np.where(is_number[:, None], queries, 0)
        assert scorer.vectors is not None, "a model with queries has vectors"
        indices, scores = best_by_vectors(queries, scorer.vectors, scorer.bias, k, excluded, threads)
    else:
        every = model.scores(histories)  # (users, size)
        is_number = ~np.isnan(every).any(axis=1)
        indices, scores = best_by_scores(every, scorer.bias, k, excluded, threads)
    scores[~is_number] = np.nan
    return indices, scores


def scores_of(scorer: Scorer, inputs: dict[str, np.ndarray], indices: np.ndarray) -> np.ndarray:
    """The scores by which `best_items` ranks, of some items: (users, items) float32; of what is excluded of a user too.

    inputs as there; indices (items,) int
    """
    model = scorer.model
    histories = as_read(scorer, inputs)
    if model.queries is None:
        return model.scores(histories)[:, indices] + scorer.bias[indices]
    assert scorer.vectors is not None, "a model with queries has vectors"
    return model.queries(histories) @ scorer.vectors[indices].T + scorer.bias[indices]


def on_shelf(model: Model, shelf: Shelf) -> Scorer:
    """The model with a day's shelf before it.

    Items that are newer than the model are read and ranked by what it knows of them (`Model.new`), else they are not ranked,
    and read as the mean of their category.
    """
    size, known = len(model.ids), min(len(model.ids), len(shelf.boosts))
    bias = model.bias.copy()
    bias[:known] += shelf.boosts[:known]
    code_of = np.array(
        [*(model.categories.get(name, UNKNOWN) for name in shelf.categories), UNKNOWN], np.int32
    )
    reads_as = np.arange(max(size, len(shelf.boosts)), dtype=np.int32)
    is_new = np.append(model.ids == "", np.ones(len(reads_as) - size, bool))
    is_new[:FIRST_ITEM] = False
    by_category = np.append(shelf.category_of, np.full(len(reads_as) - len(shelf.category_of), -1, np.int32))
    reads_as[is_new] = code_of[by_category[is_new]]
    scorer = Scorer(model, model.vectors, bias, model.ids, reads_as)
    return scorer if model.new is None or shelf.ids is None else with_new(scorer, model.new, shelf)


def with_new(scorer: Scorer, new: Newer, shelf: Shelf) -> Scorer:
    """With the items of a shelf that the model knows of and that are not in its vocabulary."""
    assert shelf.ids is not None and scorer.vectors is not None
    place_of = np.array([new.index_of.get(item_id, -1) for item_id in shelf.ids], np.int64)  # (n,)
    place_of[: len(scorer.ids)][scorer.ids[: len(place_of)] != ""] = -1
    index = np.flatnonzero(place_of >= 0)
    if not len(index):
        return scorer
    place, size = place_of[index], max(len(scorer.ids), int(index[-1]) + 1)
    vectors = np.zeros((size, scorer.vectors.shape[1]), np.float32)
    bias, ids = np.full(size, -np.inf, np.float32), np.full(size, "", object)
    for whole, part in ((vectors, scorer.vectors), (bias, scorer.bias), (ids, scorer.ids)):
        whole[: len(part)] = part
    vectors[index], ids[index] = new.vectors[place], shelf.ids[index]
    bias[index] = new.bias[place] + shelf.boosts[index]
    reads_as = scorer.reads_as.copy()
    reads_as[index] = new.codes[place]
    return Scorer(scorer.model, vectors, bias, ids, reads_as)


def as_read(scorer: Scorer, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the model is given of histories, (users, length) each."""
    return of_events(inputs) | {"items": read(scorer.reads_as, inputs["items"])}


def read(reads_as: np.ndarray, items: np.ndarray) -> np.ndarray:
    """What a model is given for item indices, of the same shape, int32."""
    inside = (items >= 0) & (items < len(reads_as))
    return np.where(inside, reads_as[np.where(inside, items, UNKNOWN)], np.int32(UNKNOWN))


def top_k(
    batches: Iterator[pa.RecordBatch],
    model_path: str,
    k: int,
    shelf: Shelf = EMPTY,
    *,
    threads: int = 1,
    max_bytes: int = 256 << 20,
) -> Iterator[pa.RecordBatch]:
    """Each user's best items by the exported model in `model_path`, best first: see `best_items`.

    in   user_id string, items list<int>, sessions list<int>, ages list<float>, and excluded list<int> where users are not
         shown some items (further columns are ignored)
    out  user_id string, ids list<string>, scores list<float>, reason string (TOP_K_SCHEMA), in the same order
    A user whose arrays are unusable (null, of different lengths) gets null predictions and a `reason`. One without events
    gets what is best for everyone, and the reason NO_HISTORY. `reason` is null otherwise. Lists are shorter than k where
    there are fewer candidates.

    threads    of TensorFlow in this process; what counts is the first call
    max_bytes  bound on the scores that are held at one time
    """
    scorer = on_shelf(load(model_path, threads), shelf)
    dense = 0 if scorer.model.queries else len(scorer.model.ids)
    for batch in batches:
        reasons = unusable(batch)
        ids: list[np.ndarray | None] = [None] * len(batch)
        scores: list[np.ndarray | None] = [None] * len(batch)
        answered = [None if reason == NO_HISTORY else reason for reason in reasons]
        for rows in chunks(batch, answered, dense, max_bytes):
            best = best_items(scorer, rows.inputs, k, threads)  # (rows, k) x 2
            for place, index, score in zip(rows.places, *best, strict=True):
                if np.isnan(score).any():
                    reasons[place] = "the model's scores are not numbers"
                else:
                    real = score > -np.inf
                    ids[place], scores[place] = scorer.ids[index[real]], score[real]
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
                target is in the history; for `metrics.per_user` and `metrics.by_part`. first list<int>, the first
                candidates of the ranking; seconds float that scoring took of this process; reason
                (RANK_FACTS_SCHEMA), one row a user and model
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
    first: list[np.ndarray | None] = [None] * len(batch)
    seconds: list[float | None] = [None] * len(batch)
    targets, counts = batch.column("targets"), lengths_of(batch.column("targets"))
    ranked = np.full(len(model.ids), -np.inf, np.float32)
    ranked[: len(candidates)][candidates[: len(ranked)]] = 0
    for rows in chunks(batch, reasons, len(model.ids), max_bytes):
        began = time.perf_counter()
        scores = model.scores(of_events(rows.inputs))  # (rows, V)
        took = (time.perf_counter() - began) / len(rows.places)
        indices, _ = best_by_scores(scores, ranked, FIRST)
        for place, shown in zip(rows.places, indices, strict=True):
            first[place], seconds[place] = shown[shown > 0], took
        wanted = padded(targets.take(pa.array(rows.places)), counts[rows.places].max(), np.int32)
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
            pa.array(first, RANK_FACTS.field("first").type),
            pa.array(seconds, pa.float32()),
            pa.array(reasons, pa.string()),
        ],
        schema=RANK_FACTS,
    )


def opened(path: str, threads: int) -> Any:
    """The SavedModel in `path`, in a process that gives TensorFlow so many threads."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf  # takes seconds: only where a model is really used

    # TensorFlow is running already where a process loads its second model.
    with suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf.saved_model.load(path)


def vectors_of(model: Any) -> np.ndarray:
    """The item vectors of an exported model, (size, width) float32, in however many bits they are kept."""
    vectors = model.item_vectors.numpy().astype(np.float32)
    scales = getattr(model, "item_scales", None)
    return vectors if scales is None else vectors * scales.numpy()[:, None]


@lru_cache(maxsize=8)
def load(path: str, threads: int = 1) -> Model:
    """The exported model in `path`, read once a process: a worker scores many partitions with it."""
    model = opened(path, threads)
    import tensorflow as tf

    def caller(signature: str) -> Callable[..., dict[str, np.ndarray]]:
        function = model.signatures[signature]
        taken = function.structured_input_signature[1].keys()

        def run(**inputs: np.ndarray) -> dict[str, np.ndarray]:
            if lacking := sorted(taken - inputs.keys()):
                raise ValueError(
                    f"the model in {path} wants {', '.join(lacking)} beside {', '.join(inputs)}: its model.inputs tell of "
                    "events, set task.contexts=true as when it was trained"
                )
            told = function(**{name: tf.constant(inputs[name]) for name in taken})
            return {name: each.numpy() for name, each in told.items()}

        return run

    def call(signature: str) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
        run = caller(signature)
        return lambda inputs: run(**inputs)[signature]

    ids = np.array([item_id.decode() for item_id in model.item_ids.numpy()], object)
    if "queries" not in model.signatures:
        return Model(call("scores"), None, None, np.zeros(len(ids), np.float32), ids, {})
    vectors, bias = vectors_of(model), model.item_bias.numpy()
    is_unknown = ~model.is_known.numpy()
    vectors[is_unknown], bias[is_unknown] = vectors[UNKNOWN], bias[UNKNOWN]
    bias[ids == ""] = -np.inf
    if not np.isfinite(vectors).all() or np.isnan(bias).any():
        raise ValueError(
            f"the model in {path} is broken: not all of its item vectors are numbers, train it anew"
        )
    categories = {name.decode(): -1 - place for place, name in enumerate(model.categories.numpy())}
    new = None
    if hasattr(model, "new_ids"):
        index_of = {item_id.decode(): place for place, item_id in enumerate(model.new_ids.numpy())}
        codes = -1 - len(categories) - np.arange(len(index_of), dtype=np.int32)
        new = Newer(index_of, model.new_vectors.numpy(), model.new_bias.numpy(), codes)
    can_explain = "explain" in model.signatures  # those of an earlier release cannot
    return Model(
        call("scores"),
        call("queries"),
        vectors,
        bias,
        ids,
        categories,
        caller("explain") if can_explain else None,
        new,
    )
