"""Leases: who may write. A job holds the lease of what it writes for as long as it runs.

A lease is a folder of the lake, and who takes it puts the next numbered file there, as Delta puts a commit: of several
one succeeds. It is no Delta table, since a row of one takes seconds of a night to read and to write; the rule is the same.

    leases/writer/00000000000000000007.json      taken for the seventh time, by whom and since when
    leases/_alive/CLAIM                          touched by its holder, three times as often as it must; gone: released
    leases/_done/CLAIM                           released with the work done

No signs of life need Spark, where all cores may be busy. Who takes a lease that was not released first lets fail what
its holder has under way: should that only have slept, it ends at its next question. So what is right never depends on
clocks. The time of a file is its store's, and `seconds` alone says how long a silence is believed.
"""

import json
import os
import socket
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any, NamedTuple

from py4j.protocol import Py4JJavaError

from features.lake import Lake
from features.predictions import PREDICTIONS
from features.table import Table

FOLDER = "leases"
WRITER = "writer"
KEPT = 10  # files of a lease, for who wants to know


class Holder(NamedTuple):
    """Who wants a lease."""

    job: str
    arguments: str  # that it was given, without those that can hold a secret
    seconds: int  # without a sign of life, after which another may take it


@dataclass(frozen=True)
class Held:
    """A lease as it was taken."""

    name: str
    token: int  # how often it was taken
    claim: str  # this time, and no other
    job: str
    arguments: str
    seconds: int
    host: str
    process: int
    since: str

    def is_by_twin(self, holder: Holder) -> bool:
        """Whether its holder does the same work."""
        return (self.job, self.arguments) == (holder.job, holder.arguments)

    def __str__(self) -> str:
        """`nightly ds=2026-11-02 (process 4711 on night-shift, since 2026-11-02 23:10:00 UTC)`."""
        what = " ".join(word for word in (self.job, self.arguments) if word)
        return f"{what} (process {self.process} on {self.host}, since {self.since} UTC)"


class LeaseHeld(RuntimeError):
    """Another holds the lease."""

    def __init__(self, held: Held):
        super().__init__(f"the lease {held.name} is held by {held}")
        self.held = held


class LeaseLost(RuntimeError):
    """Another has taken the lease of a holder that gave no sign of life."""


@dataclass(frozen=True)
class Lease:
    """What a holder has in hand: all its leases, under one claim."""

    lake: Lake
    claim: str
    seconds: int
    names: tuple[str, ...]
    before: tuple[Held, ...]  # who had them, and whose signs are there until it is held

    def guard(self, table: Table) -> None:
        """Refuses a commit to `table` where another has taken its lease."""
        own = [name for name in self.names if name.startswith(f"{PREDICTIONS.name}/")]
        name = own[0] if own and table == PREDICTIONS else WRITER
        if name not in self.names:
            raise AssertionError(
                f"to write {table.name} takes the lease {name}: {', '.join(self.names)} is held"
            )
        now = newest(self.lake, name)
        if now is None or now.claim != self.claim:
            raise LeaseLost(
                f"the lease {name} was taken by {now or 'nobody known'}, since this run gave no sign of life: it writes "
                "nothing more. What it had finished stays, and the other goes on from there"
            )


def scoring(ds: str, task: str) -> str:
    """The name of the lease of one night's predictions of one task."""
    return f"{PREDICTIONS.name}/ds={ds}/task={task}"


def take(lake: Lake, names: Sequence[str], holder: Holder) -> Lease:
    """Takes all the leases or none. Raises `LeaseHeld` where another holds one."""
    claim = uuid.uuid4().hex
    touch(lake, alive(claim))  # before the lease: who finds that finds its holder alive
    try:
        before = [take_one(lake, name, claim, holder) for name in sorted(names)]
    except LeaseHeld:
        # After anything else the file stays: who was to be barred may not be, and the next one does it.
        remove(lake, alive(claim))
        raise
    return Lease(lake, claim, holder.seconds, tuple(names), tuple(filter(None, before)))


def take_one(lake: Lake, name: str, claim: str, holder: Holder) -> Held | None:
    """Takes one lease, and bars the way to a holder that did not release it. Returns who had it before."""
    before = newest(lake, name)
    if before and is_alive(lake, before, claim):
        raise LeaseHeld(before)
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    token = before.token + 1 if before else 1
    put(lake, Held(name, token, claim, *holder, socket.gethostname(), os.getpid(), since))
    now = newest(lake, name)
    assert now is not None, "a lease that was taken is there"
    if now.claim != claim:
        raise LeaseHeld(now)
    if before and touched(lake, alive(before.claim)) is not None:
        lake.bar(f"{name} {token}", only=None if name == WRITER else PREDICTIONS)
    return before


