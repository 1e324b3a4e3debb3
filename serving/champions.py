"""The champion of a task as it answers: its model before the shelf of the published night."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conf.schema import Task
from models.attributions import Inputs
from models.histories import NO_HISTORY, together
from models.scoring import Scorer, best_items, scores_of
from serving.asking import EXPLAINED, Asked, Best, Rules, Whom
from serving.guard import Refused
from serving.histories import model_input
from serving.wire import Scored


@dataclass(frozen=True, eq=False)
class Champion:
    """A version in service that ranks items; see `serving.asking.Answering`."""

    task: Task
    name: str
    version: int
    scorer: Scorer
    index_of: Mapping[str, int]  # item_id -> item_index
    id_of: Mapping[int, str]  # and back
    sizes: tuple[int, ...]  # of batches, rising
    threads: int

    def warm(self) -> None:
        """TensorFlow prepares each shape once."""
        for size in self.sizes:
            self.best([Asked(nobody(self.task.contexts), self.task.k)] * size)

    async def inputs_of(self, whom: Whom, rules: Rules) -> tuple[Inputs, np.ndarray]:
        """The history until now, and where rules say so as `excluded` what the user has bought."""
        zone = rules.zone if self.task.contexts else None
        inputs, places = model_input(whom.history, self.index_of, self.task.event_types, whom.until, zone)
        bought = np.zeros(0, np.int32)
        if rules.exclude_bought:
            purchases, _ = model_input(whom.history, self.index_of, rules.purchase_types, whom.until)
            bought = np.unique(purchases["items"])
        return inputs | {"excluded": bought}, places

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

    def said(self, best: Best) -> dict[str, Any]:
        """The items, the best first."""
        pairs = zip(best.ids, best.scores, strict=True)
        return {"items": [Scored.model_construct(item_id=item_id, score=score) for item_id, score in pairs]}

    def about(self) -> dict[str, Any]:
        """How many items it chooses from."""
        return {"items": int(self._is_shown.sum())}

    def explainable(self, names: Sequence[str], inputs: Inputs) -> dict[str, int]:
        """Items that are shown, by their ids, and their indices."""
        ids, is_shown = self.scorer.ids, self._is_shown
        found = {
            name: self.index_of.get(name, 0) for name in names or self.best([Asked(inputs, EXPLAINED)])[0].ids
        }
        for name, index in found.items():
            if not (0 < index < len(ids) and ids[index] == name and is_shown[index]):
                raise Refused(
                    404, "no_item", f"{self.name} v{self.version} does not recommend the item {name!r}"
                )
        return found

    @property
    def _is_shown(self) -> np.ndarray:
        return (self.scorer.bias > -np.inf) & (self.scorer.ids != "")

    def _named(self, asked: Asked, indices: np.ndarray, scores: np.ndarray) -> Best:
        if np.isnan(scores).any():
            return Best([], [], "the model's scores are not numbers")
        real = scores > -np.inf
        reason = None if len(asked.inputs["items"]) else NO_HISTORY
        return Best(self.scorer.ids[indices[real]].tolist(), scores[real].tolist(), reason)


def nobody(with_contexts: bool = False) -> Inputs:
    """The input of a user without a history."""
    contexts = {"contexts": np.zeros(0, np.int32)} if with_contexts else {}
    return contexts | {
        "items": np.zeros(0, np.int32),
        "sessions": np.zeros(0, np.int32),
        "ages": np.zeros(0, np.float32),
        "excluded": np.zeros(0, np.int32),
    }


def batch_sizes(largest: int) -> tuple[int, ...]:
    """Powers of two up to the largest batch: 1, 2, 4, …"""
    return (*(1 << power for power in range((largest - 1).bit_length())), largest)
