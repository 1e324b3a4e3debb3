"""What a campaign does to each user: what is to be expected of them with it, and without it.

A user's own days are one draw of many. Expectations are means over twins, alike but for what is drawn for their days.
"""

from dataclasses import dataclass, replace

import numpy as np

from features.world.behaviour import (
    BUYS,
    SURELY,
    _paid_at,
    _price,
    _quantity,
    arms_on,
    browse,
)
from features.world.draws import Flags, Floats, Ints
from features.world.offers import TREATED, campaign_days, campaign_in_force
from features.world.shape import World
from features.world.users import Users
from features.world.visits import visits_on

OUTCOMES = ("buys", "orders", "spend")
ROWS = 100_000  # users and twins whose day is held at a time


@dataclass(frozen=True)
class Potential:
    """One element a user. The campaign's effect on a user is `with_it - without`."""

    with_it: Floats
    without: Floats

    @property
    def effect(self) -> Floats:
        return self.with_it - self.without


def potential_outcomes(
    world: World, users: Users, campaign: int, days: int, twins: int
) -> dict[str, Potential]:
    """Of the first `days` of a campaign, that of its sending included: the chance that a user `buys`; `orders`, visits that
    are paid for; and `spend`, in the shop's currency.

    Users are taken to be in it, in either arm, whether they are or not. Their own days are from dawn to dawn. Of each of the
    `twins` the visits and carts are drawn, and the checkouts expected: the chance of one, as `behaviour.checkouts` has it.
    """
    at_once = max(1, ROWS // len(users))
    sums: Floats = np.zeros((len(OUTCOMES), 2, len(users)))
    for first in range(0, twins, at_once):
        many = min(at_once, twins - first)
        number = 1 + first + np.repeat(np.arange(many), len(users))
        rows = np.tile(np.arange(len(users)), many)
        found = _outcomes(world, twins_of(world, users, rows, number), campaign, days)
        sums += found.reshape(len(OUTCOMES), 2, many, len(users)).sum(axis=2)
    return {name: Potential(*both) for name, both in zip(OUTCOMES, sums / twins, strict=True)}


def twins_of(world: World, users: Users, rows: Ints, number: Ints) -> Users:
    """The users in these rows with other days than their own, for each `number` from 1 others."""
    some = users.take(rows)
    return replace(some, index=some.index + number * (world.people + world.bots))


def _outcomes(world: World, users: Users, campaign: int, days: int) -> Floats:
    """(outcomes, 2, users): with the campaign, and without it."""
    sent = campaign_days(world)[campaign]
    found: Floats = np.zeros((3, 2, len(users)))
    stays_away, orders, spend = found
    stays_away += 1.0
    for day in range(sent, min(sent + days, world.days)):
        is_felt = campaign_in_force(world, day) == campaign
        own = arms_on(world, users, day) == TREATED  # in the campaign before it, which ends on that day
        for arm, treated in enumerate((own | is_felt, own & ~is_felt)):
            row, chance, money = _checkouts(world, users, day, treated)
            np.multiply.at(stays_away[arm], row, 1.0 - chance)
            np.add.at(orders[arm], row, chance)
            np.add.at(spend[arm], row, chance * money)
    found[0] = 1.0 - stays_away
    return found


def _checkouts(world: World, users: Users, day: int, treated: Flags) -> tuple[Ints, Floats, Floats]:
    """Of each visit of `day` with a cart that can be paid: whose it is, the chance that it is, and what is paid then."""
    visits = visits_on(world, users, day)
    views = browse(world, users, visits, day)
    baskets = views.take(views.carted)
    baskets = baskets.take(_paid_at(world, baskets) < baskets.until)
    paid = _quantity(world, baskets.key) * _price(world, baskets.item, day, treated[baskets.row])
    money: Floats = np.bincount(baskets.visit, paid / 100.0, len(visits.row)).astype(np.float64)
    has_cart = np.bincount(baskets.visit, minlength=len(visits.row)) > 0
    chance: Floats = np.where(visits.buys_staple, SURELY, BUYS)
    effect = np.where(treated, 1.0 + users.effect, 1.0)[visits.row]
    chance = np.minimum(chance * effect, SURELY)
    return visits.row[has_cart], chance[has_cart], money[has_cart]
