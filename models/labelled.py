"""The model of tasks with labels: an encoder of baskets, a tower of features, what baselines know, and a head each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from conf.schema import Label, Model, Task
from models.answers import Answers
from models.baskets import ItemVectors, basket_means, filled, last_events, number_positions
from models.dropout import Noise
from models.encoders import encoded_at, make_encoder
from models.heads.next_item import Loss
from models.question import Baseline, Question
from models.sharing import Uncertainty, make_sharing
from models.tower import FeatureTower

CROSSES = 2


class Asked(NamedTuple):
    """A task's question: its label, and how many targets or classes it has."""

    label: Label
    names: int

    @property
    def targets(self) -> int:
        """How many columns its answers have."""
        return 1 if self.label.head == "classes" else self.names


class Beside(NamedTuple):
    """Further baselines of each question, and what of the training rows they look at, (rows, features) float32."""

    baselines: Sequence[Sequence[Baseline]]
    features: np.ndarray | None


NOTHING_BESIDE = Beside((), None)


class LabelledModel(tf.Module):
    """Predicts the answers to tasks' questions from a user's last sessions and features, and what the baselines know.

    An output is linear in the latter, as a baseline is, plus what the rest says (Cheng et al., 2016, "Wide & Deep
    Learning for Recommender Systems"). The linear part begins where a regression puts it, the rest at nothing. Of one
    question the rest looks at what the baseline knows, too; of several it does not, so that each can be answered alone.

    counts    (vocabulary_size,) int: sessions with each item that the training sees; 0: reads as unknown
    answers   of the training rows, one question's targets behind the other's
    asked     the questions
    features  how many numbers a user has
    beside    further baselines of each question, and the features of the training rows that these are fitted to; none: none
    room      sessions that the encoder has room for; none: as many as `task.positions`
    """

    samples_batch = False

    def __init__(
        self,
        model: Model,
        task: Task,
        counts: np.ndarray,
        answers: Answers,
        asked: Sequence[Asked],
        features: int,
        seed: int,
        room: int | None = None,
        beside: Beside = NOTHING_BESIDE,
    ):
        super().__init__()
        assert task.label is not None
        if model.name == "hstu":
            raise ValueError(
                "model=hstu wants the ages of sessions, which tasks with labels do not give: take another"
            )
        shared: Label = task.label
        tf.keras.utils.set_random_seed(seed)
        self.vocabulary_size = len(counts)
        self._kept: frozenset[Any] = frozenset()
        room = room or task.positions
        self.length, self.positions = task.length, min(task.positions, room)
        self.vectors = ItemVectors(counts, model.width, seed)
        self.encoder = make_encoder(model, room)
        self.tower = FeatureTower(model.width, CROSSES, model.dropout)
        ends = np.cumsum([each.targets for each in asked])
        columns = [slice(end - each.targets, end) for each, end in zip(asked, ends, strict=True)]
        baselines = beside.baselines or [[] for _ in asked]
        self.questions = [
            Question(
                each.label,
                Answers(*(values[:, column] for values in answers)),
                each.names,
                further,
                beside.features,
            )
            for each, column, further in zip(asked, columns, baselines, strict=True)
        ]
        self.is_one = len(self.questions) == 1
        start = np.concatenate([question.head.start for question in self.questions])
        before = np.cumsum([0, *(question.targets for question in self.questions)])
        of_outputs = [first + each.asked for first, each in zip(before, self.questions, strict=False)]
        self.last = make_sharing(
            shared.sharing, np.concatenate(of_outputs), start, model.width, shared.experts
        )
        self.balance = Uncertainty(int(ends[-1])) if shared.balance == "uncertainty" else None
        self.has_surgery = shared.balance == "pcgrad"
        worth = [np.full(q.targets, 1.0 if self.is_one else 1 / q.targets) for q in self.questions]
        self.worth = tf.constant(np.concatenate(worth), tf.float32)  # (targets,)
        nobody = tf.zeros((1, task.length), tf.int32)
        self.outputs(nobody, nobody, tf.zeros((1, features)), tf.zeros((1, ends[-1])), None)  # makes weights

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """Its weights, but for those that are kept."""
        return tuple(each for each in super().trainable_variables if each.ref() not in self._kept)

    def keep(self, variables: Iterable[tf.Variable]) -> None:
        """From now on these stay as they are, whatever is trained."""
        self._kept = frozenset(each.ref() for each in variables)

    @property
    def tables(self) -> tuple[tf.Variable, ...]:
        """The weights with a row an item."""
        return (self.vectors.table,)

    def sample(self, items: tf.Tensor, seed: tf.Tensor) -> None:
        """Nothing is drawn for a step."""
        return None  # AutoGraph cannot read a function without a statement

    def batch_loss(self, batch: Mapping[str, tf.Tensor], sample: None, noise: Noise | None) -> Loss:
        """The loss of each answer that there is, by its weight; of several questions each weighs as much as the others."""
        losses, weights = self._losses(batch, noise)
        return Loss(tf.reduce_sum(losses * weights), tf.reduce_sum(weights))

    def task_losses(self, batch: Mapping[str, tf.Tensor], noise: Noise | None) -> list[Loss]:
        """The parts of `batch_loss` whose gradients may conflict: of each question, or of one alone of each target."""
        sizes = [1] * self.questions[0].targets if self.is_one else [each.targets for each in self.questions]
        apart = (tf.split(each, sizes, axis=1) for each in self._losses(batch, noise))
        return [Loss(tf.reduce_sum(of * by), tf.reduce_sum(by)) for of, by in zip(*apart, strict=True)]

    def _losses(self, batch: Mapping[str, tf.Tensor], noise: Noise | None) -> tuple[tf.Tensor, tf.Tensor]:
        """The loss of each answer, and its weight: (batch, targets) x 2."""
        parts = self.apart(self.outputs_of(batch, noise)), self.by_question(batch["labels"])
        losses = [q.head.loss(*each) for q, *each in zip(self.questions, *parts, strict=True)]
        all_losses = tf.concat(losses, axis=1)
        all_losses = self.balance(all_losses) if self.balance else all_losses
        return all_losses, batch["label_weights"] * batch["weights"][:, None] * self.worth

    def outputs_of(self, batch: Mapping[str, tf.Tensor], noise: Noise | None = None) -> tf.Tensor:
        """The outputs of a batch of an example set, see `outputs`."""
        items, sessions, features, naive = (batch[n] for n in ("items", "sessions", "features", "naive"))
        return self.outputs(items, sessions, features, naive, noise)

    def outputs(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        noise: Noise | None,
        presence: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """(batch, any length) int32 x 2, (batch, features), (batch, targets) -> (batch, the heads' outputs).

        presence  (batch, any length) float32: what the vector of each event is multiplied by; none: 1
        """
        lines = [
            question.line(of, features)
            for question, of in zip(self.questions, self.by_question(naive), strict=True)
        ]
        known = self.questions[0].known(naive, features) if self.is_one else None
        return self.rest(items, sessions, features, known, noise, presence) + tf.concat(lines, axis=1)

    def rest(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        known: tf.Tensor | None,
        noise: Noise | None,
        presence: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """The outputs without the part that is linear in what baselines know; `known` (batch, targets, inputs) of one."""
        is_whole = presence is None
        presence = tf.zeros_like(items, tf.float32) if is_whole else presence
        items, sessions, presence = last_events(items, sessions, presence, self.length)
        events = number_positions(self.vectors.read(items), sessions, self.positions)
        vectors = self.vectors(events.items)  # (batch, length, width)
        vectors = vectors if is_whole else vectors * presence[:, :, None]
        baskets = basket_means(vectors, events.positions, self.positions)
        taken, last = filled(events.count, self.positions), tf.maximum(events.count - 1, 0)
        state = encoded_at(self.encoder, baskets, taken, last, noise)  # (batch, width)
        if known is None:
            flat = features[:, :0]
        else:
            flat = tf.reshape(known, (-1, np.prod(self.questions[0].slopes.shape[:2])))
        return self.last(tf.concat([state, self.tower(features, flat, noise)], axis=1))

    def predict(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        presence: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """What the heads predict, calibrated where a calibration was fitted; of several questions the values alone.

        presence  as in `outputs`
        """
        outputs = self.apart(self.outputs(items, sessions, features, naive, None, presence))
        found = [question.answer(each) for question, each in zip(self.questions, outputs, strict=True)]
        return found[0] if self.is_one else {"value": tf.concat([each["value"] for each in found], axis=1)}

    def apart(self, outputs: tf.Tensor) -> list[tf.Tensor]:
        """(batch, outputs) -> those of each question."""
        return tf.split(outputs, [question.outputs for question in self.questions], axis=1)

    def by_question(self, values: tf.Tensor) -> list[tf.Tensor]:
        """(batch, targets) -> those of each question."""
        return tf.split(values, [question.targets for question in self.questions], axis=1)


class Alone(tf.Module):
    """One question of a model that answers several, as a `models.export_labelled.VectorPredictor`."""

    def __init__(self, model: LabelledModel, place: int):
        super().__init__()
        self.model, self.place, self.question = model, place, model.questions[place]
        self.vocabulary_size, self.vectors = model.vocabulary_size, model.vectors

    def predict(
        self,
        items: tf.Tensor,
        sessions: tf.Tensor,
        features: tf.Tensor,
        naive: tf.Tensor,
        presence: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """As that of a model of this question alone; naive (batch, its targets)."""
        rest = self.model.apart(self.model.rest(items, sessions, features, None, None, presence))
        return self.question.answer(rest[self.place] + self.question.line(naive, features))
