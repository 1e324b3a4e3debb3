"""Fit and register the baselines of a task that ranks items: what a model has to beat.

`linear`, which is as much a model as a baseline, is trained by jobs/train.py.

spark-submit jobs/baselines.py ds=2017-12-27 promote.holdout_days=27
"""

import sys

from conf.load import load
from jobs.job import configure
from jobs.train import attempt, train

BASELINES = ("popularity", "frequency", "frequency_decay", "tifu_knn", "up_cf")


def main() -> None:
    configure()
    for name in BASELINES:
        attempt(train, load([*sys.argv[1:], f"model={name}"]))


if __name__ == "__main__":
    main()
