"""The champion of a task as it answers: its model before the shelf of the published night."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from conf.schema import Task
from models.attributions import Inputs
from models.histories import NO_HISTORY, together
from models.scoring import Scorer, best_items, scores_of


class Asked(NamedTuple):
    """A user's history and how many items are wanted."""

    inputs: Inputs  # with `excluded`, (any,) int32: see `models.scoring.best_items`
    k: int


class Best(NamedTuple):
    """What a champion answers: (k,) ids and scores, the best first; of a task that asks one question a value."""

    ids: list[str]
    scores: list[float]
    reason: str | None
    value: float | None = None
    low: float | None = None  # ends of its interval, of an amount
    high: float | None = None


@dataclass(frozen=True, eq=False)
class Champion:
    """A version in service. Asked in batches of fixed sizes only: TensorFlow prepares each shape once, at `warm`."""

    task: Task
    name: str
    version: int
    scorer: Scorer
    index_of: Mapping[str, int]  # item_id -> item_index
    id_of: Mapping[int, str]  # and back
    sizes: tuple[int, ...]  # of batches, rising
    threads: int

    def warm(self) -> None:
        """Answers once in each size of batch, so that no user waits for what is done once."""
        for size in self.sizes:
            self.best([Asked(nobody(), self.task.k)] * size)

    def best(self, asked: Sequence[Asked]) -> list[Best]:
        """The best items of each user, in their order: what the batcher calls."""
        k = max(each.k for each in asked)
        inputs = together([each.inputs for each in asked], self.sizes)
        indices, scores = best_items(self.scorer, inputs, k, self.threads)  # (size, k) x 2
        return [
            self._named(each, index[: each.k], score[: each.k])
            for each, index, score in zip(asked, indices, scores, strict=False)
        ]

    def scores_of(self, users: Sequence[Inputs], indices: np.ndarray) -> np.ndarray:
        """The scores of some items for users: (users, items) float32; -inf: shown to nobody."""
        largest, parts = self.sizes[-1], []
        for start in range(0, len(users), largest):
            some = users[start : start + largest]
            parts.append(scores_of(self.scorer, together(some, self.sizes), indices)[: len(some)])
        return np.concatenate(parts)

    def _named(self, asked: Asked, indices: np.ndarray, scores: np.ndarray) -> Best:
        if np.isnan(scores).any():
            return Best([], [], "the model's scores are not numbers")
        real = scores > -np.inf
        reason = None if len(asked.inputs["items"]) else NO_HISTORY
        return Best(self.scorer.ids[indices[real]].tolist(), scores[real].tolist(), reason)


def nobody() -> Inputs:
    """The input of a user without a history."""
    return {
        "items": np.zeros(0, np.int32),
        "sessions": np.zeros(0, np.int32),
        "ages": np.zeros(0, np.float32),
        "excluded": np.zeros(0, np.int32),
    }


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to the largest batch: 1, 2, 4, …"""
    return (*(1 << power for power in range((largest - 1).bit_length())), largest)
