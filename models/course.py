"""How far a training has come: what it takes, beside the weights, to go on as if it had never been stopped."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from models.shards import Leg


@dataclass(frozen=True)
class Epoch:
    """What came of one epoch; the same on every rank."""

    number: int  # from 1
    loss: float  # mean of a target
    metrics: Mapping[str, float]  # on the validation rows: ndcg@10, …
    rows_expected: int
    rows_seen: int
    seconds: float
    training_seconds: float
    best: bool  # of the epochs so far


@dataclass
class Course:
    """Of an epoch that is under way, what its steps so far added up to, and of those before it what came of them."""

    legs: list[Leg] = field(default_factory=list)  # of it
    step: int = 0  # steps of it that are done
    steps: int = 0  # steps of all epochs that are done: what sampled items and dropout are drawn by
    seen: int = 0  # rows, of all ranks where a checkpoint has it, else of this one
    ids: int = 0  # the sum of their row ids, likewise
    loss: float = 0.0  # the sum over its targets
    weight: float = 0.0  # of these
    seconds: float = 0.0  # that its steps took
    epochs: list[Epoch] = field(default_factory=list)
    resumed: int = 0  # times that it was stopped, and went on
    run: str = ""  # the id of its MLflow run, where it has one

    @property
    def epoch(self) -> int:
        """The number of the one under way, from 1."""
        return len(self.epochs) + 1

    @property
    def best(self) -> Epoch | None:
        """The best epoch so far."""
        return next((epoch for epoch in reversed(self.epochs) if epoch.best), None)

    @property
    def waited(self) -> int:
        """Epochs since the best."""
        return len(self.epochs) - (self.best.number if self.best else 0)

    def end_epoch(self, epoch: Epoch) -> None:
        """The one under way is over, and this is what came of it."""
        self.epochs.append(epoch)
        self.legs, self.step = [], 0
        self.seen, self.ids, self.loss, self.weight, self.seconds = 0, 0, 0.0, 0.0, 0.0

    def as_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> "Course":
        said = json.loads(text)
        said["legs"] = [Leg(*leg) for leg in said["legs"]]
        said["epochs"] = [Epoch(**epoch) for epoch in said["epochs"]]
        return cls(**said)
