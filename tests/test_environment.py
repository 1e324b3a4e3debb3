"""The environment that set-up makes: Spark takes its classes from the archive, and its defaults from spark-defaults.conf."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

SUBMIT = str(Path(sys.executable).parent / "spark-submit")


def version_by(**environment: str) -> subprocess.CompletedProcess[str]:
    """A `spark-submit` that says its version and ends, by a Java that refuses to start without its archive."""
    strict = {**os.environ, "SPARK_SUBMIT_OPTS": "-Xshare:on -Xlog:cds*=warning", **environment}
    return subprocess.run([SUBMIT, "--version"], env=strict, capture_output=True, text=True, timeout=300)


def test_a_driver_takes_its_classes_from_the_archive():
    assert version_by().returncode == 0


@pytest.mark.parametrize("package", ["tensorflow", "mlflow", "pyarrow"])
def test_packages_are_compiled_already(package):
    """Python may be told to keep nothing that it compiles, and then compiles TensorFlow in every process."""
    found = importlib.util.find_spec(package)
    assert found is not None and found.cached is not None
    assert Path(found.cached).exists()


def test_the_driver_of_a_night_does_without_tensorflow():
    """It is the workers' to load, and takes seconds."""
    told = "import sys, jobs.nightly, jobs.promote; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr


def test_a_java_that_does_not_fit_the_archive_is_told_apart():
    """Without this the test before it could not fail."""
    unlike = version_by(SPARK_SUBMIT_OPTS="-Xshare:on -XX:-UseCompressedOops -XX:-UseCompressedClassPointers")
    assert unlike.returncode != 0


def test_a_java_that_does_not_fit_starts_without_it_and_says_nothing_of_it():
    quiet = version_by(SPARK_SUBMIT_OPTS="-XX:-UseCompressedOops -XX:-UseCompressedClassPointers")
    assert quiet.returncode == 0
    assert "archive" not in quiet.stdout + quiet.stderr


def test_a_configuration_of_one_s_own_is_read_instead(tmp_path):
    (tmp_path / "spark-defaults.conf").write_text("spark.driver.memory 300m\n")
    (tmp_path / "spark-env.sh").write_text(f"touch {tmp_path}/read\n")
    assert version_by(SPARK_CONF_DIR=str(tmp_path), SPARK_SUBMIT_OPTS="").returncode == 0
    assert (tmp_path / "read").exists()


@pytest.mark.parametrize(("name", "value"), [("spark.ui.enabled", "false"), ("spark.log.level", "ERROR")])
def test_a_session_has_the_defaults(spark, name, value):
    assert spark.conf.get(name) == value


def test_a_session_has_the_memory_of_the_defaults(spark):
    assert 5 * 2**30 < spark._jvm.java.lang.Runtime.getRuntime().maxMemory() < 6 * 2**30
