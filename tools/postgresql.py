"""A PostgreSQL server of our own in a folder: reached by a Unix socket there alone, with a password, and never as root."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

USER, DATABASE = "footfall", "postgres"
SECONDS = 120  # in which a server must have come up, or down


def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs, which Debian keeps off the path: of the newest release that is there."""
    found = shutil.which(name) or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if not found:
        raise FileNotFoundError(f"there is no {name}: install the package postgresql")
    return found


@contextmanager
def server(folder: Path, password: Path, settings: Sequence[str] = ()) -> Iterator[str]:
    """A server while the block runs, with its data and its socket in `folder`; gives the socket's folder.

    password  the file of it, which is read when the data are made;  settings  of the server, `fsync=off` and the like
    """
    as_whom: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:  # it refuses to run as root
        as_whom = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody", "nogroup")
    quiet = {"cwd": folder, "stdout": subprocess.DEVNULL, **as_whom}
    if not (folder / "data" / "PG_VERSION").exists():
        shown = folder / "password"  # to the server's user, who may not read ours, for as long as it takes
        shown.touch(0o600)
        shown.write_bytes(password.read_bytes())
        if as_whom:
            shutil.chown(shown, "nobody", "nogroup")
        command = [binary("initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", "--locale=C"]
        try:
            subprocess.run([*command, "-A", "scram-sha-256", f"--pwfile={shown}"], check=True, **quiet)
        finally:
            shown.unlink()
    command = [binary("postgres"), "-D", str(folder / "data"), "-k", str(folder)]
    for setting in ("listen_addresses=", *settings):
        command += ["-c", setting]
    log = folder / "log"
    with log.open("a") as errors:
        process = subprocess.Popen(command, stderr=errors, start_new_session=True, **quiet)
    try:
        wait_for(process, folder, password, log)
        yield str(folder)
    finally:
        process.send_signal(signal.SIGINT)  # it ends all connections, and then itself
        process.wait(SECONDS)


def wait_for(process: subprocess.Popen[bytes], folder: Path, password: Path, log: Path) -> None:
    """Waits until the server answers."""
    import psycopg

    secret = password.read_text().strip()
    for _ in range(SECONDS * 10):
        if process.poll() is not None:
            break
        try:
            psycopg.connect(host=str(folder), dbname=DATABASE, user=USER, password=secret).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not come up; the end of {log}:\n{log.read_text()[-2000:]}")
