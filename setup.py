"""Footfall as a package: what `spark-submit --py-files` ships, and what `make setup` installs in place.

The import names are the folders' names (`from features.sessions import ...`); `conf` is a package so that a
job run from the wheel finds its configuration.

- TensorFlow is an extra, because it is one of two distributions: `footfall[cpu]` or `footfall[gpu]`.
- Horovod is in neither: its wheel is compiled for the machine (tools/horovod_wheel.sh).
- `[airflow]` names what the DAGs need. Airflow's Spark provider brings `pyspark-client`, which overwrites
  files of pyspark: give Airflow an environment of its own and install this wheel in it with `--no-deps`.
"""

from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).parent
FOLDERS = ["features", "models", "jobs", "conf", "reports", "airflow_dags"]


def runtime() -> list[str]:
    """The requirements of requirements/runtime.in, without their comments."""
    lines = (ROOT / "requirements/runtime.in").read_text().splitlines()
    return [name for line in lines if (name := line.split("#")[0].strip())]


tensorflow = [name for name in runtime() if name.startswith("tensorflow")]

setup(
    name="footfall",
    version="0.1.0",
    description="What each user does next, from raw behaviour logs, every night",
    python_requires=">=3.11,<3.12",
    packages=find_namespace_packages(
        include=[pattern for name in FOLDERS for pattern in (name, f"{name}.*")]
    ),
    package_data={"": ["*.yaml", "*.html", "*.j2", "*.css", "*.sql"]},
    install_requires=[name for name in runtime() if name not in tensorflow],
    extras_require={
        "cpu": tensorflow,
        "gpu": ["tensorflow[and-cuda]==2.15.1"],
        "airflow": ["apache-airflow==3.3.2", "apache-airflow-providers-apache-spark==6.3.4"],
    },
)
