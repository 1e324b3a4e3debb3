"""Starts a program once for each rank, on this machine, with Horovod.

The ranks' first standard output is shown as it comes. All else they say is kept, and shown where one of them
fails: a rank that fails ends the others.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.watchdog import SAID

LINE = re.compile(r"^\[(?P<rank>\d+)\]<(?P<stream>stdout|stderr)>:(?P<text>.*)$")
ERROR = "error: "
KEPT = 60  # lines of what went wrong
PATIENCE = 15  # seconds that ranks get to end by themselves
PR_SET_PDEATHSIG = 1


class RanksFailed(RuntimeError):
    """A rank failed; the text is what it said.

    is_said  it ended by itself, and the text is its reason: to start it again would not help
    """

    def __init__(self, text: str, is_said: bool = False):
        super().__init__(text)
        self.is_said = is_said

    @property
    def in_short(self) -> str:
        return str(self).splitlines()[0].rstrip(":")


def run_ranks(module: str, arguments: Sequence[str], ranks: int) -> None:
    """Runs `python -m module …` as `ranks` processes; raises `RanksFailed` where one does not end well.

    Ends all of them when this process is told to end, or killed.
    """
    command = [_horovodrun(), "--gloo", "-np", str(ranks), "-H", f"localhost:{ranks}"]
    process = subprocess.Popen(
        [*command, sys.executable, "-m", module, *arguments],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        preexec_fn=_end_with_parent,
    )
    try:
        with _told_to_end():
            said = _show(process)
            if process.wait():
                raise _failure(said, process.returncode)
    finally:
        _end(process)


def _horovodrun() -> str:
    beside = Path(sys.executable).with_name("horovodrun")
    if not beside.exists():
        raise RanksFailed(f"{beside} is missing: make the environment with `make setup`")
    return str(beside)


def _environment() -> dict[str, str]:
    """Ranks import what this process imports, and keep to themselves what libraries say of each other."""
    project = str(Path(__file__).resolve().parents[1])
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}
    path = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH")]))
    return quiet | dict(os.environ) | {"PYTHONPATH": path}


@contextmanager
def _told_to_end() -> Iterator[None]:
    """Makes an exception of the signal that schedulers send, so that what was started is ended too."""
    if threading.current_thread() is not threading.main_thread():  # where Python has no say in signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_with_parent() -> None:
    """In the child, before it starts: the kernel ends it when its parent is gone, even killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _show(process: subprocess.Popen[str]) -> deque[str]:
    """Shows the first rank's standard output while it runs; returns the last lines of everything else."""
    assert process.stdout is not None
    said: deque[str] = deque(maxlen=20 * KEPT)
    for line in process.stdout:
        found = LINE.match(line.rstrip("\n"))
        if found and found["rank"] == "0" and found["stream"] == "stdout":
            print(found["text"], flush=True)
        else:
            said.append(found["text"] if found else line.rstrip("\n"))
    return said


def _failure(said: Sequence[str], code: int) -> RanksFailed:
    """With the ranks' own words for what went wrong, each once; without any, the last that was said."""
    errors = dict.fromkeys(line.removeprefix(ERROR) for line in said if line.startswith(ERROR))
    if errors:
        return RanksFailed("\n".join(errors), is_said=True)
    stalled = [line.removeprefix(SAID) for line in said if line.startswith(SAID)]
    reason = "; ".join(stalled) or f"a rank failed (horovodrun ended with {code})"
    return RanksFailed("\n".join([f"{reason}:", *list(said)[-KEPT:]]))


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
