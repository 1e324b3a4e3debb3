"""The gate: does a challenger take the champion's place?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.metrics import Interval


@dataclass(frozen=True)
class Decision:
    """What the gate decided, and on what."""

    promote: bool
    reason: str  # in words, for the ledger and the report
    metric: str
    users: int  # judged by both
    challenger: float  # mean of the metric
    champion: float | None  # none: there was no champion
    difference: Interval | None  # challenger less champion, paired by user


def paired_bootstrap(
    challenger: np.ndarray, champion: np.ndarray, resamples: int, confidence: float, seed: int
) -> Interval:
    """The mean difference challenger - champion of the same users (users,), and its percentile bootstrap interval."""
    raise NotImplementedError


def decide(
    metric: str,
    challenger: np.ndarray,
    champion: np.ndarray | None,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Decision:
    """Promotes where the whole interval of the paired difference lies above zero, or where there is no champion.

    challenger, champion: the metric of the same users in the same order, float (users,)
    """
    raise NotImplementedError


def best(values: Mapping[str, np.ndarray]) -> str:
    """The name with the highest mean; the first in the alphabet among equals. Picks the first champion."""
    raise NotImplementedError