def clear(lake: Lake, held: Held) -> None:
    """Removes what a holder left that has a follower: its signs, which may be of several leases, and what is too old."""
    for name in (alive(held.claim), done(held.claim), file(held.name, held.token + 1 - KEPT)):
        remove(lake, name)


@contextmanager
def holding(lease: Lease) -> Iterator[None]:
    """Within it the lease is kept alive, and what is written is guarded; then it is released."""
    is_done = False
    try:
        with kept_alive(lease), lease.lake.guarded(lease.guard):
            for held in lease.before:
                clear(lease.lake, held)
            yield
        is_done = True
    finally:
        if is_done:
            touch(lease.lake, done(lease.claim))
        release(lease)


def release(lease: Lease) -> None:
    """Lets others take the leases at once."""
    remove(lease.lake, alive(lease.claim))


@contextmanager
def kept_alive(lease: Lease) -> Iterator[None]:
    """Within it a thread gives signs of life."""
    is_over = Event()

    def give_signs() -> None:
        while not is_over.wait(lease.seconds / 3):
            try:
                touch(lease.lake, alive(lease.claim))
            except Exception as error:  # the next one may come through; a night need not end for it
                print(f"leases: no sign of life could be given: {error}", flush=True)

    giver = Thread(target=give_signs, daemon=True)
    giver.start()
    try:
        yield
    finally:
        is_over.set()
        giver.join()


def is_alive(lake: Lake, held: Held, claim: str) -> bool:
    """Whether a holder lives, by the clock that gave `claim` its time a moment ago."""
    last, now = touched(lake, alive(held.claim)), touched(lake, alive(claim))
    if last is None or now is None or now - last > held.seconds:
        return False
    return held.host != socket.gethostname() or is_running(held.process)


def is_running(process: int) -> bool:
    """Whether a process of this machine is there, asleep or awake."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_done(lake: Lake, held: Held) -> bool:
    """Whether a lease was released with the work done."""
    return touched(lake, done(held.claim)) is not None


def newest(lake: Lake, name: str) -> Held | None:
    """How a lease was taken last."""
    hadoop, system = lake.file_system()
    folder = hadoop.Path(f"{lake.root}/{FOLDER}/{name}")
    found = [str(x.getPath().getName()) for x in system.listStatus(folder)] if system.exists(folder) else []
    numbered = [each for each in found if each[0].isdigit() and each.endswith(".json")]
    if not numbered:
        return None
    return Held(**json.loads("".join(lake.lines(f"{folder.toString()}/{max(numbered)}"))))


def put(lake: Lake, held: Held) -> None:
    """Puts the file of a lease, unless there is one of its number."""
    hadoop, system = lake.file_system()
    jvm: Any = lake.spark._jvm
    lines = jvm.java.util.Collections.singletonList(json.dumps(asdict(held))).iterator()
    scala = jvm.scala.jdk.javaapi.CollectionConverters.asScala(lines)
    path = hadoop.Path(f"{lake.root}/{file(held.name, held.token)}")
    system.mkdirs(path.getParent())
    try:
        lake.log_store().write(path, scala, False, lake.spark._jsc.hadoopConfiguration())
    except Py4JJavaError as error:
        if name_of(error) != "FileAlreadyExistsException":
            raise


def touch(lake: Lake, name: str) -> None:
    """Makes an empty file anew."""
    hadoop, system = lake.file_system()
    system.create(hadoop.Path(f"{lake.root}/{name}"), True).close()


def touched(lake: Lake, name: str) -> float | None:
    """When a file was touched, in seconds since 1970 by the clock of its store; none where there is none."""
    hadoop, system = lake.file_system()
    try:
        return system.getFileStatus(hadoop.Path(f"{lake.root}/{name}")).getModificationTime() / 1000
    except Py4JJavaError as error:
        if name_of(error) != "FileNotFoundException":
            raise
        return None


def remove(lake: Lake, name: str) -> None:
    """Removes a file, if it is there."""
    hadoop, system = lake.file_system()
    system.delete(hadoop.Path(f"{lake.root}/{name}"), False)


def name_of(error: Py4JJavaError) -> str:
    return error.java_exception.getClass().getSimpleName()


def file(name: str, token: int) -> str:
    return f"{FOLDER}/{name}/{token:020d}.json"


def alive(claim: str) -> str:
    return f"{FOLDER}/_alive/{claim}"


def done(claim: str) -> str:
    return f"{FOLDER}/_done/{claim}"
