"""The kinds of models that are trained: to rank items, to answer a task's questions, or to give others a beginning."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import numpy as np

from conf.schema import Config, Label, Model, Task
from models import bg_nbd
from models.adapters import adapt, merge
from models.answers import answers, read_columns
from models.calibration import fit
from models.content import read_content
from models.example_set import TRAIN, VALIDATION, ExampleSet, ExampleSetError
from models.export import export
from models.export_labelled import export_labelled
from models.inputs import rows_of_split
from models.judging_labels import judge_of, judge_of_several, said_of
from models.label_metrics import LEAST_IS_BEST, choosing
from models.labelled import NOTHING_BESIDE, Alone, Asked, Beside, LabelledModel
from models.linear import Linear, no_weights
from models.linear import fit as fit_linear
from models.next_item import NextItemModel
from models.pretraining import PretrainingModel, facts_of
from models.side_inputs import side_inputs
from models.train import ranking

FURTHER = {"bg_nbd": bg_nbd.fit}
"""Further baselines by their names in `task.label.beside`, which conf/tasks.py allows."""


class Ranking:
    """The next items of users."""

    def __init__(self, conf: Config, task: Task, examples: ExampleSet):
        self.k, self.examples, self.metric = conf.task.k, examples, conf.promote.metric
        self.kept = conf.train.item_vectors
        counts = examples.counts("validation_sessions")
        content = (
            read_content(conf.model.content, examples.vocabulary, counts) if conf.model.content else None
        )
        side = side_inputs(conf.model.inputs, conf.model.width, examples)
        categories = examples.category_of()
        linear = linear_of_all(conf.model, counts, examples) if conf.model.linear else None
        self.model = NextItemModel(
            conf.model, task, counts, conf.train.seed, categories, content, side, linear
        )
        self.judged: dict[str, Any] = {}
        """Of `models.train.train`: how epochs are judged."""

    def export(self, folder: Path) -> None:
        self.model.vectors.keep_as(self.kept)
        export(self.model, self.examples.vocabulary, folder, self.k)


def linear_of_all(model: Model, counts: np.ndarray, examples: ExampleSet) -> Linear:
    """The linear model that `model` asks for, fitted by the first rank, for which the others wait here."""
    if hvd.rank() == 0:
        linear = fit_linear(model, counts, rows_of_split(examples, TRAIN))
    else:
        linear = Linear(no_weights(model, counts), model.linear_decay)
    hvd.broadcast_variables(linear.variables, root_rank=0)
    return linear


def beside(labels: Sequence[Label], examples: ExampleSet) -> Beside:
    """The further baselines that tasks name, fitted to the training rows, which their models begin from, too."""
    names = {name for label in labels for name in label.beside}
    if not names:
        return NOTHING_BESIDE
    (features,) = read_columns(examples, TRAIN, ["features"])
    fitted = {name: FURTHER[name](examples.spec, features, examples.vocabulary_size) for name in names}
    return Beside([[fitted[name] for name in label.beside] for label in labels], features)


class Labelled:
    """The answers to the questions of a task, or of several tasks together.

    Its epochs are chosen by `models.label_metrics.choosing`.
    """

    def __init__(self, conf: Config, task: Task, examples: ExampleSet):
        assert task.label is not None
        self.examples, asked, self.kept = examples, examples.spec["label"], conf.train.item_vectors
        several = [
            (each["task"], Label(**each["label"]), each["names"]) for each in asked.get("questions", ())
        ]
        questions = several or [(task.name, task.label, asked["names"])]
        self.model = LabelledModel(
            conf.model,
            task,
            examples.counts("validation_sessions"),
            answers(examples, TRAIN),
            [Asked(label, len(names)) for _, label, names in questions],
            len(asked["features"]),
            conf.train.seed,
            conf.finetune.positions if conf.step == "finetune" else None,
            beside([label for _, label, _ in questions], examples),
        )
        self.labels = {name: label for name, label, _ in questions}
        if several:
            judge = judge_of_several(self.model, examples, self.labels)
        else:
            judge = judge_of(self.model, examples, task.label)
        self.metric = choosing(task.label.metrics)
        self.judged = {"judge": judge, "least_is_best": self.metric in LEAST_IS_BEST}

    def export(self, folder: Path) -> None:
        """With the calibration that the validation rows ask for."""
        self.model.vectors.keep_as(self.kept)
        self.calibrate()
        export_labelled(self.model, self.examples.vocabulary, dict(self.examples.spec), folder)

    def calibrate(self) -> None:
        """Gives each question the calibration that the validation rows ask for."""
        model = self.model
        outputs, came, weights = said_of(model.outputs_of, self.examples, VALIDATION)
        columns = model.apart(outputs), model.by_question(came), model.by_question(weights)
        for question, label, *of_question in zip(
            model.questions, self.labels.values(), *columns, strict=True
        ):
            rows = (each.numpy() for each in of_question)
            question.calibration = fit(label.calibration, label.head, *rows)

    def export_alone(self, name: str, own: ExampleSet, folder: Path) -> None:
        """What answers the question of the task `name` alone, whose example set is `own`, as a model of that task."""
        check_same(self.examples, own, name)
        place = list(self.labels).index(name)
        export_labelled(Alone(self.model, place), own.vocabulary, dict(own.spec), folder)


def check_same(together: ExampleSet, own: ExampleSet, name: str) -> None:
    """Raises `ExampleSetError` where a model of the set `together` would answer a task by other inputs than its own set."""
    (question,) = [each for each in together.spec["label"]["questions"] if each["task"] == name]
    theirs = {"names": question["names"]} | {
        key: together.spec["label"][key] for key in ("features", "statistics", "snapshots")
    }
    unlike = [key for key, value in theirs.items() if own.spec["label"][key] != value]
    if unlike or own.vocabulary_size != together.vocabulary_size:
        raise ExampleSetError(
            f"{own.path} has other {', '.join(unlike) or 'items'} than {together.path}, expected the same of {name}: make "
            "both from the same lake, with the same arguments"
        )


class Pretraining:
    """An encoder that is pretrained; its epochs are judged by how it ranks, and what ranks is exported."""

    def __init__(self, conf: Config, task: Task, examples: ExampleSet):
        self.k, self.examples, self.metric = conf.task.k, examples, conf.promote.metric
        counts = examples.counts("validation_sessions")
        facts = facts_of(examples, conf.pretrain)
        self.model = PretrainingModel(conf.model, task, counts, facts, conf.train.seed)
        self.judged: dict[str, Any] = {"judge": ranking(self.model.ranker, examples, conf.train.by_length)}

    def export(self, folder: Path) -> None:
        export(self.model.ranker, self.examples.vocabulary, folder, self.k)


class FineTuned(Labelled):
    """The answers to a task's questions, of which the encoder may be kept as it is, or be changed by adapters alone."""

    def __init__(self, conf: Config, task: Task, examples: ExampleSet):
        super().__init__(conf, task, examples)
        if conf.finetune.mode == "full":
            return
        encoder = self.model.encoder
        self.model.keep([self.model.vectors.table, *encoder.trainable_variables])
        if conf.finetune.mode == "adapters":
            adapt(encoder, conf.finetune.rank)

    def export(self, folder: Path) -> None:
        merge(self.model.encoder)
        super().export(folder)


Kind = Ranking | Labelled | Pretraining
KINDS: dict[str, Callable[[Config, Task, ExampleSet], Kind]] = {
    "pretrain": Pretraining,
    "finetune": FineTuned,
}


def kind_of(conf: Config, task: Task, examples: ExampleSet) -> Kind:
    """What `step` and `task` ask for; `task` with the lengths of the examples."""
    return KINDS.get(conf.step, Labelled if task.label else Ranking)(conf, task, examples)
