"""What the shop advertises: which item it shows at one of three positions, by which lot, and who clicks on it."""

from dataclasses import dataclass

import numpy as np

from features.world.draws import Bits, Flags, Floats, Ints, bits, uniform
from features.world.items import items_of
from features.world.shape import World
from features.world.users import Users

ADS = 8  # at most: the most popular item of each of the first categories
FAVOURED = 3.0  # an item of a favourite category is shown so many times as often as another
LOOKED_AT = np.array([1.0, 0.6, 0.35])  # how often a position is, to the first
APPEALS = 0.02, 0.12  # chance of a click at the first position, of no favourite: the least and the most
LIKED = 2.5  # times as often clicked by one whose favourite category it is of
MILLIONTHS = 1_000_000


@dataclass(frozen=True)
class Shown:
    """One element an impression."""

    item: Ints
    position: Ints  # from 1
    chance: Ints  # of the item, at that position and for that user, in millionths
    clicked: Flags


def appeals(world: World) -> Floats:
    """(ads,) of item 0, 1, ..., which are of as many categories."""
    number = np.arange(min(ADS, world.conf.categories, world.conf.items))
    least, most = APPEALS
    return least + (most - least) * uniform(world.seed, "appeal", number)


def is_favourite(world: World, users: Users, row: Ints) -> Flags:
    """(rows, ads): whether the item is of one of the user's favourite categories."""
    category = items_of(world).category[: len(appeals(world))]
    return (users.favourites[row][:, :, None] == category).any(axis=1)


def chances(world: World, users: Users, row: Ints) -> Floats:
    """(rows, ads): the chances by which the shop draws the item that it shows; the position does not matter."""
    weight = np.where(is_favourite(world, users, row), FAVOURED, 1.0)
    return weight / weight.sum(axis=1, keepdims=True)


def click_chance(appeal: Floats, liked: Flags, position: Ints) -> Floats:
    """Of a click, where an item of this appeal is shown at a position."""
    return appeal * np.where(liked, LIKED, 1.0) * LOOKED_AT[position - 1]


def shown_to(world: World, users: Users, row: Ints, key: Bits) -> Shown:
    """What is shown to the users in `row`, and what they do with it."""
    chance = chances(world, users, row)
    u = uniform(world.seed, "ad", key)
    item = np.minimum((u[:, None] >= np.cumsum(chance, axis=1)).sum(axis=1), chance.shape[1] - 1)
    position = 1 + (bits(world.seed, "ad's position", key) % np.uint64(len(LOOKED_AT))).astype(np.int64)
    at = np.arange(len(item)), item
    liked = is_favourite(world, users, row)[at]
    clicked = uniform(world.seed, "click", key) < click_chance(appeals(world)[item], liked, position)
    return Shown(item, position, np.rint(chance[at] * MILLIONTHS).astype(np.int64), clicked)
