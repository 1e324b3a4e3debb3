"""A real PostgreSQL for tests: a server in a temporary folder, reached by a Unix socket alone, with a password.

from tests.postgresql import postgresql  # noqa: F401, a fixture of the session: its connection string
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

PASSWORD = "not-to-be-seen"
SECONDS = 60  # in which a server must have come up, or down


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs, which Debian keeps off the path: of the newest release that is there."""
    found = shutil.which(name) or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    assert found, f"there is no {name}: install the package postgresql"
    return found


@contextmanager
def server() -> Iterator[str]:
    """A server while the block runs; gives the connection string of a database of its own."""
    folder = Path(mkdtemp(prefix="pg"))  # short: the path of a socket may have 107 bytes
    # It refuses to run as root.
    as_whom = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    if as_whom:
        shutil.chown(folder, "nobody", "nogroup")
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    password.chmod(0o644)
    command = [
        binary("initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        "footfall",
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
    ]
    command += ["--locale=C", "--no-sync", f"--pwfile={password}"]
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **as_whom}
    subprocess.run(command, check=True, **quiet)
    command = [binary("postgres"), "-D", str(folder / "data"), "-k", str(folder)]
    command += ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=40"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, **quiet)
    try:
        dsn = f"host={folder} dbname=postgres user=footfall password={PASSWORD}"
        wait_for(process, dsn, folder / "log")
        yield dsn
    finally:
        process.send_signal(signal.SIGINT)  # it ends all connections, and then itself
        process.wait(SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for(process: subprocess.Popen[bytes], dsn: str, log: Path) -> None:
    """Waits until the server answers."""
    import psycopg

    for _ in range(SECONDS * 10):
        assert process.poll() is None, log.read_text()
        try:
            psycopg.connect(dsn).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise AssertionError(f"PostgreSQL did not answer in {SECONDS} s:\n{log.read_text()}")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The connection string of a server for all tests of this run."""
    with server() as dsn:
        yield dsn
