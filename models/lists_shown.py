"""What kind of lists a ranker shows, beside how right they are: how wide, how new, how alike, how surprising."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
import tensorflow as tf

from models.example_set import ExampleSet
from models.indices import FIRST_ITEM
from models.inputs import rows_of_split
from models.memory import validation_batch
from models.metrics import PADDING, without_seen
from models.metrics.lists import (
    coverage,
    gini,
    intra_list_diversity,
    novelty,
    popularity,
    serendipity,
)

K = 10


def lists_of_split(
    score: Callable[..., tf.Tensor], examples: ExampleSet, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """The lists of a split's rows and its targets, (rows, K) and (rows, any) int: ranked as
    `models.train.validate` ranks.
    """
    candidates = examples.counts("validation_sessions") > 0
    lists, targets = [], []
    for batch in rows_of_split(examples, split, batch_size=validation_batch(examples.vocabulary_size)):
        wanted = batch["targets"].numpy()
        scores = score(batch["items"], batch["sessions"], batch["ages"]).numpy()
        if "seen" in batch:
            scores = without_seen(scores, batch["seen"].numpy(), wanted)
        lists.append(best(scores, candidates))
        targets.append(wanted)
    return np.concatenate(lists), np.concatenate(targets)


def best(scores: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The K best candidates of each row, (rows, V) float and (V,) bool -> (rows, K) int; `PADDING` where there is none.

    Of equal ones those of the lowest index.
    """
    ranked = np.where(candidates[: scores.shape[1]], scores, -np.inf)
    found = tf.math.top_k(ranked, K)
    return np.where(np.isfinite(found.values), found.indices, PADDING)


def kinds_of(lists: np.ndarray, targets: np.ndarray, had: sparse.csr_matrix) -> dict[str, float]:
    """The metrics of models.metrics.lists at K, means over the rows.

    lists    (rows, K) and targets (rows, any), int, padded with `PADDING`
    had      (users, V), not zero where a user had an item when the model learned. By these users items are popular, and
             alike where the same ones had them
    """
    had = had.astype(bool).astype(np.float64)
    users_with = np.asarray(had.sum(axis=0)).ravel()
    candidates = np.arange(had.shape[1]) >= FIRST_ITEM
    right = (lists[:, :, None] == targets[:, None, :]).any(axis=2) & (lists > PADDING)
    of_users = {
        "popularity": popularity(lists, users_with),
        "novelty": novelty(lists, users_with, had.shape[0]),
        "intra_list_diversity": intra_list_diversity(lists, had.T.tocsr()),
        "serendipity": serendipity(lists, right, users_with, candidates),
    }
    found = {"coverage": coverage(lists, candidates), "gini": gini(lists, candidates)}
    found |= {name: float(np.nanmean(values)) for name, values in of_users.items()}
    return {f"{name}@{K}": round(value, 6) for name, value in found.items()}
