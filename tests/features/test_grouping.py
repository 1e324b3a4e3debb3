"""How many groups an aggregation keeps in memory, and that this is set for a while alone."""

import pytest
from pyspark.sql import functions as f

from features.grouping import GROUPS, THRESHOLD, groups_in_memory


def test_groups_are_kept_in_memory_within_it_and_not_behind_it(spark):
    before = spark.conf.get(THRESHOLD)
    with pytest.raises(KeyError), groups_in_memory(spark):
        assert spark.conf.get(THRESHOLD) == str(GROUPS)
        raise KeyError
    assert spark.conf.get(THRESHOLD) == before


@pytest.mark.parametrize("groups", [3, GROUPS + 500])
def test_lists_and_medians_are_the_same_as_with_sorted_groups(spark, groups):
    rows = spark.range(groups * 3).select((f.col("id") % groups).alias("user"), "id")
    asked = (
        rows.groupBy("user")
        .agg(f.array_sort(f.collect_list("id")), f.expr("percentile(id, 0.5)"))
        .orderBy("user")
    )
    sorted_ones = asked.collect()
    with groups_in_memory(spark):
        assert asked.collect() == sorted_ones
    assert sorted_ones[1][1:] == ([1, 1 + groups, 1 + 2 * groups], 1.0 + groups)
