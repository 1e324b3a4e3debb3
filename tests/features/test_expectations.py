"""What is expected of tables: limits, and one pass over a table for all of them."""

import math

import pytest

from conf.schema import Expectation
from features.formats import SourceError
from features.quality import STOP, breaches, observed, seen
from tests.shop import DAY


def expectation(value="count(*)", lower=None, upper=None, severity="warn"):
    return Expectation("items", value, lower, upper, severity, "a number")


@pytest.mark.parametrize(
    ("value", "lower", "upper", "passed"),
    [
        (0.1, 0.1, 5, True),
        (5.0, 0.1, 5, True),
        (0.09, 0.1, 5, False),
        (5.1, 0.1, 5, False),
        (-9.0, None, 5, True),
        (9.0, 0.1, None, True),
        (math.nan, None, 5, False),
        (None, 0.1, 5, None),
    ],
)
def test_a_limit_itself_passes_and_no_value_is_nothing_to_judge(value, lower, upper, passed):
    assert seen(DAY, "items", "number", value, 7, expectation("", lower, upper)).passed is passed


def test_a_breach_says_table_name_what_was_seen_and_what_was_expected():
    wanted = expectation("", 1, 2.5)
    assert (
        str(seen(DAY, "items", "number", 3.14159, 7, wanted))
        == "items: number is 3.142, expected at least 1 and at most 2.5 (a number)"
    )


def test_what_stops_comes_before_what_warns():
    warned = seen(DAY, "items", "a", 2, 7, expectation("", upper=1))
    stopped = seen(DAY, "items", "b", 2, 7, expectation("", upper=1, severity=STOP))
    passed = seen(DAY, "items", "c", 1, 7, expectation("", upper=1))
    nothing = seen(DAY, "items", "d", None, 7, expectation("", upper=1))
    assert breaches([warned, passed, stopped, nothing]) == [stopped, warned]


def test_all_expectations_of_a_table_are_numbers_of_one_row(spark):
    items = spark.createDataFrame([("milk", 3), ("bread", 4), ("jam", 4)], "item_id string, item_index int")
    expected = {
        "least": expectation("min(item_index)"),
        "repeated": expectation("count(*) - count(distinct item_index)"),
        "nothing": expectation("max(if(item_index > 9, 1, null))"),
    }
    (row,) = observed("items", items, expected).collect()
    assert (row.table, row.rows, row["values"]) == ("items", 3, [3.0, 1.0, None])


@pytest.mark.parametrize("value", ["min(itm_index)", "min(item_index", "item_index + 1"])
def test_sql_that_does_not_fit_the_table_is_named_by_its_key(spark, value):
    items = spark.createDataFrame([("milk", 3)], "item_id string, item_index int")
    with pytest.raises(SourceError, match=r"^quality.expect.odd.value: .*It is: .*item_?index|itm_index"):
        observed("items", items, {"fine": expectation(), "odd": expectation(value)})
