"""Judge a model of several tasks beside those that learnt one task each, on days that none of them has seen.

Reads the example set of each of `task.together`, its rows `test`, and the newest versions of `model` that learnt alone
(jobs/finetune.py) and together; writes `<task>.json` into `report`: each metric of each task, alone and together, with the
interval of the difference by a paired bootstrap over users.

    python jobs/judge_together.py ds=2017-12-28 promote.holdout_days=28 task=together model=sasrec report=var/tasks
"""

from pathlib import Path
from typing import Any

from conf.schema import Config, Label
from jobs.files import put_json
from jobs.job import InputError, configure
from jobs.judge_labels import TEST, newest_by_model
from jobs.train import TOGETHER, attempt, set_id_of
from models.example_set import open_example_set
from models.registry import connect


def judge_together(conf: Config) -> dict[str, Any]:
    from models.judging_labels import exported, said_of
    from models.label_metrics import compared

    if not conf.task.together or conf.task.label is None:
        raise InputError(
            f"task={conf.task.name} is one task, expected several (task.together): set task=together"
        )
    registry, alone, together = (
        connect(conf.registry, conf.artifacts),
        conf.model.name,
        conf.model.name + TOGETHER,
    )
    joint = open_example_set(f"{conf.lake}/examples/{conf.set_id or set_id_of(conf)}")
    models: dict[str, dict[str, Any]] = {alone: {}, together: {}}
    users = {}
    for question in joint.spec["label"]["questions"]:
        task, label = question["task"], Label(**question["label"])
        examples = open_example_set(f"{conf.lake}/examples/{question['set_id']}")
        versions = newest_by_model(registry.versions(task, question["set_id"]))
        if missing := {alone, together} - versions.keys():
            raise InputError(
                f"{task} has no version of {', '.join(sorted(missing))} for {question['set_id']}: run jobs/finetune.py of "
                f"{task} and of {conf.task.name} first"
            )
        said = {
            model: said_of(exported(registry.saved_model_path(versions[model])), examples, TEST)
            for model in (alone, together)
        }
        _, labels, weights = said[alone]
        values, limits = {model: each[0] for model, each in said.items()}, conf.promote
        found = compared(
            label.metrics, labels, weights, values, limits.resamples, limits.confidence, limits.seed
        )
        users[task] = len(labels)
        for model, of_model in found.items():
            for metric, each in of_model.items():
                models[model][f"{task}_{metric}"] = each.told()
    told = {
        "task": conf.task.name,
        "set_id": joint.set_id,
        "as_of": joint.spec["as_of"],
        "users": max(users.values()),
        "sharing": conf.task.label.sharing,
        "balance": conf.task.label.balance,
        "models": models,
    }
    path = put_json(Path(conf.report) / f"{conf.task.name}.json", told)
    first = {f"{task}_{metric}" for task, metric in first_metrics(joint.spec)}
    shown = {
        f"{model}.{metric}": round(each["value"]["mean"], 4)
        for model, of_model in models.items()
        for metric, each in of_model.items()
        if metric in first
    }
    return {"task": conf.task.name, "file": str(path)} | shown


def first_metrics(spec: Any) -> list[tuple[str, str]]:
    return [(each["task"], each["label"]["metrics"][0]) for each in spec["label"]["questions"]]


if __name__ == "__main__":
    attempt(judge_together, configure(("ds",)), "judge_together")
