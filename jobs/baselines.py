"""Fit and register every baseline of a task: what a model has to beat.

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
