"""A rank on its host: started, handed what it gets, and ended with its launcher, even with one that was killed.

    python -m jobs.rank FILE

FILE is the JSON of a `Task`; standard input stays open for as long as the launcher lives. What a rank is told is
so on no command line, which every user of a host can read. This module imports nothing but Python's own: Spark's
executors get it from the driver.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Any, BinaryIO

PR_SET_PDEATHSIG = 1
PATIENCE = 5  # seconds


@dataclass(frozen=True)
class Task:
    """What each rank runs: `python -m module arguments…`."""

    module: str
    arguments: Sequence[str] = ()
    text: str = ""  # its standard input
    folder: str = field(default_factory=os.getcwd)  # where it runs, if the host has it
    environment: dict[str, str] = field(default_factory=dict)  # beside what the host says itself

    def as_json(self) -> str:
        return json.dumps(asdict(self))


def started(task: Task, **streams: Any) -> subprocess.Popen[bytes]:
    """The rank as a process, which ends when this one is gone."""
    process = subprocess.Popen(
        [sys.executable, "-m", task.module, *task.arguments],
        cwd=task.folder if os.path.isdir(task.folder) else None,
        env=task.environment | dict(os.environ),
        stdin=subprocess.PIPE,
        preexec_fn=at_parents_end(signal.SIGKILL),
        **streams,
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(task.text.encode())
    return process


def at_parents_end(number: signal.Signals) -> Callable[[], None]:
    """For a child to call before it starts: the kernel sends it this signal when its parent is gone, even killed."""
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, number)


def attended(process: subprocess.Popen[bytes], launcher: int) -> int | None:
    """The exit code of a process that has ended, 128 + n after signal n; none where the launcher did, and it therefore.

    launcher  a file that the launcher holds open and writes nothing to
    """
    end = os.pidfd_open(process.pid)
    ready, _, _ = select.select([end, launcher], [], [])
    os.close(end)
    if not (is_over := end in ready):
        process.kill()
    code = process.wait()
    if not is_over:
        return None
    return code if code >= 0 else 128 - code


def wrong_name() -> str:
    """Why other hosts could not reach a rank of this one; nothing: they can.

    Horovod 0.28 gives them the address that the host's own name stands for, whatever its interface.
    """
    name, address = socket.gethostname(), "nothing"
    with suppress(OSError):
        address = socket.gethostbyname(name)
    if os.environ.get("HOROVOD_CROSS_SIZE", "1") == "1" or not address.startswith(("127.", "nothing")):
        return ""
    return f"the name {name} of this host stands for {address} here: put its network address into /etc/hosts"


def on_executor(task: Task, packages: Sequence[str], launcher: tuple[str, int], token: str) -> None:
    """What Horovod calls in its process on an executor: the rank's words go to the launcher's address, line by line.

    packages  names of wheels that Spark brought into this folder
    """
    rank, lock = os.environ["HOROVOD_RANK"], Lock()
    with unpacked(packages) as folder, socket.create_connection(launcher) as call:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))

        def tell(text: str) -> None:
            with lock, suppress(OSError):  # a launcher that is gone is seen by `attended`
                call.sendall(f"{text}\n".encode())

        tell(f"{token} {rank}")
        if wrong := wrong_name():
            tell(f"[{rank}]<stderr>:error: {wrong}")
        code = 2 if wrong else passed_on(task, f"[{rank}]", tell, call.fileno())
        tell(f"Process {rank} exit with status code {code}.")
    if code != 0:
        os._exit(1 if code is None else code)


def passed_on(task: Task, prefix: str, tell: Callable[[str], None], launcher: int) -> int | None:
    """The rank's exit code, as `attended`, after each line of its two streams was told."""
    process = started(task, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def listen(stream: BinaryIO, name: str) -> None:
        for line in stream:
            tell(f"{prefix}<{name}>:" + line.decode(errors="replace").rstrip("\n"))

    streams = (process.stdout, "stdout"), (process.stderr, "stderr")
    listeners = [Thread(target=listen, args=each) for each in streams]
    for each in listeners:
        each.start()
    code = attended(process, launcher)
    for each in listeners:
        each.join()
    return code


@contextmanager
def unpacked(packages: Sequence[str]) -> Iterator[str]:
    """A folder with what is in the wheels that are here: MLflow reads a model's code from a file, not from an archive."""
    with tempfile.TemporaryDirectory() as folder:
        for name in filter(os.path.exists, packages):
            with zipfile.ZipFile(name) as wheel:
                wheel.extractall(folder)
        yield folder


def main(path: str) -> int:
    try:
        task = Task(**json.loads(Path(path).read_text()))
    except FileNotFoundError:
        if not select.select([sys.stdin], [], [], PATIENCE)[0]:  # else it is over already
            host = socket.gethostname()
            print(
                f"error: {path} is not on {host}: train.checkpoints must be shared by all hosts",
                file=sys.stderr,
            )
        return 2
    if wrong := wrong_name():
        print(f"error: {wrong}", file=sys.stderr)
        return 2
    code = attended(started(task), sys.stdin.fileno())
    if code is None:  # after a launcher that was killed nobody else would remove it
        Path(path).unlink(missing_ok=True)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
