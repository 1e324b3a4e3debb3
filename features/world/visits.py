"""Who comes on which day, how often and when."""

import math
from dataclasses import dataclass

import numpy as np

from features.world.draws import Flags, Floats, Ints, normal, uniform
from features.world.shape import DAWN, HOUR, World
from features.world.users import Users, alive

MOST_VISITS = 3  # of a user and day
LATEST_START = 22 * HOUR  # after dawn
FADING_DAYS, FADED = 28, 0.3  # who is about to leave comes ever more rarely, at last so much of the usual
FORGETS = 0.15  # share of the due purchases that are left out
UNPUNCTUAL = 0.15  # of the interval, by which a purchase is early or late
LOGIN_AFTER = 90_000  # milliseconds after the start of the visit with the number 0


@dataclass(frozen=True)
class Visits:
    """One element a visit of one day."""

    row: Ints  # place of the user among those that were asked about
    number: Ints  # from 0, of the user's on that day; not in the order of time
    start: Ints
    buys_staple: Flags

    def take(self, rows: Flags) -> "Visits":
        return Visits(self.row[rows], self.number[rows], self.start[rows], self.buys_staple[rows])


def visits_on(world: World, users: Users, day: int) -> Visits:
    """All visits on `day`; at least one of a user who logs in for the first time or whose staple is due."""
    due = staple_due(world, users, day)
    must = due | ((users.login == day) & alive(users, day))
    many = poisson(rate_on(world, users, day), uniform(world.seed, "visits", day, users.index))
    many = np.maximum(np.minimum(many, MOST_VISITS), must)
    row = np.repeat(np.arange(len(users)), many)
    number = np.arange(len(row)) - np.repeat(np.cumsum(many) - many, many)
    start = starts(world, users.take(row), day, number)
    return Visits(row, number, start, due[row] & (number == 0))


def rate_on(world: World, users: Users, day: int) -> Floats:
    """Visits that are to be expected of each user on `day`."""
    week = 5.0 + 2.0 * users.weekend
    weight = np.where(world.weekday(day) >= 5, users.weekend, 1.0) * 7.0 / week
    season = 1.0 + 0.15 * math.sin(2.0 * math.pi * world.date(day).timetuple().tm_yday / 365.25)
    return (
        alive(users, day)
        * users.visits_per_week
        / 7.0
        * weight
        * season
        * (1.0 - fading(users, day) * (1.0 - FADED))
    )


def fading(users: Users, day: int) -> Floats:
    """How far a user is on the way out: 0 up to FADING_DAYS before leaving, 1 on the day itself."""
    return np.clip(1.0 - (users.churned - day) / FADING_DAYS, 0.0, 1.0)


def staple_due(world: World, users: Users, day: int) -> Flags:
    """Who comes on `day` to buy the same item again.

    The n-th time lies n intervals after the first, give or take UNPUNCTUAL of one, so that only the nearest can be meant.
    """
    times = np.rint((day - users.staple_first) / users.staple_every).astype(np.int64)
    off = (2.0 * uniform(world.seed, "unpunctual", times, users.index) - 1.0) * UNPUNCTUAL
    planned = np.rint(users.staple_first + (times + off) * users.staple_every)
    remembers = uniform(world.seed, "forgets", day, users.index) >= FORGETS
    return (planned == day) & (users.staple >= 0) & remembers & alive(users, day)


def starts(world: World, users: Users, day: int, number: Ints) -> Ints:
    """When visits begin: about the user's hour, within LATEST_START of dawn."""
    hour = users.peak + 2.0 * normal(world.seed, "start", day, number, users.index)
    after_dawn = np.mod(hour * HOUR - DAWN, LATEST_START).astype(np.int64)
    return world.midnight(day) + DAWN + after_dawn


def anonymous_until(world: World, users: Users, day: int) -> Ints:
    """The moment on `day` before which each user is anonymous; 0 for those who are not, far off for those who stay so.

    login  day  after
    2      3    0
    3      3    a minute and a half after the start of that day's visit 0
    4      3    far off
    """
    until = np.where(users.login > day, np.iinfo(np.int64).max, 0)
    today = np.flatnonzero(users.login == day)
    first = starts(world, users.take(today), day, np.zeros(len(today), np.int64))
    until[today] = first + LOGIN_AFTER
    return until


def poisson(rate: Floats, u: Floats) -> Ints:
    """Numbers of the Poisson distribution up to MOST_VISITS, by its cumulative chances.

    rate   u     after
    0.0    0.99  0
    1.0    0.30  0        chances 0.37, 0.37, 0.18
    1.0    0.40  1
    """
    chance, upto, many = np.exp(-rate), np.exp(-rate), np.zeros(len(u), np.int64)
    for n in range(1, MOST_VISITS + 1):
        many += u >= upto
        chance = chance * rate / n
        upto = upto + chance
    return many
