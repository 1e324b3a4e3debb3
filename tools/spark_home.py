"""Makes this environment's pyspark a Spark that finds Delta, stays quiet and runs this environment's Python.

    .venv/bin/python tools/spark_home.py        a few seconds the first time (8 MB of jars), then instant

- pyspark/jars gets Delta's jars (spark/jars.txt): fetched by the Ivy that pyspark ships, their SHA-256
  compared, kept in the user's cache.
- pyspark/conf gets spark/spark-defaults.conf, spark/log4j2.properties and spark/spark-env.sh.
- bin/find-spark-home is replaced: pyspark's own asks whichever `python3` is on the PATH, and fails where
  that one has no pyspark.
- Python sets defaults for the process's environment when it starts (a .pth file): PYSPARK_PYTHON, so that a
  session made by `python -m jobs...` has workers of the same Python; TensorFlow's log without its INFO lines.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pyspark

SETTINGS = Path(__file__).resolve().parent / "spark"
SPARK_HOME = Path(pyspark.__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footfall" / "jars"

FIND_SPARK_HOME = """\
# Written by tools/spark_home.py: the Spark and the Python of this environment, unless told otherwise.
export SPARK_HOME="${{SPARK_HOME:-{spark_home}}}"
export PYSPARK_PYTHON="${{PYSPARK_PYTHON:-{python}}}"
"""
PYTHON_STARTUP = """\
import os, sys; os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
import os; os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
"""


class Jar(NamedTuple):
    organisation: str
    module: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.module}-{self.version}.jar"

    def is_at(self, path: Path) -> bool:
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == self.sha256


def main() -> None:
    install_jars(read_jars(SETTINGS / "jars.txt"))
    install_conf()
    install_python()


def read_jars(path: Path) -> list[Jar]:
    lines = path.read_text().splitlines()
    return [Jar(*line.split()) for line in lines if line.strip() and not line.startswith("#")]


def install_jars(jars: list[Jar]) -> None:
    wanted = {jar.file for jar in jars}
    for jar in jars:
        for other in SPARK_HOME.glob(f"jars/{jar.module}-*.jar"):
            if other.name not in wanted:
                other.unlink()  # another version of Delta, from before an upgrade

    absent = [jar for jar in jars if not jar.is_at(CACHE / jar.file)]
    if absent:
        fetch(absent)
    for jar in jars:
        if not jar.is_at(SPARK_HOME / "jars" / jar.file):
            write(SPARK_HOME / "jars" / jar.file, (CACHE / jar.file).read_bytes())


def fetch(jars: list[Jar]) -> None:
    """Brings jars into the cache with Ivy, without what they depend on."""
    print(f"  fetching {', '.join(jar.file for jar in jars)}", flush=True)
    with tempfile.TemporaryDirectory() as work:
        module = Path(work) / "ivy.xml"
        module.write_text(
            '<ivy-module version="2.0"><info organisation="footfall" module="jars"/><dependencies>'
            + "".join(
                f'<dependency org="{org}" name="{name}" rev="{version}" transitive="false"/>'
                for org, name, version, _ in jars
            )
            + "</dependencies></ivy-module>"
        )
        java = Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
        ivy = next(SPARK_HOME.glob("jars/ivy-*.jar"))
        command = [java, "-jar", ivy, "-warn", "-settings", SETTINGS / "ivysettings.xml", "-ivy", module]
        command += ["-cache", f"{work}/cache", "-confs", "default", "-types", "jar"]
        command += ["-retrieve", f"{work}/[artifact]-[revision].[ext]"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        for jar in jars:
            fetched = Path(work) / jar.file
            if not fetched.is_file():
                print(done.stdout, done.stderr, file=sys.stderr)
                sys.exit(f"  could not fetch {jar.file}: is Maven's repository reachable?")
            if not jar.is_at(fetched):
                sys.exit(f"  {jar.file} is not what tools/spark/jars.txt expects (SHA-256): not installed")
            write(CACHE / jar.file, fetched.read_bytes())


def install_conf() -> None:
    defaults = (SETTINGS / "spark-defaults.conf").read_text()
    defaults += f"\n# This environment's Python\nspark.pyspark.python               {sys.executable}\n"
    write(SPARK_HOME / "conf" / "spark-defaults.conf", defaults.encode())
    for name in ("log4j2.properties", "spark-env.sh"):
        write(SPARK_HOME / "conf" / name, (SETTINGS / name).read_bytes())


def install_python() -> None:
    script = FIND_SPARK_HOME.format(spark_home=SPARK_HOME, python=sys.executable)
    write(Path(sys.prefix) / "bin" / "find-spark-home", script.encode(), mode=0o755)
    write(SPARK_HOME.parent / "footfall_defaults.pth", PYTHON_STARTUP.encode())


def write(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replaces a file whole. Never in place: uv's files are hard links into its cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_bytes(content)
    new.chmod(mode)
    new.replace(path)


if __name__ == "__main__":
    main()
