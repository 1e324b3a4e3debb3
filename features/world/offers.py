"""What the shop does to sell: price cuts for everybody, and campaigns to some, drawn by lot."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from features.world.draws import Flags, Floats, Ints, bits, uniform
from features.world.shape import World

PROMOTION_EVERY, PROMOTION_DAYS = 4, 7
CUTS = np.array([0.1, 0.2, 0.3])
FIRST_CAMPAIGN = 1  # day
CONTROL, TREATED = 1, 2  # arms; 0: not in the campaign


@dataclass(frozen=True)
class Promotions:
    """Cuts of all prices of a category, one element a promotion, on the days `first` <= day < `last`."""

    category: Ints
    cut: Floats  # share of the price
    first: Ints
    last: Ints


@lru_cache(maxsize=2)
def promotions_of(world: World) -> Promotions:
    number = np.arange(-(-world.days // PROMOTION_EVERY))
    first = number * PROMOTION_EVERY
    return Promotions(
        category=_one_of(world, "promoted category", number, world.conf.categories),
        cut=CUTS[_one_of(world, "cut", number, len(CUTS))],
        first=first,
        last=first + PROMOTION_DAYS,
    )


def promotion_on(world: World, day: int) -> tuple[Ints, Floats]:
    """For each category the number of the promotion on `day` (-1: none) and its cut; of two the later counts."""
    promotions = promotions_of(world)
    number = np.full(world.conf.categories, -1)
    for running in np.flatnonzero((promotions.first <= day) & (day < promotions.last)):
        number[promotions.category[running]] = running
    return number, np.where(number < 0, 0.0, promotions.cut[number])


def campaign_days(world: World) -> list[int]:
    """The day on which each campaign is sent."""
    return list(range(FIRST_CAMPAIGN, world.days, world.conf.campaign_every_days))


def campaign_in_force(world: World, day: int) -> int | None:
    """The campaign whose effect is felt on `day`: from the day after it was sent, for `campaign_days`."""
    number, since = divmod(day - FIRST_CAMPAIGN - 1, world.conf.campaign_every_days)
    return number if number >= 0 and since < world.conf.campaign_days else None


def arms(world: World, campaign: int, users: Ints, eligible: Flags) -> Ints:
    """By lot: TREATED gets the campaign, CONTROL is held out; 0 for those who are not eligible."""
    treated = uniform(world.seed, "arm", campaign, users) < world.conf.campaign_treated_share
    return np.where(eligible, np.where(treated, TREATED, CONTROL), 0)


def _one_of(world: World, purpose: str, number: Ints, many: int) -> Ints:
    return (bits(world.seed, purpose, number) % np.uint64(many)).astype(np.int64)
