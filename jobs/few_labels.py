"""Compare a task with labels from scratch and from a pretrained encoder, at shares of its labels.

Trains each of `few_labels.arms` with each of `few_labels.shares` of the users and so many `few_labels.seeds`, judges all of
them on the same test rows, and writes `<task>.few.json` and `<task>.few.html` into `report`: of each metric the mean over
the seeds and its interval, which jobs/report.py shows, too. The encoder is `finetune.encoder`; where none is there yet it is
pretrained first. A share has as many times the epochs, up to `few_labels.stretch`, so that it gets the steps of the whole.
Epochs are chosen by the first metric that few rows have too, such as the log loss, on validation rows of the same users.
What was trained before is found, and not trained again: after a kill it goes on.

    python -m jobs.few_labels ds=2017-12-28 promote.holdout_days=28 task=churn model=sasrec report=var/demo
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from conf.load import load
from conf.schema import Config
from jobs.files import put, put_json
from jobs.finetune import finetune
from jobs.job import InputError, configure
from jobs.pretrain import is_missing, pretrain
from jobs.train import attempt, registered_as, set_id_of
from models.example_set import ExampleSet, open_example_set
from models.registry import Registry, Version, connect
from models.warm_start import NONE
from reports.few_labels import SUFFIX
from reports.few_labels_page import render

TEST, SCRATCH = "test", "scratch"
CONFIDENCE = 0.95
COUNTED = ("train_users", "train_rows", "train_positives", "validation_rows", "validation_positives")


def few_labels(conf: Config) -> dict[str, Any]:
    if conf.task.label is None:
        raise InputError(
            f"task={conf.task.name} has no labels, expected one that has: set task=churn, or another"
        )
    conf = replace(conf, set_id=conf.set_id or set_id_of(conf))
    examples, registry = (
        open_example_set(f"{conf.lake}/examples/{conf.set_id}"),
        connect(conf.registry, conf.artifacts),
    )
    if set(conf.few_labels.arms) != {SCRATCH} and is_missing(conf, registry):
        pretrain(replace(conf, set_id=None, task=load([f"task={conf.finetune.pretext}"]).task))
    path = Path(conf.report) / f"{conf.task.name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = {run["digest"]: run for run in json.loads(path.read_text())["runs"]} if path.exists() else {}
    runs: list[dict[str, Any]] = []
    for share, arm, seed in product(
        conf.few_labels.shares, conf.few_labels.arms, range(conf.few_labels.seeds)
    ):
        asked = of_run(conf, arm, share, seed)
        version = registry.version(registered_as(asked), finetune(asked)["version"])
        metrics = before.get(version.tags["digest"], {}).get("metrics") or judged(
            registry, version, examples, conf
        )
        runs.append(told(version, arm, share, seed, metrics))
        put_json(path, summed(conf, runs))
        shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        print(f"few_labels: {share:.0%}, {arm}, seed {seed}: {shown}", flush=True)
    put(path.with_suffix(".html"), render(summed(conf, runs)))
    return {"task": conf.task.name, "trainings": len(runs), "file": str(path)}


def of_run(conf: Config, arm: str, share: float, seed: int) -> Config:
    """What `jobs/finetune.py` is told."""
    times = min(1 / share, conf.few_labels.stretch)
    course = replace(
        conf.train,
        epochs=round(conf.train.epochs * times),
        patience=round(conf.train.patience * times),
        seed=conf.train.seed + seed,
    )
    begun = {"encoder": NONE, "mode": "full"} if arm == SCRATCH else {"mode": arm}
    tuned = replace(conf.finetune, share=share, apart=True, **begun)  # type: ignore[arg-type]
    return replace(conf, step="finetune", train=course, finetune=tuned)


def judged(registry: Registry, version: Version, examples: ExampleSet, conf: Config) -> dict[str, float]:
    """Each metric on all test rows."""
    from models.judging_labels import exported, said_of
    from models.label_metrics import measured

    assert conf.task.label is not None
    values, labels, weights = said_of(exported(registry.saved_model_path(version)), examples, TEST)
    return measured(conf.task.label.metrics, labels, values, weights)


def told(version: Version, arm: str, share: float, seed: int, metrics: dict[str, float]) -> dict[str, Any]:
    counts = {name: int(version.tags[name]) for name in COUNTED if name in version.tags}
    names = {"arm": arm, "share": share, "seed": seed, "encoder": version.tags["encoder"]}
    return (
        names | {"version": version.version, "digest": version.tags["digest"]} | counts | {"metrics": metrics}
    )


def summed(conf: Config, runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The runs, and of each share, arm and metric the mean over the seeds."""
    groups: dict[tuple[float, str], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["share"], run["arm"]), []).append(run)
    table = [
        {"share": share, "arm": arm, "metric": name, "seeds": len(of_group)}
        | {each: of_group[0][each] for each in COUNTED if each in of_group[0]}
        | interval([run["metrics"][name] for run in of_group])
        for (share, arm), of_group in groups.items()
        for name in of_group[0]["metrics"]
    ]
    facts = {"task": conf.task.name, "model": conf.model.name, "set_id": conf.set_id}
    return facts | {"pretext": conf.finetune.pretext, "table": table, "runs": list(runs)}


def interval(values: Sequence[float]) -> dict[str, float | None]:
    """The mean, and the ends of its 95% interval by Student's distribution; of one value there are none."""
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return {"mean": mean, "low": None, "high": None}
    off = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.std(values, ddof=1) / count**0.5)
    return {"mean": mean, "low": mean - off, "high": mean + off}


if __name__ == "__main__":
    attempt(few_labels, replace(configure(), step="finetune"))
