"""What the shop sells: items with categories, prices, launches and a popularity that falls with their rank."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from features.world.draws import Floats, Ints, among, normal, uniform
from features.world.shape import World

POPULARITY = 1.0  # Zipf's exponent within a category
SPREAD = 0.6  # Zipf's exponent over categories
LAUNCHED_LATER = 0.2  # share of the items that are launched after the first day
FRESH_DAYS, FRESHNESS = 14, 2.0  # a new item is looked at so many times as often for so long


@dataclass(frozen=True)
class Items:
    """One element an item: item n is `i{n}`, its category n modulo their number."""

    category: Ints
    cents: Ints  # price of one
    launch: Ints  # day from which it can be seen; negative: before the first
    weight: Floats  # popularity within its category

    def __len__(self) -> int:
        return len(self.category)


@dataclass(frozen=True)
class Shelf:
    """What can be seen on one day."""

    order: Ints  # its items, category by category
    upto: Floats  # the share of an item and those before it in its category, plus the category's number
    on_sale: Ints  # its items by number

    def pick(self, category: Ints, u: Floats) -> Ints:
        """An item of each category, drawn by popularity with `u` in [0, 1)."""
        just_below = np.nextafter(category + 1.0, 0)
        place = np.searchsorted(self.upto, np.minimum(category + u, just_below), side="right")
        return self.order[place]


@lru_cache(maxsize=2)
def items_of(world: World) -> Items:
    """The catalogue. The most popular item of each category is there from the start."""
    number = np.arange(world.conf.items)
    category, rank = number % world.conf.categories, number // world.conf.categories
    later = (uniform(world.seed, "launched later", number) < LAUNCHED_LATER) & (rank > 0)
    day = (uniform(world.seed, "launch", number) * world.days).astype(np.int64)
    level = 400.0 * np.exp(0.8 * normal(world.seed, "price level", category))
    price = np.maximum(level * np.exp(0.5 * normal(world.seed, "price", number)), 20.0)
    return Items(
        category=category,
        cents=price.astype(np.int64),
        launch=np.where(later, day, -1 - day),
        weight=(rank + 1.0) ** -POPULARITY,
    )


@lru_cache(maxsize=64)
def shelf_of(world: World, day: int) -> Shelf:
    """The items that are launched by `day`, new ones with more weight."""
    items = items_of(world)
    on_sale = np.flatnonzero(items.launch <= day)
    order = on_sale[np.argsort(items.category[on_sale], kind="stable")]
    category, launch = items.category[order], items.launch[order]
    fresh = (launch >= 0) & (launch > day - FRESH_DAYS)
    weight = items.weight[order] * np.where(fresh, FRESHNESS, 1.0)
    share = weight / np.bincount(category, weight)[category]
    edges = np.searchsorted(category, np.arange(world.conf.categories + 1))
    before = np.concatenate([[0.0], np.cumsum(share)])  # at an edge the category's number, but for rounding
    upto = category + np.clip(before[1:] - before[edges[category]], 0.0, 1.0)
    upto[edges[1:] - 1] = np.arange(world.conf.categories) + 1.0
    return Shelf(order, upto, on_sale)


def any_category(world: World, u: Floats) -> Ints:
    """Categories, drawn by how much the shop sells of them."""
    share = (np.arange(world.conf.categories) + 1.0) ** -SPREAD
    return np.minimum(among(share / share.sum(), u), world.conf.categories - 1)
