"""The champion of a task with labels as it answers: its model, and the numbers that it was given of each user last night.

A history goes on as things happen. What else is known of a user, features and what the baseline knows, is that of the
published night, which Spark made: made here in a second way, it would not be what models were trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from conf.schema import Task
from models.attributions import Inputs
from models.histories import together
from models.label_scoring import NO_INPUTS, NO_NUMBERS, NOT_ASKED, said_by
from serving.asking import EXPLAINED, Asked, Best, Rules, Whom
from serving.champions import nobody
from serving.guard import Refused
from serving.histories import model_input
from serving.publication import Told
from serving.users import Numbers
from serving.wire import Named

NOT_KNOWN = "nothing but events is known of the user: last night had no features"
ONE = [""]
"""The names of a task that asks one question."""


@dataclass(frozen=True, eq=False)
class LabelChampion:
    """A version in service of a task with labels; see `serving.asking.Answering`."""

    task: Task
    name: str
    version: int
    model: Any  # an export of models/export_labelled.py
    names: list[str]  # of its targets or classes
    told: Told
    index_of: Mapping[str, int]  # item_id -> item_index
    id_of: Mapping[int, str]  # and back
    sizes: tuple[int, ...]  # of batches, rising

    @property
    def shown(self) -> list[str]:
        """What it answers, by names that people know: of one question that of the task."""
        return [self.task.name] if self.names == ONE else self.names

    def warm(self) -> None:
        """By a user without events, and numbers of nobody."""
        someone = next((self.told.inputs.find(user) for user in self.told.inputs.some(1)), None)
        if someone is not None:
            numbers = Numbers(*(np.zeros_like(each) for each in someone))
            for size in self.sizes:
                self._said([with_numbers(nobody(), numbers)] * size)

    async def inputs_of(self, whom: Whom, rules: Rules) -> tuple[Inputs, np.ndarray]:
        """The history until now, and the numbers of last night, where it knew the user."""
        inputs, places = model_input(whom.history, self.index_of, self.task.event_types, whom.until)
        numbers = await self.told.inputs.found_or_read(whom.entity) if whom.entity is not None else None
        return with_numbers(inputs, numbers) if numbers else inputs, places

    def best(self, asked: Sequence[Asked]) -> list[Best]:
        found: list[Best] = [Best([], [], reason_of(each.inputs)) for each in asked]
        places = [place for place, each in enumerate(found) if each.reason is None]
        if places:
            said = self._said([asked[place].inputs for place in places])
            for row, place in enumerate(places):
                found[place] = self._named({name: each[row] for name, each in said.items()}, asked[place].k)
        return found

    def said(self, best: Best) -> dict[str, Any]:
        """A value and its interval, or answers, and the night of the features."""
        pairs = zip(best.ids, best.scores, strict=True)
        return {
            "items": [],
            "value": best.value,
            "low": best.low,
            "high": best.high,
            "answers": [Named.model_construct(name=name, value=value) for name, value in pairs],
            "features_ds": self.told.ds,
        }

    def about(self) -> dict[str, Any]:
        """Its targets or classes, and the night of the features."""
        return {"answers": self.shown, "features_ds": self.told.ds}

    def explainable(self, names: Sequence[str], inputs: Inputs) -> dict[str, int]:
        """Targets or classes; where it cannot answer of the user there is nothing to explain."""
        if reason := reason_of(inputs):
            raise Refused(404, "no_answer", f"there is nothing to explain: {reason}")
        for name in names:
            if name not in self.shown:
                raise Refused(404, "no_item", f"{self.name} v{self.version} does not answer for {name!r}")
        chosen = names or self.best([Asked(inputs, EXPLAINED)])[0].ids or self.shown
        return {name: self.shown.index(name) for name in chosen}

    def scores_of(self, users: Sequence[Inputs], indices: np.ndarray) -> np.ndarray:
        """The values of some targets or classes for users: (users, indices) float32."""
        largest = self.sizes[-1]
        parts = (self._said(users[start : start + largest]) for start in range(0, len(users), largest))
        return np.concatenate([part["value"][:, indices] for part in parts])

    def _said(self, users: Sequence[Inputs]) -> dict[str, np.ndarray]:
        """`value` and maybe `low` and `high`: (users, targets or classes) float32 each."""
        batch = together(users, self.sizes)
        for name in Numbers._fields:
            rows = np.stack([user[name] for user in users])
            batch[name] = np.pad(rows, ((0, len(batch["items"]) - len(users)), (0, 0)))
        return {name: each[: len(users)] for name, each in said_by(self.model, batch).items()}

    def _named(self, said: Mapping[str, np.ndarray], k: int) -> Best:
        """One user's answer, as features.predictions.of_answers has it."""
        if not all(np.isfinite(each).all() for each in said.values()):
            return Best([], [], NO_NUMBERS)
        if self.names == ONE:
            return Best([], [], None, **{name: float(each[0]) for name, each in said.items()})
        order = sorted(range(len(self.names)), key=lambda place: (-said["value"][place], self.names[place]))[
            :k
        ]
        return Best([self.names[place] for place in order], said["value"][order].tolist(), None)


def with_numbers(inputs: Inputs, numbers: Numbers) -> Inputs:
    """A user's inputs with what else is known of them."""
    return inputs | numbers._asdict()


def reason_of(inputs: Inputs) -> str | None:
    """Why a model cannot be asked of a user, in the words of the night; None: it can."""
    if not len(inputs["items"]):
        return NOT_ASKED
    if Numbers._fields[0] not in inputs:
        return NOT_KNOWN
    return None if all(np.isfinite(inputs[name]).all() for name in Numbers._fields) else NO_INPUTS
