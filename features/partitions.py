"""Into how many partitions a shuffle cuts its rows: more than usual where these are many."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

PARTITIONS = "spark.sql.shuffle.partitions"
ROWS = 500_000
"""Events of a partition: some 200 MB where they are sorted; a core with two gigabytes of heap has room for several."""


@contextmanager
def partitions_for(spark: SparkSession, rows: int) -> Iterator[None]:
    """Within it a shuffle cuts its rows into as many partitions as so many `rows` fill, if that is more than usual.

    Adaptive execution joins partitions that are small and splits none of those that a window or a group needs whole.
    """
    before = str(spark.conf.get(PARTITIONS))
    spark.conf.set(PARTITIONS, str(max(int(before), math.ceil(rows / ROWS))))
    try:
        yield
    finally:
        spark.conf.set(PARTITIONS, before)
