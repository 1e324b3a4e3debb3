"""What is asked about, and by which rules: of whom, until when, and who can answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from conf.schema import Task
from features.keyed_ids import Keys
from models.attributions import Inputs
from serving.histories import History

EXPLAINED = 3  # items, where none is named


@dataclass(frozen=True)
class Rules:
    """How histories are made, as the nights make them."""

    keys: Keys  # of ids; none: they are plain
    is_active: Mapping[str, bool]  # event type -> whether it makes sessions
    gap: int  # microseconds; a longer one starts a new session
    zone: str  # of the shop's clock, by which contexts of events are told
    max_events: int  # in a question
    explained: int  # events of the past that an explanation looks at
    exclude_bought: bool
    purchase_types: frozenset[str]
    seconds: float  # until an answer is of no use


@dataclass(frozen=True)
class Whom:
    """The user of a question."""

    history: History
    until: int  # microseconds since 1970: the moment of the question
    is_known: bool
    entity: str | None


class Asked(NamedTuple):
    """A user's inputs and how many items are wanted."""

    inputs: Inputs
    k: int


class Best(NamedTuple):
    """What a champion answers: (k,) ids and scores, the best first; of a task that asks one question a value."""

    ids: list[str]
    scores: list[float]
    reason: str | None
    value: float | None = None
    low: float | None = None  # ends of its interval, of an amount
    high: float | None = None


class Answering(Protocol):
    """The champion of a task, as it answers: asked in batches of fixed sizes only, which `warm` prepares."""

    @property
    def task(self) -> Task: ...

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    @property
    def index_of(self) -> Mapping[str, int]:
        """item_id -> item_index."""

    @property
    def id_of(self) -> Mapping[int, str]:
        """And back."""

    def warm(self) -> None:
        """Answers once in each size of batch, so that no user waits for what is done once."""

    async def inputs_of(self, whom: Whom, rules: Rules) -> tuple[Inputs, np.ndarray]:
        """What it is shown of a user, and the places of these events in the history."""

    def best(self, asked: Sequence[Asked]) -> list[Best]:
        """What it answers to each, in their order: what the batcher calls."""

    def said(self, best: Best) -> dict[str, Any]:
        """An answer, as the fields of `serving.wire.Prediction` that it fills."""

    def about(self) -> dict[str, Any]:
        """What it chooses from, in words and numbers for people."""

    def explainable(self, names: Sequence[str], inputs: Inputs) -> dict[str, int]:
        """What is to be explained, by name, and its place: what is named, else the first of its answer.

        Raises `serving.guard.Refused` where there is no such thing.
        """

    def scores_of(self, users: Sequence[Inputs], indices: np.ndarray) -> np.ndarray:
        """The scores of what has these places for users: (users, indices) float32."""
