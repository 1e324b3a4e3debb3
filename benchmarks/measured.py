"""How long a program works, on how much CPU, and in how much memory: its processes watched from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event, Thread

import psutil

READY, DONE = "benchmark: ready", "benchmark: done"
EVERY = 0.2  # seconds between two looks at memory


@dataclass(frozen=True)
class Measured:
    """What one run took. Memory is the largest sum over the program and its children that was seen."""

    seconds: float
    cpu_seconds: float
    peak_gb: float


def take_heap(gigabytes: int) -> None:
    """Spark's memory in this process, before it starts: its own setting would come after spark-defaults.conf."""
    os.environ["PYSPARK_SUBMIT_ARGS"] = f"--driver-memory {gigabytes}g pyspark-shell"


@contextmanager
def ready() -> Iterator[None]:
    """Around what is measured, in the program that is: what comes before (its start) and behind does not count."""
    print(READY, flush=True)
    sys.stdin.readline()
    yield
    print(DONE, flush=True)
    sys.stdin.readline()


def measure(command: Sequence[str]) -> Measured:
    """Runs a program that has one `ready` block. Raises `RuntimeError` with its last words where it fails."""
    with TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        try:
            _until(process, READY)
            before, began, peak = _cpu_seconds(process.pid), time.monotonic(), _Peak(process.pid)
            _go_on(process)
            _until(process, DONE)
            seconds, cpu = time.monotonic() - began, _cpu_seconds(process.pid) - before
            gigabytes = peak.stop()
            _go_on(process)
            process.communicate(timeout=600)
        except _Ended:
            errors.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{errors.read()[-4000:]}") from None
        finally:
            process.kill()
    return Measured(round(seconds, 2), round(cpu, 2), round(gigabytes, 2))


class _Ended(Exception):
    """The program ended before it said what it was to say."""


def _until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    if not any(line.startswith(word) for line in process.stdout):
        raise _Ended


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _cpu_seconds(pid: int) -> float:
    """Of a program and its children, those that have ended too."""
    total = 0.0
    for process in _family(pid):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


class _Peak:
    """The most memory that a program and its children take together, as long as it is watched."""

    def __init__(self, pid: int):
        self.pid, self.bytes, self.over = pid, 0, Event()
        self.thread = Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while not self.over.wait(EVERY):
            self.bytes = max(self.bytes, sum(_resident(process.pid) for process in _family(self.pid)))

    def stop(self) -> float:
        self.over.set()
        self.thread.join()
        return self.bytes / 1e9


def _resident(pid: int) -> int:
    """A process's share of memory (PSS): a page that is shared by two counts half for each."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
