"""How many groups an aggregation into lists, maps or percentiles keeps in memory before it sorts them."""

from contextlib import AbstractContextManager

from pyspark.sql import SparkSession

from features.settings import settings

THRESHOLD = "spark.sql.objectHashAggregate.sortBased.fallbackThreshold"
GROUPS = 2048
"""Of a task: of users with some hundred events each, who are 50 to 100 KB in such an aggregation, less than 200 MB."""


def groups_in_memory(spark: SparkSession) -> AbstractContextManager[None]:
    """Within it Spark keeps `GROUPS` groups in memory in place of 128, behind which it sorts the rows of all that follow.

    For aggregations by user. Not for those by session: one of a robot can be as long as a day allows.
    """
    return settings(spark, {THRESHOLD: str(GROUPS)})
