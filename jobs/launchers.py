"""Where the ranks of a training run, and what is done when one of them is lost."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conf.hosts import Host
from conf.schema import Config
from jobs.hosts import answering, options
from jobs.job import InputError, open_lake
from jobs.launch import RanksFailed, run_ranks
from jobs.places import checkpoints_of
from jobs.rank import Task
from models.guard import guard


def run_until_done(conf: Config, task: Task) -> list[str]:
    """Runs the ranks; starts all of them anew where one was lost. Returns what was lost, each time."""
    lost: list[str] = []
    with launcher(conf, task) as run:
        while True:
            try:
                run()
                return lost
            except RanksFailed as error:
                guard()  # with another Keras horovodrun itself fails, and blames something else
                if error.is_said or len(lost) == conf.train.restarts:
                    raise
                lost.append(error.in_short)
                place = "from the last checkpoint" if checkpoints_of(conf) else "from the beginning"
                print(f"train: {error.in_short}; starting all of them {place}", flush=True)


@contextmanager
def launcher(conf: Config, task: Task) -> Iterator[Callable[[], None]]:
    """What runs the task once, by `train.launcher`."""
    train = conf.train
    if train.launcher == "hosts":
        if not train.hosts:
            raise InputError(
                "train.hosts is missing: give train.hosts=[one:2,two:2], with the ranks of each host"
            )
        shared = checkpoints_of(conf)
        if shared is None:
            raise InputError("train.checkpoints is missing: give a folder that all of train.hosts see")

        def on_hosts() -> None:
            hosts = answering(train)
            run_ranks(task, hosts, options(train, hosts), shared)

        yield on_hosts
    elif train.launcher == "spark":
        from jobs.executors import run_on_executors

        if not conf.spark.master:
            raise InputError("spark.master is missing: give spark.master=… on the command line")
        context = open_lake(conf, "train").spark.sparkContext
        try:
            yield lambda: run_on_executors(context, task, train)
        finally:
            context.stop()
    else:
        yield lambda: run_ranks(task, [Host("localhost", train.ranks)])
