"""One real Spark for all tests, and lakes that live as long as a test."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable

from pyspark.sql import SparkSession

from conf.load import load
from conf.schema import Config
from features.lake import Lake
from jobs.job import open_lake

SPARK = ["spark.master='local[2]'", "spark.shuffle_partitions=2"]
PLAIN = "privacy.ids=plain"  # of a test that is not about keys: users keep their names


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark of this run; shuffles of two partitions, since tests are small."""
    conf = load([*SPARK, f"lake={tmp_path_factory.mktemp('lake')}"])
    session = open_lake(conf, "tests").spark
    yield session
    session.stop()


@pytest.fixture(scope="session", autouse=True)
def models_go_before_tensorflow() -> Iterator[None]:
    """Lets go of the models that scoring keeps for its process: at the interpreter's end TensorFlow is gone first."""
    yield
    for module, kept in (("models.scoring", "load"), ("models.label_scoring", "loaded")):
        if module in sys.modules:
            getattr(sys.modules[module], kept).cache_clear()
    gc.collect()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def conf(tmp_path: Path) -> Config:
    """A shop that logs in the plain format, in this test's folders."""
    return load(
        [
            *SPARK,
            "source=plain",
            PLAIN,
            "ds=2026-11-02",
            f"raw={tmp_path / 'raw'}",
            f"lake={tmp_path / 'lake'}",
            f"registry=sqlite:///{tmp_path / 'mlflow.db'}",
            f"artifacts={tmp_path / 'artifacts'}",
        ]
    )


@pytest.fixture
def bare(spark: SparkSession) -> Iterator[None]:
    """Parquet without compression: what stands in it can be found in its bytes."""
    codec = "spark.sql.parquet.compression.codec"
    before = spark.conf.get(codec)
    spark.conf.set(codec, "uncompressed")
    yield
    spark.conf.set(codec, before or "snappy")
