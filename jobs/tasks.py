"""Train the tasks of a shop from one pretrained encoder, and judge each beside its baseline on days that none has seen.

Works on a lake that has the night `ds`. The encoder is the newest of `finetune.pretext` and `model` (jobs/pretrain.py);
where there is none, one is pretrained first. Each of `tasks` then goes through the jobs of these names: examples, train (the
baseline), finetune, judge_labels, and with `serve_tasks` promote and score. `ad_click`, `demand` and `uplift` are judged by
jobs of their names, `next_item` by the gate; `segments` and `uplift_observed`, jobs/group_users.py and
jobs/observed_effect.py, train nothing. Writes one JSON a task into `report`, and `summary.json`, whose entries are
`<task>.<metric>`, `<task>.baseline.<metric>` and `<task>.difference.<metric>`: mean, low, high; and `tasks.html`, a page of
it. What is made, trained and decided already is left as it is. `together` trains one model of several tasks, and judges it
beside those of one task each.

    spark-submit jobs/tasks.py ds=2017-12-28 promote.holdout_days=28 report=var/tasks model.width=32 model.blocks=1
    spark-submit jobs/tasks.py ds=2017-12-28 promote.holdout_days=28 report=var/tasks tasks=[churn,spend]
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from conf.load import load
from conf.schema import Config
from conf.together import parts_of
from features.lake import Lake
from jobs.ad_click import ad_click
from jobs.baselines import BASELINES
from jobs.demand import demand
from jobs.examples import examples as example_set
from jobs.files import put, put_json
from jobs.finetune import finetune
from jobs.group_users import group_users
from jobs.job import InputError, progress, run, say
from jobs.judge_labels import judge_labels
from jobs.judge_together import judge_together
from jobs.labelled import People, alike, people_of
from jobs.ledger import decisions
from jobs.observed_effect import observed_effect
from jobs.pretrain import is_missing, pretrain
from jobs.promote import night_of, promote
from jobs.score import score
from jobs.train import NAIVE, TO_PUT_RIGHT, set_id_of, tell, train
from jobs.uplift import uplift
from models.registry import connect
from models.warm_start import PRETRAINED
from reports.tasks import of_folder, of_ledger, summed
from reports.tasks_page import render

OWN = {
    "demand": ("promote.holdout_days=56", "finetune.encoder=none"),
    "segments": ("task=next_item",),
    "uplift": ("promote.holdout_days=14",),
}
"""Settings of a task alone. Of `demand` four weeks make the first intervals and four judge, which encoders have seen; of
`uplift` one campaign judges."""

JUDGES = {"ad_click": ad_click, "demand": demand, "uplift": uplift}
"""Tasks whose answers a job of their own judges; no gate, as what they come to is no answer of one user."""

WITHOUT_MODEL = {"segments": group_users, "uplift_observed": observed_effect}


def tasks(conf: Config, lake: Lake) -> dict[str, Any]:
    folder = Path(conf.report)
    folder.mkdir(parents=True, exist_ok=True)
    example_sets(conf.tasks, lake)
    for name in conf.tasks:
        with told_of(name):
            carried_out(name, lake)
        told = json.loads((folder / f"{name}.json").read_text())
        keep(folder / "summary.json", summed(name, told))
        put(folder / "tasks.html", render(of_folder(folder)))
    return {
        "tasks": len(conf.tasks),
        "file": str(folder / "summary.json"),
        "page": str(folder / "tasks.html"),
    }


def example_sets(names: Sequence[str], lake: Lake) -> None:
    """Makes the examples of tasks with labels; those that see the same of users share it."""
    confs = [of_task(name) for name in names if name not in WITHOUT_MODEL]
    every = [each for conf in confs if conf.task.label for each in (*parts_of(conf), conf)]
    asking = list({set_id_of(conf): conf for conf in every}.values())
    for key in dict.fromkeys(alike(conf, lake) for conf in asking):
        same = [conf for conf in asking if alike(conf, lake) == key]
        people = people_of(same, lake)

        def examples(conf: Config, lake: Lake, people: People = people) -> dict[str, Any]:
            return example_set(conf, lake, people)

        for conf in same:
            with told_of(conf.task.name):
                spark(examples, conf, lake)
        people.unpersist()


@contextmanager
def told_of(name: str) -> Iterator[None]:
    """Says which task it is, also where it ends for what a user can put right."""
    print(f"tasks: {name}", flush=True)
    try:
        yield
    except TO_PUT_RIGHT as error:
        raise InputError(f"{name}: {error}") from None


def carried_out(name: str, lake: Lake) -> None:
    """All of one task, whose examples are there; its judge leaves a JSON of its name in `report`."""
    conf = of_task(name)
    if name in WITHOUT_MODEL:
        spark(WITHOUT_MODEL[name], conf, lake)
        return
    if not conf.task.label:
        of_lists(conf, lake)
        return
    if is_missing(conf, connect(conf.registry, conf.artifacts)):
        begun = of_task(conf.finetune.pretext)
        spark(example_set, begun, lake)
        trained(pretrain, begun)
    if conf.task.together:
        of_several(conf)
        return
    for baseline in (NAIVE, *conf.task.label.beside):
        trained(train, of_task(name, f"model={baseline}"))
    trained(finetune, conf)
    if name in JUDGES:
        spark(JUDGES[name], conf, lake)
        return
    trained(judge_labels, conf)
    if conf.serve_tasks:
        spark(promote, conf, lake)
        spark(score, conf, lake)


def of_several(conf: Config) -> None:
    """Tasks that one model learns, beside a model each; one that was trained on its own before is found."""
    for part in parts_of(conf):
        trained(finetune, part)
    trained(finetune, conf)
    trained(judge_together, conf)


def of_lists(conf: Config, lake: Lake) -> None:
    """The task that ranks items: its model begins from the encoder, and the gate judges."""
    spark(example_set, conf, lake)
    if is_missing(conf, connect(conf.registry, conf.artifacts)):
        trained(pretrain, conf)
    for name in BASELINES:
        trained(train, of_task(conf.task.name, f"model={name}"))
    trained(train, replace(conf, train=replace(conf.train, warm_start=PRETRAINED)))
    spark(promote, conf, lake)
    spark(score, conf, lake)
    told = of_ledger(conf.task.name, decisions(lake, night_of(conf)))
    put_json(Path(conf.report) / f"{conf.task.name}.json", told)


def of_task(name: str, *more: str) -> Config:
    """The configuration of this command line, for one of its tasks."""
    own = OWN.get(name, ())
    task = () if any(each.startswith("task=") for each in own) else (f"task={name}",)
    return load([*sys.argv[1:], *task, *own, *more])


def spark(job: Any, conf: Config, lake: Lake) -> None:
    with progress(job.__name__, lake):
        say(job, conf, lake)


def trained(job: Callable[[Config], dict[str, Any]], conf: Config) -> None:
    tell(job.__name__, job(conf))


def keep(path: Path, found: dict[str, Any]) -> None:
    """Puts entries into a JSON file, beside those of other tasks."""
    before = json.loads(path.read_text()) if path.exists() else {}
    put_json(path, before | found)


if __name__ == "__main__":
    run(tasks, telling=lambda *_: nullcontext())
