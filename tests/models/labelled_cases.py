"""Small tasks with labels for tests: what is asked, and users whose answers can be learnt."""

from dataclasses import asdict
from pathlib import Path

from conf.load import load
from conf.schema import Config
from models.example_set import ExampleSet, open_example_set
from tests.models.example_sets import LENGTH, POSITIONS, Row, labelled_example_set, labelled_rows

SPLITS = {"train": 300, "validation": 100, "test": 200}
CASES = {
    "binary": ("task=churn", ["yes"]),
    "two targets": ("task=purchase task.label.metrics=[log_loss,roc_auc]", ["yes", "no"]),
    "mmoe": (
        "task=purchase task.label.sharing=mmoe task.label.balance=uncertainty task.label.metrics=[log_loss]",
        ["yes", "no"],
    ),
    "ple": ("task=purchase task.label.sharing=ple task.label.metrics=[log_loss]", ["yes", "no"]),
    "classes": ("task=next_event train.epochs=16", ["a", "b", "c"]),
    "amount": ("task=spend task.label.metrics=[spearman,mae]", [""]),
    "lognormal": ("task=spend task.label.loss=lognormal task.label.metrics=[spearman,mae]", [""]),
    "isotonic": ("task=churn task.label.calibration=isotonic task.label.weight=balanced", ["yes"]),
    "mean": ("task=spend task.label.loss=mse task.label.metrics=[spearman,mse]", [""]),
}

SEVERAL = "task=together task.together=[purchase,spend] task.label.balance=fixed"
"""Several tasks: what happens of two, and an amount."""


def conf_of(case: str, *more: str) -> Config:
    small = ["model=gru", "model.width=8", "model.blocks=1", "model.dropout=0.1", "train.batch_size=50"]
    course = ["train.epochs=8", "train.patience=8", "train.learning_rate=2e-2", "train.warmup_steps=5"]
    given = [*small, *course, f"task.length={LENGTH}", f"task.positions={POSITIONS}"]
    alone = ["task.label.beside=[]"]  # the features of these users are others than further baselines look at
    return load([*given, *alone, *(SEVERAL if case == "several" else CASES[case][0]).split(), *more])


def example_set(folder: Path, case: str) -> ExampleSet:
    conf, names = conf_of(case), CASES[case][1]
    head = conf.task.label.head
    rows = {
        split: labelled_rows(count, seed, head, len(names))
        for seed, (split, count) in enumerate(SPLITS.items())
    }
    return open_example_set(labelled_example_set(folder / "set", rows, head, names))


def several_set(folder: Path) -> ExampleSet:
    """The sets `purchase` and `spend`, and in `set` the same users, asked both questions."""
    sets: dict[str, dict[str, list[Row]]] = {"purchase": {}, "spend": {}, "set": {}}
    for seed, (split, count) in enumerate(SPLITS.items()):
        sets["purchase"][split] = labelled_rows(count, seed, "binary", 2)
        sets["spend"][split] = labelled_rows(count, seed, "amount", 1)
        sets["set"][split] = [
            {**one, **{name: [*one[name], *other[name]] for name in ("labels", "naive")}}
            for one, other in zip(sets["purchase"][split], sets["spend"][split], strict=True)
        ]
    questions = []
    for task, names in (("purchase", ["yes", "no"]), ("spend", [""])):
        label = load([f"task={task}"]).task.label
        assert label is not None
        labelled_example_set(folder / task, sets[task], label.head, names)
        questions.append({"task": task, "set_id": task, "label": asdict(label), "names": names})
    names = ["purchase: yes", "purchase: no", "spend: "]
    return open_example_set(
        labelled_example_set(folder / "set", sets["set"], "several", names, questions=questions)
    )
