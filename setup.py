"""Footfall as a package: what `spark-submit --py-files` ships, and what `make setup` installs in place.

The import names are the folders' names (`from features.sessions import ...`); `conf` is a package so that a
job run from the wheel finds its configuration.

- TensorFlow is an extra, because it is one of two distributions: `footfall[cpu]` or `footfall[gpu]`.
- Horovod is in neither: its wheel is compiled for the machine (tools/horovod_wheel.sh).
- `[airflow]` names what the DAGs need. Airflow's Spark provider brings `pyspark-client`, which overwrites
  files of pyspark: give Airflow an environment of its own and install this wheel in it with `--no-deps`.
"""

import os
import subprocess
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOLDERS = ["features", "models", "jobs", "conf", "reports", "serving", "airflow_dags"]


def runtime() -> list[str]:
    """The requirements of requirements/runtime.in, without their comments."""
    lines = (ROOT / "requirements/runtime.in").read_text().splitlines()
    return [name for line in lines if (name := line.split("#")[0].strip())]


class BuildPy(build_py):
    """Writes the commit that a wheel is built from into it: models/environment.py reads it there."""

    def run(self):
        super().run()
        commit = os.environ.get("FOOTFALL_COMMIT") or commit_of(ROOT)
        if commit and not self.editable_mode:  # an editable install is the checkout, which knows it better
            Path(self.build_lib, "models/commit.txt").write_text(commit + "\n")


def commit_of(checkout: Path) -> str | None:
    """With `+` where files differ from it; none where it is no checkout of its own."""
    if not (checkout / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=checkout, capture_output=True, text=True, check=True
        ).stdout

    try:
        return git("rev-parse", "HEAD").strip() + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


tensorflow = [name for name in runtime() if name.startswith("tensorflow")]

setup(
    name="footfall",
    version="0.1.0",
    description="What each user does next, from raw behaviour logs, every night",
    python_requires=">=3.11,<3.12",
    packages=find_namespace_packages(
        include=[pattern for name in FOLDERS for pattern in (name, f"{name}.*")]
    ),
    package_data={"": ["*.yaml", "*.html", "*.j2", "*.css", "*.js", "*.svg", "*.sql"]},
    install_requires=[name for name in runtime() if name not in tensorflow],
    cmdclass={"build_py": BuildPy},
    extras_require={
        "cpu": tensorflow,
        "gpu": ["tensorflow[and-cuda]==2.15.1"],
        "wandb": ["wandb==0.28.0"],
        "airflow": ["apache-airflow==3.3.2", "apache-airflow-providers-apache-spark==6.3.4"],
    },
)
