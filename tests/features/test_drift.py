"""The population stability index of single features, on numbers that can be checked by hand."""

import math
from datetime import date

import pytest

from features.drift import Count, bins_of, compared, counted, deciles, stability, values
from features.formats import SourceError
from tests.shop import rows_of


def test_the_index_is_zero_where_shares_are_alike_and_symmetric_where_not():
    assert stability([(5000, 50), (5000, 50)]) == 0
    by_hand = 0.2 * math.log(0.7 / 0.5) + 0.2 * math.log(0.5 / 0.3)
    assert stability([(50_000, 70_000), (50_000, 30_000)]) == pytest.approx(by_hand, abs=1e-4)
    assert stability([(7, 5), (3, 5)]) == stability([(5, 7), (5, 3)])


def test_a_bin_that_was_empty_counts_half_a_value_and_the_index_stays_finite():
    by_hand = (100.5 / 101 - 0.5 / 101) * math.log(100.5 / 0.5) * 2
    assert stability([(100, 0), (0, 100)]) == pytest.approx(by_hand)


def numbers(*counts: tuple[float, int, int]) -> list[Count]:
    return [Count("x", value, None, reference, now) for value, reference, now in counts]


def test_bins_end_where_another_tenth_of_the_reference_is_reached():
    assert deciles(numbers(*((float(n), 1, 0) for n in range(20)))) == [1, 3, 5, 7, 9, 11, 13, 15, 17]
    assert deciles(numbers((1.0, 10, 0), (2.0, 80, 0), (3.0, 10, 0))) == [1, 2]
    assert deciles(numbers((1.0, 5, 0), (2.0, 95, 0))) == [2]
    assert deciles(numbers((1.0, 0, 5))) == []


def test_a_value_lies_in_the_bin_that_ends_with_it_and_no_value_in_one_of_its_own():
    counts = [*numbers((3.0, 10, 60), (1.0, 10, 0), (2.0, 80, 40)), Count("x", None, None, 0, 7)]
    assert bins_of(counts) == [(10, 0), (80, 40), (10, 60), (0, 7)]
    assert bins_of([Count("x", None, 4, 1, 2), Count("x", None, 9, 3, 4), Count("x", None, 4, 10, 20)]) == [
        (11, 22),
        (3, 4),
    ]


def test_values_are_counted_on_both_sides_with_three_digits_of_a_number(spark):
    rows = [
        (True, 123456.0, "view", 1),
        (False, 123400.0, "view", 1),
        (True, -0.0012345, "buy", 2),
        (True, None, None, 2),
        (False, float("nan"), "buy", 0),
    ]
    frame = spark.createDataFrame(rows, "is_reference boolean, amount double, event_type string, n int")
    made = values(frame, {"amount": "amount", "n": "n", "is_two": "n = 2"}, "quality.drift.{}.value")
    found = counted(made).cache()
    assert [
        (round(value, 9) if value is not None else None, reference, now)
        for value, reference, now in rows_of(
            found.where("name = 'amount'").orderBy("value"), "value", "reference", "now"
        )
    ] == [(-0.00123, 1, 0), (123000.0, 1, 1), (None, 1, 1)]
    assert rows_of(found.where("name = 'n'"), "value", "reference", "now") == [
        (0.0, 0, 1),
        (1.0, 1, 1),
        (2.0, 2, 0),
    ]
    assert sorted(rows_of(found.where("name = 'is_two'"), "reference", "now")) == [(1, 2), (2, 0)]
    texts = rows_of(counted(values(frame, {"type": "event_type"}, "{}")), "value", "reference", "now")
    assert texts == [(None, 1, 0), (None, 1, 1), (None, 1, 1)]
    found.unpersist()


def test_sql_that_does_not_fit_is_named_by_its_key(spark):
    frame = spark.createDataFrame([(True, 1.0)], "is_reference boolean, amount double")
    with pytest.raises(SourceError, match=r"^quality.drift.price.value: .*It is: prize"):
        values(frame, {"price": "prize"}, "quality.drift.{}.value")


def test_the_newest_days_are_compared_with_those_before_them(spark):
    days = [(date(2026, 11, day),) for day in (2, 3, 23, 24, 30)]
    frame = spark.createDataFrame([*days, (date(2026, 12, 1),)], "day date")
    found = compared(frame, "day", date(2026, 11, 30), days=7, before=21)
    sides = {row.day.day: row.is_reference for row in found.collect()}
    assert sides == {3: True, 23: True, 24: False, 30: False}
