"""A real PostgreSQL for tests: a server in a temporary folder, reached by a Unix socket alone, with a password.

from tests.postgresql import postgresql  # noqa: F401, a fixture of the session: its connection string
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tools import postgresql as tool

PASSWORD = "not-to-be-seen"
QUICK = ("fsync=off", "max_connections=40")


@contextmanager
def server() -> Iterator[str]:
    """A server while the block runs; gives the connection string of a database of its own."""
    folder = Path(mkdtemp(prefix="pg"))  # short: the path of a socket may have 107 bytes
    folder.chmod(0o755)
    password = folder / "password"
    password.write_text(PASSWORD + "\n")
    try:
        with tool.server(folder / "server", password, QUICK) as socket:
            yield f"host={socket} dbname={tool.DATABASE} user={tool.USER} password={PASSWORD}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The connection string of a server for all tests of this run."""
    with server() as dsn:
        yield dsn
