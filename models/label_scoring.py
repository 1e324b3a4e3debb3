"""What exported models of tasks with labels answer: Arrow batches in and out (what `mapInArrow` calls; no Spark in here)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from models.histories import NO_HISTORY, SEQUENCE, chunks, unusable
from models.scoring import opened

INPUTS = ("features", "naive")
NUMBERS = ("value", "low", "high")
ANSWERS_SCHEMA = (
    "user_id string, model string, value array<float>, low array<float>, high array<float>, seconds float, "
    "reason string"
)
ANSWERS = pa.schema(
    {
        "user_id": pa.string(),
        "model": pa.string(),
        **{name: pa.list_(pa.float32()) for name in NUMBERS},
        "seconds": pa.float32(),
        "reason": pa.string(),
    }
)
NOT_ASKED = "no history of what the task looks at"
NO_INPUTS = "the features of the user are not numbers"
NO_NUMBERS = "the model's answers are not numbers"


def answers(
    batches: Iterator[pa.RecordBatch],
    models: Mapping[str, str],
    *,
    threads: int = 1,
    max_bytes: int = 256 << 20,
) -> Iterator[pa.RecordBatch]:
    """What each model answers of each user (models: name -> path of an export of models/export_labelled.py).

    in   user_id string, items list<int>, sessions list<int>, ages list<float>: a history, whose end a model looks at;
         features list<float>, naive list<float>, as the spec of the models' example set has them
    out  ANSWERS_SCHEMA, one row a user and model: value, of an amount low and high too, a number for each target or class;
         seconds that it took of this process. Who cannot be answered has nulls, and a `reason`: that costs nobody else.
    """
    for batch in batches:
        for name, path in models.items():
            yield _answers(batch, name, loaded(path, threads), max_bytes)


@lru_cache(maxsize=8)
def loaded(path: str, threads: int = 1) -> Any:
    """The exported model in `path`, read once a process."""
    return opened(path, threads)


def _answers(batch: pa.RecordBatch, name: str, model: Any, max_bytes: int) -> pa.RecordBatch:
    reasons = [NOT_ASKED if reason == NO_HISTORY else reason for reason in unusable(batch)]
    numbers = {column: batch.column(column).to_pylist() for column in INPUTS}
    for place, reason in enumerate(reasons):
        if reason is None and not all(is_told(values[place]) for values in numbers.values()):
            reasons[place] = NO_INPUTS
    found: dict[str, list[Any]] = {column: [None] * len(batch) for column in (*NUMBERS, "seconds")}
    for rows in chunks(batch, reasons, 0, max_bytes):
        began = time.perf_counter()
        said = said_by(model, rows.inputs | {name: _of(each, rows.places) for name, each in numbers.items()})
        took = (time.perf_counter() - began) / len(rows.places)
        is_number = np.all([np.isfinite(each).all(axis=1) for each in said.values()], axis=0)
        for row, place in enumerate(rows.places):
            if not is_number[row]:
                reasons[place] = NO_NUMBERS
                continue
            found["seconds"][place] = took
            for column, each in said.items():
                found[column][place] = each[row]
    told = {"user_id": batch.column("user_id").cast(pa.string()), "model": [name] * len(batch)}
    return pa.RecordBatch.from_pydict(told | found | {"reason": reasons}, schema=ANSWERS)


def said_by(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What an exported model says of some users, in the night and in real time alike.

    inputs  histories as `models.scoring.best_items` takes them, and features and naive, float32 (users, any) each
    -> `value` and maybe `low` and `high`, (users, targets or classes) float32 each
    """
    import tensorflow as tf

    tensors = {name: tf.constant(inputs[name]) for name in (*SEQUENCE, *INPUTS)}
    return {name: each.numpy() for name, each in model.signatures["by_index"](**tensors).items()}


def _of(values: Sequence[list[float]], places: np.ndarray) -> np.ndarray:
    return np.array([values[place] for place in places], np.float32)


def is_told(values: list[float] | None) -> bool:
    return values is not None and None not in values and bool(np.isfinite(values).all())
