"""Runs ranks on the executors of a Spark application, with Horovod.

Horovod hands on what a rank says when 64 KB of it are there; so each rank calls the driver itself, and says it
line by line. Its call is also how it learns that the driver is gone, and the driver that a rank is.
"""

import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import PurePath
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import TYPE_CHECKING

from conf.schema import Train
from jobs import rank
from jobs.launch import QUIET, Heard, RanksFailed, told_to_end

if TYPE_CHECKING:
    from pyspark import SparkContext

CANCELLED = "[SPARK_JOB_CANCELLED]"


def run_on_executors(context: "SparkContext", task: rank.Task, train: Train) -> None:
    """Runs the task as `train.ranks` Spark tasks at once; raises `RanksFailed` where one does not end well.

    Ends all of them when this process is told to end, or killed.
    """
    import cloudpickle
    import horovod.spark
    from horovod.runner.common.util.timeout import TimeoutException

    cloudpickle.register_pickle_by_value(rank)  # Horovod's process does not look into the wheels of Spark
    conf = context.getConf()
    shipped = [PurePath(each) for each in (conf.get("spark.submit.pyFiles") or "").split(",")]
    packages = [each.name for each in shipped if each.suffix in (".whl", ".zip", ".egg")]
    host = conf.get("spark.driver.host", "localhost")
    heard = Heard()
    calls = Calls(conf.get("spark.driver.bindAddress", host), heard)
    with calls, told_to_end(), signals_kept(), threads_heard(heard):
        try:
            horovod.spark.run(
                rank.on_executor,
                args=(task, packages, (host, calls.server_address[1]), calls.token),
                num_proc=train.ranks,
                use_gloo=True,
                env=dict(QUIET),
                nics=[train.interface] if train.interface else None,
                verbose=0,
                executable=context.pythonExec,
            )
        except TimeoutException:
            raise RanksFailed(
                f"the executors of {context.master} had no place for {train.ranks} ranks at once, each of "
                "spark.task.cpus cores: give the application more cores, or set train.ranks lower",
                is_said=True,
            ) from None
        except Exception as error:
            raise heard.failure(f"a rank failed ({error})") from None


class Calls(ThreadingTCPServer):
    """A server that the ranks call, and speak to: lines as horovodrun writes them, the first one `TOKEN RANK`.

    Within it calls are answered. A rank that ends badly, or whose call breaks off, ends all other calls, and so the ranks.
    """

    daemon_threads = True
    request_queue_size = 1024  # all ranks call at once

    def __init__(self, address: str, heard: Heard):
        super().__init__((address, 0), Call)
        self.heard, self.token = heard, secrets.token_hex(32)
        self.open: set[socket.socket] = set()

    def __enter__(self) -> "Calls":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end_all()
        self.shutdown()
        self.server_close()

    def end_all(self) -> None:
        for each in list(self.open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


class Call(StreamRequestHandler):
    """Of one rank."""

    server: Calls

    def handle(self) -> None:
        token, _, number = self.rfile.readline().decode(errors="replace").strip().partition(" ")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return
        heard, last = self.server.heard, ""
        self.server.open.add(self.request)
        if heard.lost:  # before this one had called
            self.server.end_all()
        with suppress(OSError):
            for line in self.rfile:
                last = line.decode(errors="replace").rstrip("\n")
                heard.line(last)
        self.server.open.discard(self.request)
        if not last.startswith(f"Process {number} exit"):
            heard.lose(int(number), "was lost with its executor")
        if heard.lost:
            self.server.end_all()


@contextmanager
def threads_heard(heard: Heard) -> Iterator[None]:
    """Within it, what a thread of Horovod's dies of is kept, and not printed; nothing where it was only told to end."""

    def hear(died: threading.ExceptHookArgs) -> None:
        if CANCELLED not in (text := str(died.exc_value)):
            heard.kept.extend(line for line in text.splitlines() if not line.startswith("\tat "))

    before, threading.excepthook = threading.excepthook, hear
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def signals_kept() -> Iterator[None]:
    """Horovod takes these signals for itself, and fails as if a rank had: at the end of this they do what they did."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {int(number): signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    woken = signal.set_wakeup_fd(writer)
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        came = os.read(reader, 100)
        os.close(reader)
        for number in came:
            if number in before:
                signal.raise_signal(number)
