"""Score every user with a challenger beside the champion: nobody is shown it, jobs/monitor.py judges it.

As jobs/score.py, with the model of the alias `monitor.shadow`, into a partition of its own of `predictions`: of the task
`next_item@challenger`.

    spark-submit jobs/shadow.py ds=2017-12-28 task=next_item monitor.shadow=challenger
"""

from typing import Any

from conf.schema import Config
from features.lake import Lake
from features.leases import scoring
from features.predictions import task_of
from jobs.job import run
from jobs.score import score
from models.registry import CHAMPION


def shadow(conf: Config, lake: Lake) -> dict[str, Any]:
    return score(conf, lake, conf.monitor.shadow)


def own_partition(conf: Config) -> list[str]:
    """The lease of what is written, as jobs/score.py has it."""
    return [scoring(conf.ds, task_of(conf.task.name, conf.monitor.shadow, CHAMPION))]


if __name__ == "__main__":
    run(shadow, needs=("ds", "monitor.shadow"), leases=own_partition)
