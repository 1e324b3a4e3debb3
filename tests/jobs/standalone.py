"""A standalone Spark cluster on this machine, whose Pythons find every package but not this repository."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
QUICK = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"  # over before a second compiler pays
PACKAGED = ("features", "models", "jobs", "conf", "reports", "setup.py", "pyproject.toml", "requirements")

# The environment has this repository installed in place, by a .pth file. Python reads such files in its own
# site-packages, but not in a folder of PYTHONPATH: its base Python thus finds all packages but ours.
PYTHON = str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))
ELSEWHERE = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("PYSPARK_", "SPARK_"))},
    "PYTHONPATH": sysconfig.get_path("purelib"),
    "SPARK_LOCAL_IP": HOST,
    "SPARK_DAEMON_MEMORY": "256m",
    "SPARK_DAEMON_JAVA_OPTS": QUICK,
}


def build_wheel(folder: Path) -> Path:
    """The wheel that `make wheel` makes, from a copy of the sources so that nothing is left in them."""
    sources = folder / "sources"
    sources.mkdir()
    for name in PACKAGED:
        path = ROOT / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, sources / name)
    command = [sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", str(folder)]
    subprocess.run(command, cwd=sources, check=True, capture_output=True)
    return next(folder.glob("footfall-*.whl"))


@dataclass(frozen=True)
class Cluster:
    """A running master and its workers."""

    url: str
    work: Path

    def submit(self, wheel: Path, job: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`spark-submit` of a job with the wheel, from a folder of its own."""
        process = self.start(wheel, job, *arguments, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=1500)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def start(
        self, wheel: Path, job: str, *arguments: str, stderr: int = subprocess.STDOUT
    ) -> subprocess.Popen[str]:
        """Likewise, while it runs."""
        command = [str(BIN / "spark-submit"), "--py-files", str(wheel), "--driver-memory", "1g"]
        command += ["--driver-java-options", QUICK, "--conf", f"spark.executor.extraJavaOptions={QUICK}"]
        command += ["--executor-memory", "1g", "--conf", f"spark.pyspark.python={PYTHON}"]
        command += [str(ROOT / job), "spark=standalone", f"spark.master={self.url}", *arguments]
        return subprocess.Popen(
            command, cwd=self.work, env=ELSEWHERE, stdout=subprocess.PIPE, stderr=stderr, text=True
        )


@contextmanager
def cluster(work: Path, workers: int) -> Iterator[Cluster]:
    """A master and `workers` of one core each on free ports of the loopback; ended when the block ends."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [str(BIN / "spark-class"), f"org.apache.spark.deploy.{name}", "--host", HOST, *arguments]
        log = (work / f"{len(started)}.log").open("wb")
        process = subprocess.Popen(
            [*command, "--webui-port", "0"],
            cwd=work,
            env=ELSEWHERE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        started.append(process)
        return process

    try:
        port = free_port()
        wait_for(port, start("master.Master", "--port", str(port)))
        url = f"spark://{HOST}:{port}"
        for number in range(workers):
            folder = ["--work-dir", str(work / f"worker-{number}")]
            start("worker.Worker", "--cores", "1", "--memory", "1536m", *folder, url)
        yield Cluster(url, work)
    finally:
        for process in reversed(started):
            end(process)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: int = 60) -> None:
    """Returns when something listens on the port; raises where the process ends before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the master ended with {process.returncode}")
        with socket.socket() as caller:
            if caller.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port} after {seconds} s")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a daemon with all that it started."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
