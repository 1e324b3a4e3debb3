"""Starts a program once for each rank, on this machine or on several, with Horovod.

The first rank's standard output is shown as it comes. All else they say is kept, and shown where one of them
fails: a rank that fails ends the others.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from conf.hosts import Host
from jobs.rank import Task, at_parents_end
from models.watchdog import SAID

LINE = re.compile(r"^\[(?P<rank>\d+)\]<(?P<stream>stdout|stderr)>:(?P<text>.*)$")
ENDED = re.compile(r"^Process (?P<rank>\d+) exit with status code (?P<code>\d+)\.$")
ERROR = "error: "
BROKEN = 255
KEPT = 60  # lines of what went wrong
PATIENCE = 15  # seconds that ranks get to end by themselves
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore", "PYTHONUNBUFFERED": "1"}
OPEN = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|TMPDIR|TZ|LD_LIBRARY_PATH|SSH_AUTH_SOCK|CUDA_VISIBLE_DEVICES"
    r"|LC_\w+|PYTHON\w*|TF_\w+|HOROVOD_\w+"
)
"""Variables that horovodrun may have, which puts all of its own on the command lines of ssh."""


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


class Heard:
    """What the ranks of a launcher said, in lines as horovodrun writes them."""

    def __init__(self, name: Callable[[int], str] = "rank {}".format):
        """name: what to call a rank."""
        self.name = name
        self.kept: deque[str] = deque(maxlen=20 * KEPT)
        self.lost = ""

    def line(self, text: str) -> None:
        """Shows it where it is the first rank's standard output, else keeps it."""
        if found := LINE.match(text):
            if found["rank"] == "0" and found["stream"] == "stdout":
                print(found["text"], flush=True)
            else:
                self.kept.append(found["text"])
        elif found := ENDED.match(text):
            if code := int(found["code"]):
                self.lose(int(found["rank"]), how_it_ended(code))
        else:
            self.kept.append(text)

    def lose(self, rank: int, how: str) -> None:
        """The first that is lost counts: it takes the others with it."""
        self.lost = self.lost or f"{self.name(rank)} {how}"

    def failure(self, otherwise: str) -> RanksFailed:
        """With the ranks' own words for what went wrong, each once; without any, the last that was said."""
        errors = dict.fromkeys(line.removeprefix(ERROR) for line in self.kept if line.startswith(ERROR))
        if errors:
            return RanksFailed("\n".join(errors), is_said=True)
        stalled = [line.removeprefix(SAID) for line in self.kept if line.startswith(SAID)]
        reason = "; ".join(stalled) or self.lost or otherwise
        return RanksFailed("\n".join([f"{reason}:", *list(self.kept)[-KEPT:]]))


def how_it_ended(code: int) -> str:
    """`was ended by SIGKILL` for 137, as shells have it."""
    if code == BROKEN:
        return f"ended with exit code {code}, which is that of ssh for a broken connection"
    try:
        return f"was ended by {signal.Signals(code - 128).name}"
    except ValueError:
        return f"ended with exit code {code}"


def run_ranks(
    task: Task, hosts: Sequence[Host], options: Sequence[str] = (), shared: Path | None = None
) -> None:
    """Runs the task as so many processes on each of the hosts; raises `RanksFailed` where one does not end well.

    Ends all of them when this process is told to end, or killed.

    options  of horovodrun, which starts those of other hosts by ssh
    shared   a folder that all hosts see; none: a temporary one of this machine
    """
    names = [host.name for host in hosts for _ in range(host.ranks)]
    several = len(hosts) > 1
    heard = Heard(lambda rank: f"rank {rank} on {names[rank]}" if several else f"rank {rank}")
    with _handed_over(task, shared) as file:
        command = [_horovodrun(), "--gloo", "--disable-cache", "-np", str(len(names)), *options]
        command += ["-H", ",".join(f"{host.name}:{host.ranks}" for host in hosts)]
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "jobs.rank", file],
            env=_open_environment(),
            stdin=subprocess.PIPE,  # open while this process lives: a rank of any host ends when it is closed
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=at_parents_end(signal.SIGTERM),
        )
        assert process.stdout is not None
        try:
            with told_to_end():
                for line in process.stdout:
                    heard.line(line.rstrip("\n"))
                if process.wait():
                    raise heard.failure(f"a rank failed (horovodrun ended with {process.returncode})")
        finally:
            _end(process)


def _horovodrun() -> str:
    beside = Path(sys.executable).with_name("horovodrun")
    if not beside.exists():
        raise RanksFailed(f"{beside} is missing: make the environment with `make setup`")
    return str(beside)


@contextmanager
def _handed_over(task: Task, folder: Path | None) -> Iterator[str]:
    """A file with the task and all variables of this process, which none but its user can read."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    hidden = {name: value for name, value in os.environ.items() if not OPEN.fullmatch(name)}
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix="ranks-", suffix=".json", delete=False) as file:
        file.write(replace(task, environment=hidden | task.environment).as_json())
    try:
        yield file.name
    finally:
        Path(file.name).unlink(missing_ok=True)


def _open_environment() -> dict[str, str]:
    """Ranks import what this process imports, and keep to themselves what libraries say of each other."""
    shown = {name: value for name, value in os.environ.items() if OPEN.fullmatch(name)}
    project = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [project, os.environ.get("PYTHONPATH")]))
    return QUIET | shown | {"PYTHONPATH": path}


@contextmanager
def told_to_end() -> Iterator[None]:
    """Makes an exception of the signal that schedulers send, so that what was started is ended too."""
    if threading.current_thread() is not threading.main_thread():  # where Python has no say in signals
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
