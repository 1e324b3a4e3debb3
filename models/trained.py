"""The kinds of models that are trained: to rank items, to answer a task's questions, or to give others a beginning."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conf.schema import Config, Task
from models.adapters import adapt, merge
from models.answers import answers
from models.calibration import fit
from models.example_set import TRAIN, VALIDATION, ExampleSet
from models.export import export
from models.export_labelled import export_labelled
from models.judging_labels import judge_of, said_of
from models.label_metrics import LEAST_IS_BEST
from models.labelled import LabelledModel
from models.next_item import NextItemModel
from models.pretraining import PretrainingModel, facts_of
from models.train import ranking


class Ranking:
    """The next items of users."""

    def __init__(self, conf: Config, task: Task, examples: ExampleSet):
        self.k, self.examples, self.metric = conf.task.k, examples, conf.promote.metric
        counts = examples.counts("validation_sessions")
        self.model = NextItemModel(conf.model, task, counts, conf.train.seed, examples.category_of())
        self.judged: dict[str, Any] = {}
        """Of `models.train.train`: how epochs are judged."""

    def export(self, folder: Path) -> None:
        export(self.model, self.examples.vocabulary, folder, self.k)


class Labelled:
    """The answers to a task's questions. Its metric is the first of the task's."""

    def __init__(self, conf: Config, task: Task, examples: ExampleSet):
        assert task.label is not None
        self.label, self.examples, self.metric = task.label, examples, task.label.metrics[0]
        counts, asked = examples.counts("validation_sessions"), examples.spec["label"]
        self.model = LabelledModel(
            conf.model,
            task,
            counts,
            answers(examples, TRAIN),
            len(asked["names"]),
            len(asked["features"]),
            conf.train.seed,
            conf.finetune.positions if conf.step == "finetune" else None,
        )
        judge = judge_of(self.model, examples, task.label.metrics)
        self.judged = {"judge": judge, "least_is_best": self.metric in LEAST_IS_BEST}

    def export(self, folder: Path) -> None:
        """With the calibration that the validation rows ask for."""
        said = said_of(self.model.outputs_of, self.examples, VALIDATION)
        self.model.calibration = fit(self.label.calibration, self.label.head, *said)
        export_labelled(self.model, self.examples.vocabulary, dict(self.examples.spec), folder)


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
