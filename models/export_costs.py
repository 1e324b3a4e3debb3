"""What exports with item vectors in fewer bits cost, and how good they are."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf

from models.compact import FLOAT32, KINDS
from models.example_set import ExampleSet
from models.export import export
from models.inputs import rows_of_split
from models.next_item import NextItemModel
from models.train import validate

ANSWERS, WARMING = 220, 20  # of each export, and of these the first, which do not count
METRIC = "ndcg@10"


def export_costs(model: NextItemModel, examples: ExampleSet, split: str) -> dict[str, dict[str, Any]]:
    """Of each of `models.compact.KINDS`:

    megabytes     of the exported folder; of_weights: of them those of weights and vocabulary, the rest being graphs
    milliseconds  of the 10 best items of one user by TensorFlow, here: median, first and third quartile. Exports take turns,
                  so that all of them have the same neighbours on the machine
    ndcg@10       on `split`, by the exported model
    """
    found: dict[str, dict[str, Any]] = {}
    exported: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        for kind in KINDS:
            model.vectors.keep_as(kind)
            path = Path(folder, kind)
            export(model, examples.vocabulary, path, k=10)
            exported[kind] = tf.saved_model.load(str(path))
            found[kind] = {"megabytes": megabytes(path), "of_weights": megabytes(path / "variables")}
        model.vectors.keep_as(FLOAT32)
    for kind, loaded in exported.items():
        found[kind][METRIC] = round(validate(scores_of(loaded), examples, split=split)[METRIC], 6)
    for kind, taken in answering_seconds(exported, someone(examples, split)).items():
        milliseconds = np.percentile(taken, (50, 25, 75)) * 1000
        found[kind]["milliseconds"] = [round(float(each), 3) for each in milliseconds]
    return found


def megabytes(folder: Path) -> float:
    return round(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6, 2)


def scores_of(loaded: Any) -> Callable[..., tf.Tensor]:
    """The `score` of a Ranker, by its export."""

    def score(items: tf.Tensor, sessions: tf.Tensor, ages: tf.Tensor) -> tf.Tensor:
        return loaded.signatures["scores"](items=items, sessions=sessions, ages=ages)["scores"]

    return score


def answering_seconds(exported: dict[str, Any], user: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """How long each export took for each of its answers, (ANSWERS - WARMING,)."""
    taken: dict[str, list[float]] = {kind: [] for kind in exported}
    for _ in range(ANSWERS):
        for kind, loaded in exported.items():
            began = time.perf_counter()
            loaded.signatures["by_index"](**user)["indices"].numpy()
            taken[kind].append(time.perf_counter() - began)
    return {kind: np.array(seconds[WARMING:]) for kind, seconds in taken.items()}


def someone(examples: ExampleSet, split: str) -> dict[str, tf.Tensor]:
    """The history of the first user of `split`, as a batch of one."""
    row = next(rows_of_split(examples, split, batch_size=1))
    return {name: row[name] for name in ("items", "sessions", "ages")}
