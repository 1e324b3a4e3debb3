"""Judge the models of a task with labels on days that none of them has seen.

Reads the rows `test` of `examples/<set_id>` and every version that is registered for it; writes `<task>.json` into `report`:
each metric of each model with its interval, and how far it lies from the best baseline's, by a paired bootstrap over users;
and how much worse the first metric of each that is no baseline gets where one of its inputs is shuffled.

    python jobs/judge_labels.py ds=2017-12-28 promote.holdout_days=28 task=churn report=var/tasks
"""

from pathlib import Path
from typing import Any

from conf.schema import Config
from jobs.files import put_json
from jobs.job import InputError, configure
from jobs.train import NAIVE, attempt, set_id_of
from models.example_set import open_example_set
from models.registry import Version, connect

TEST = "test"


def judge_labels(conf: Config) -> dict[str, Any]:
    from models.importance import importances
    from models.judging_labels import exported, said_of
    from models.label_metrics import compared

    if conf.task.label is None:
        raise InputError(f"{conf.task.name} ranks items, expected a task with labels: run jobs/promote.py")
    set_id = conf.set_id or set_id_of(conf)
    examples = open_example_set(f"{conf.lake}/examples/{set_id}")
    registry = connect(conf.registry, conf.artifacts)
    versions = newest_by_model(registry.versions(conf.task.name, set_id))
    baselines = [NAIVE, *conf.task.label.beside]
    if missing := [name for name in baselines if name not in versions]:
        raise InputError(
            f"no baseline {', '.join(missing)} of {conf.task.name} is registered for {set_id}: train model={missing[0]} "
            "first"
        )
    in_order = dict.fromkeys([*baselines, *sorted(versions)])
    say = {model: exported(registry.saved_model_path(versions[model])) for model in in_order}
    said = {model: said_of(each, examples, TEST) for model, each in say.items()}
    _, labels, weights = said[NAIVE]
    values = {model: each[0] for model, each in said.items()}
    limits, first, repeats = conf.promote, conf.task.label.metrics[0], conf.explained.permutations
    found = compared(
        conf.task.label.metrics,
        labels,
        weights,
        values,
        limits.resamples,
        limits.confidence,
        limits.seed,
        baselines,
    )
    worth = {
        model: importances(each, examples, TEST, first, repeats, limits.seed)
        for model, each in say.items()
        if repeats and model not in baselines
    }
    told = {
        "task": conf.task.name,
        "set_id": set_id,
        "as_of": examples.spec["as_of"],
        "horizon_days": conf.task.label.horizon_days,
        "baseline": conf.task.label.baseline,
        "targets": examples.spec["label"]["names"],
        "users": len(labels),
        "answers": int((weights > 0).sum()),
        "mean_label": float(labels[weights > 0].mean()),
        "versions": {model: version.version for model, version in versions.items()},
        "baselines": baselines,
        "models": {
            model: {metric: each.told() for metric, each in of_model.items()}
            for model, of_model in found.items()
        },
        "importance": {
            "metric": first,
            "permutations": repeats,
            "models": {m: {name: x._asdict() for name, x in each.items()} for m, each in worth.items()},
        },
    }
    path = put_json(Path(conf.report) / f"{conf.task.name}.json", told)
    return (
        {"task": conf.task.name, "users": len(labels), "file": str(path)}
        | {f"{model}.{first}": round(of_model[first].value.mean, 4) for model, of_model in found.items()}
        | {
            f"{model}.worth": ", ".join(f"{name} {each.mean:+.4f}" for name, each in of_model.items())
            for model, of_model in worth.items()
            if of_model
        }
    )


def newest_by_model(versions: list[Version]) -> dict[str, Version]:
    """Of each model the newest version; `versions` come oldest first."""
    return {version.tags["model"]: version for version in versions}


if __name__ == "__main__":
    attempt(judge_labels, configure(("ds",)))
