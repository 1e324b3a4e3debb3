"""What is shown on a day: rules in force, and items that may not be shown."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from models.shelf import shelf_of

ITEMS = pa.table(
    {
        "item_index": pa.array([5, 3, 4, 7], pa.int32()),
        "item_id": ["jam", "milk", "tea", "soap"],
        "category": ["sweet", "dairy", None, "home"],
        "out_of_stock": [True, False, None, False],
        "embargoed": [False, False, False, True],
    }
)
DAY = date(2026, 11, 2)


def rules(*rows):
    """rows: kind, item_id, category, factor, starts, ends"""
    names = ("kind", "item_id", "category", "factor", "starts", "ends")
    text, number, day = pa.string(), pa.float64(), pa.date32()
    types = (text, text, text, number, day, day)
    columns = zip(*rows, strict=True) if rows else [[]] * 6
    return pa.table(
        {name: pa.array(list(values), kind) for name, kind, values in zip(names, types, columns, strict=True)}
    )


def boosts(*rows, exclude=()):
    return dict(enumerate(np.exp(shelf_of(ITEMS, rules(*rows), DAY, exclude).boosts).round(4).tolist()))


def test_without_rules_everything_is_shown_as_it_is():
    shelf = shelf_of(ITEMS, rules(), DAY)
    assert shelf.boosts.tolist() == [0.0] * 8
    assert [shelf.categories[n] if n >= 0 else None for n in shelf.category_of] == (
        [None, None, None, "dairy", None, "sweet", None, "home"]
    )


def test_factors_of_an_item_and_of_its_category_multiply_and_a_block_outdoes_them():
    found = boosts(
        ("boost", "milk", None, 2.0, DAY, None),
        ("boost", None, "dairy", 3.0, DAY, None),
        ("boost", "milk", None, 0.5, DAY, None),
        ("boost", "soap", None, 9.0, DAY, None),
        ("block", None, "home", None, DAY, None),
        ("block", "of no item", None, None, DAY, None),
        ("boost", None, "of no category", 7.0, DAY, None),
    )
    assert found == {0: 1, 1: 1, 2: 1, 3: 3, 4: 1, 5: 1, 6: 1, 7: 0}


@pytest.mark.parametrize(
    ("starts", "ends", "in_force"),
    [
        (date(2026, 11, 2), date(2026, 11, 2), True),
        (date(2026, 11, 1), None, True),
        (date(2026, 11, 3), None, False),
        (date(2026, 10, 1), date(2026, 11, 1), False),
    ],
)
def test_a_rule_is_in_force_from_its_first_day_to_its_last(starts, ends, in_force):
    assert (boosts(("block", "milk", None, None, starts, ends))[3] == 0) == in_force


def test_items_that_are_out_of_stock_or_embargoed_are_hidden_where_that_is_asked():
    assert boosts(exclude=["out_of_stock"])[5] == 0 != boosts(exclude=["out_of_stock"])[7]
    assert boosts(exclude=["embargoed", "bought"])[7] == 0 != boosts(exclude=["embargoed"])[5]
    assert 0 not in boosts().values()
