"""Tasks with labels: what their YAML may say."""

from pathlib import Path

import pytest
import yaml

from conf.load import ConfigurationError, load
from conf.schema import Label, Task
from conf.tasks import problems

ROOT = Path(__file__).parents[2]
LABELLED = sorted(
    path.stem
    for path in (ROOT / "conf" / "task").glob("*.yaml")
    if "label" in yaml.safe_load(path.read_text())
)


@pytest.mark.parametrize("name", LABELLED)
def test_every_task_with_labels_makes_sense_and_has_its_row_in_the_documentation(name):
    task = load([f"task={name}"]).task
    assert task.name == name
    assert task.label is not None
    assert f"[`{name}`](../conf/task/{name}.yaml)" in (ROOT / "docs" / "tasks.md").read_text()


def test_the_task_of_ten_lines_in_the_documentation_makes_sense():
    block = (ROOT / "docs" / "tasks.md").read_text().split("```yaml\n")[1].split("```")[0]
    given = yaml.safe_load(block)
    label = Label(**{**given["label"], "otherwise": str(given["label"]["otherwise"])})
    assert not list(problems(Task(name=given["name"], label=label)))
    assert len(block.splitlines()) <= 10


@pytest.mark.parametrize(
    ("task", "override", "said"),
    [
        ("churn", "head=maybe", "task.label.head must be one of binary, classes, amount, got 'maybe'"),
        ("churn", "loss=mse", "task.label.loss must be one of cross_entropy where head=binary, got 'mse'"),
        ("spend", "calibration=isotonic", "task.label.calibration must be one of none where head=amount"),
        ("spend", "baseline=table", "task.label.baseline must be one of prior, naive where head=amount"),
        (
            "next_event",
            "metrics=[roc_auc]",
            "task.label.metrics must be some of accuracy, precision_macro, recall_macro, f1_macro, log_loss, got",
        ),
        ("churn", "metrics=[]", "task.label.metrics must be some of roc_auc, pr_auc"),
        ("churn", "weight=heavy", "task.label.weight must be one of none, balanced, got 'heavy'"),
        ("purchase", "sharing=all", "task.label.sharing must be one of bottom, mmoe, ple, got 'all'"),
        (
            "together",
            "balance=even",
            "task.label.balance must be one of fixed, uncertainty, pcgrad, got 'even'",
        ),
        (
            "together",
            "sql='select 1'",
            "task.together asks what its tasks ask, expected task.label with the sql ''",
        ),
        ("churn", "beside=[pareto]", "task.label.beside must be some of bg_nbd where head=binary, each once"),
        ("spend", "beside=[bg_nbd]", "task.label.beside must be some of none where head=amount, each once"),
        ("churn", "snapshots=0", "task.label.snapshots must be > 0, got 0"),
        ("churn", "otherwise=none at all", "task.label.otherwise must be a number, got 'none at all'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(task, override, said):
    with pytest.raises(ConfigurationError) as refused:
        load([f"task={task}", f"task.label.{override}"])
    assert said in str(refused.value)


@pytest.mark.parametrize("tasks", ["[churn]", "[churn,churn]"])
def test_fewer_than_two_tasks_are_not_several(tasks):
    with pytest.raises(ConfigurationError, match=r"task\.together must be two tasks or more, each once"):
        load(["task=together", f"task.together={tasks}"])
