"""Into how many partitions a shuffle cuts its rows: more than usual where these are many."""

import math
from contextlib import AbstractContextManager

from pyspark.sql import SparkSession

from features.settings import settings

PARTITIONS = "spark.sql.shuffle.partitions"
ROWS = 500_000
"""Events of a partition: some 200 MB where they are sorted; a core with two gigabytes of heap has room for several."""


def partitions_for(spark: SparkSession, rows: int) -> AbstractContextManager[None]:
    """Within it a shuffle cuts its rows into as many partitions as so many `rows` fill, if that is more than usual.

    Adaptive execution joins partitions that are small and splits none of those that a window or a group needs whole.
    """
    usual = int(str(spark.conf.get(PARTITIONS)))
    return settings(spark, {PARTITIONS: str(max(usual, math.ceil(rows / ROWS)))})
