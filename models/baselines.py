"""Baselines as rankers: popularity, a user's own frequent items, and the same with exponential decay."""

from typing import Literal

import numpy as np
import tensorflow as tf

Name = Literal["popularity", "frequency", "frequency_decay"]


def fit(
    name: str,
    vocabulary_size: int,
    item_indices: np.ndarray,
    session_counts: np.ndarray,
    half_life_days: float | None = None,
) -> tf.Module:
    """The baseline `name`, a Ranker.

    item_indices    (items,) int, of the vocabulary
    session_counts  (items,) int, sessions with the item before the date of the fit; 0: no candidate (scores -inf)
    half_life_days  for `frequency_decay` only: the age at which a session counts half
    """
    raise NotImplementedError
