"""A job as a process that gets a signal at one of its commits, it and its JVM.

    python -m tests.jobs.interrupted JOB SIGNAL WHEN WHERE key=value …

WHEN is `before` a commit, `within` it (its first file is there) or `after` it. WHERE is a table, and means the first
commit to that, or the number of a commit, from 0. The last line of a job that gets no signal says how many there are.
"""

import importlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from features.lake import Facts, Lake
from features.table import Table
from jobs import job


class Interrupted(Lake):
    """A lake in whose commits a signal comes."""

    name, when, where = "", "", ""
    commits = 0

    @contextmanager
    def _committed(self, table: Table, facts: Facts | None) -> Iterator[None]:
        is_it = self.where in (table.name, str(Interrupted.commits))
        Interrupted.commits += 1
        self.interrupt(is_it and self.when == "before")
        with super()._committed(table, facts):
            if is_it and self.when == "within":
                Thread(target=self.interrupt_within, args=[self.path(table)], daemon=True).start()
            yield
        self.interrupt(is_it and self.when == "after")

    def interrupt_within(self, path: str) -> None:
        folder = Path(path.removeprefix("file:"))
        before = set(folder.rglob("*.parquet"))
        while not set(folder.rglob("*.parquet")) - before:
            time.sleep(0.005)
        self.interrupt(True)

    def interrupt(self, is_now: bool) -> None:
        if is_now:
            Interrupted.where = ""
            os.killpg(0, getattr(signal, self.name))


def main() -> None:
    step, Interrupted.name, Interrupted.when, Interrupted.where, *arguments = sys.argv[1:]
    sys.argv = [step, *arguments]
    job.Lake = Interrupted  # type: ignore[misc]
    module = importlib.import_module(f"jobs.{step}")
    leases = {"nightly": "all_night", "score": "own_partition"}.get(step)
    job.run(getattr(module, step), leases=getattr(module, leases) if leases else job.writer)
    print(f"{Interrupted.commits} commits", flush=True)


if __name__ == "__main__":
    main()
