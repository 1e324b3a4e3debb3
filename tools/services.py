"""MLflow's server on PostgreSQL, on this machine, until Ctrl-C: `make services`.

    python -m tools.services [FOLDER] [PORT]        var/services and 5000 where nothing is said

Both keep what they have in FOLDER: start it again, and it is there. PostgreSQL is reached by a Unix socket alone, MLflow on
127.0.0.1; the password is made once and stands in a file that none but its owner can read. Jobs then take

    registry=http://127.0.0.1:5000 artifacts=mlflow-artifacts:/
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tools.postgresql import DATABASE, SECONDS, USER, server

HOST = "127.0.0.1"


@contextmanager
def services(folder: Path, port: int) -> Iterator[str]:
    """Both servers while the block runs; gives the address of MLflow."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    password = folder / "password"
    if not password.exists():
        password.touch(0o600)
        password.write_text(secrets.token_urlsafe(24))
    with server(folder / "postgresql", password) as socket, mlflow(folder, port, socket, password) as address:
        yield address


@contextmanager
def mlflow(folder: Path, port: int, socket: str, password: Path) -> Iterator[str]:
    """MLflow's server, which is told of PostgreSQL by its environment: a command line is everybody's to read."""
    store = f"postgresql+psycopg2://{USER}@/{DATABASE}?host={socket}"
    environment = os.environ | {
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_ARTIFACTS_DESTINATION": (folder / "artifacts").as_uri(),
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # a dozen processes for what nobody here asks of it
        "PGPASSWORD": password.read_text().strip(),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        HOST,
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    address = f"http://{HOST}:{port}"
    with (folder / "mlflow.log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(process, address, folder / "mlflow.log")
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # its workers too
        process.wait(SECONDS)


def wait_for(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Waits until MLflow answers; the first time it makes its tables, which takes a while."""
    for _ in range(SECONDS * 4):
        if process.poll() is not None:
            break
        try:
            urlopen(f"{address}/health", timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"MLflow did not come up; the end of {log}:\n{log.read_text()[-2000:]}")


def main(folder: str = "var/services", port: str = "5000") -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("services: starting PostgreSQL and MLflow", flush=True)
    with services(Path(folder), int(port)) as address:
        print(
            f"services: {address}; jobs take registry={address} artifacts=mlflow-artifacts:/  (Ctrl-C ends it)"
        )
        sys.stdout.flush()
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("services: ending", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
