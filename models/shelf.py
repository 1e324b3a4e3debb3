"""The shelf: what a shop shows on a day, and how much of it by rules. Bulk scoring and the service make it alike.

An item's boosts are added to its score as the logarithm of their factors, which multiplies its share of a softmax by them.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BY_ITEM = ("out_of_stock", "embargoed")
"""What `score.exclude` may name of items; `bought`, which it may name too, is a user's."""


class Shelf(NamedTuple):
    """By item_index, for the first `n` of them; later ones have no boost and no category."""

    boosts: np.ndarray  # (n,) float32: added to the item's score; -inf: shown to nobody
    category_of: np.ndarray  # (n,) int32: the place in `categories`; -1: none
    categories: tuple[str, ...]
    ids: np.ndarray | None = (
        None  # (n,) str; "": no item. None: nobody asks for what a model does not know by its index
    )


EMPTY = Shelf(np.zeros(0, np.float32), np.zeros(0, np.int32), ())
"""That of a shop without rules, which shows whatever the model knows."""


def shelf_of(
    items: pa.Table, rules: pa.Table, ds: date, exclude: Sequence[str] = (), with_ids: bool = False
) -> Shelf:
    """What is shown on the day `ds`.

    items    item_index int, item_id string, category string, out_of_stock bool, embargoed bool
    rules    kind, item_id, category, factor, starts, ends as in the table `rules`; those not in force on `ds` count nothing
    exclude  of BY_ITEM; others are not looked at here
    with_ids for models that know of items which came after them

    items  milk 3 dairy, jam 4 sweet (out of stock)      exclude  out_of_stock     ->  boosts  3: log 2 + log 3, 4: -inf
    rules  boost milk 2, boost dairy 3, block tea
    """
    index = items["item_index"].to_numpy()
    encoded = items["category"].combine_chunks().dictionary_encode()
    group = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    in_force = rules.filter(_in_force(rules, ds))
    block = pc.equal(in_force["kind"], "block").to_numpy()
    factors = in_force["factor"].to_numpy().astype(float)
    weights = np.where(block, -np.inf, np.log(np.where(block, 1.0, factors)))  # (rules,)

    def summed(column: str, values: pa.Array) -> np.ndarray:
        """The weights of the rules that name each of the distinct values, or 0: (values,) float64."""
        place = pc.index_in(in_force[column], values, skip_nulls=True).to_numpy()  # (rules,); NaN: names none
        names = ~np.isnan(place)
        sums: np.ndarray = np.zeros(len(values))
        np.add.at(sums, place[names].astype(int), weights[names])
        return sums

    by_category = np.append(summed("category", encoded.dictionary), 0.0)  # the last: of items without one
    of_items = summed("item_id", items["item_id"].combine_chunks()) + by_category[group]
    for name in BY_ITEM:
        if name in exclude:
            of_items[pc.fill_null(items[name], False).to_numpy()] = -np.inf
    size = int(index.max(initial=-1)) + 1
    boosts, category_of = np.zeros(size, np.float32), np.full(size, -1, np.int32)
    boosts[index], category_of[index] = of_items, group
    ids: np.ndarray | None = None
    if with_ids:
        ids = np.full(size, "", object)
        ids[index] = items["item_id"].to_numpy()
    return Shelf(boosts, category_of, tuple(encoded.dictionary.to_pylist()), ids)


def _in_force(rules: pa.Table, ds: date) -> pa.ChunkedArray:
    day = pa.scalar(ds, pa.date32())
    began = pc.less_equal(rules["starts"], day)
    return pc.and_(began, pc.fill_null(pc.greater_equal(rules["ends"], day), True))
