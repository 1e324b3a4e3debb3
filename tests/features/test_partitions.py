"""A shuffle of many rows has more partitions, for a while."""

import pytest

from features.partitions import PARTITIONS, ROWS, partitions_for


def test_partitions_go_by_rows_within_it_and_are_as_before_behind_it(spark):
    before = int(spark.conf.get(PARTITIONS))
    for rows, expected in ((0, before), (ROWS, before), (10 * ROWS, 10), (10 * ROWS + 1, 11)):
        with partitions_for(spark, rows):
            assert int(spark.conf.get(PARTITIONS)) == expected
    with pytest.raises(KeyError), partitions_for(spark, 10 * ROWS):
        raise KeyError
    assert int(spark.conf.get(PARTITIONS)) == before
