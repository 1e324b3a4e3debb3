"""Who comes to the shop: tastes, rhythms, and when they join, log in for the first time and leave."""

from dataclasses import dataclass, fields

import numpy as np

from features.world.draws import Flags, Floats, Ints, among, bits, exponential, mixed, normal, uniform
from features.world.items import any_category, shelf_of
from features.world.shape import World

NEVER = 1 << 20  # a day that does not come
ALWAYS = -1  # before the first day
JOINED_BEFORE = 0.6  # share of the users who are there from the start
LIKED = np.array([0.55, 0.30, 0.15])  # how a user's interest is spread over the favourite categories
PEAKS = np.array([8.0, 13.0, 20.5])  # hours
PEAK_SHARES = np.array([0.2, 0.25, 0.55])
REPEATERS = 0.4  # share of the users who buy one item again and again
EVERY = np.array([7, 10, 14, 21, 28, 42])  # days between two such purchases
NEVER_LOG_IN = 0.2  # share of those who come anonymously
EFFECTS = np.array([0.8, 0.0, -0.3])  # of a campaign on a user's chance to buy: won over, unmoved, put off
EFFECT_SHARES = np.array([0.35, 0.55, 0.1])


@dataclass(frozen=True)
class Users:
    """One element a user. Days are those on which something is so from dawn on."""

    index: Ints  # user n is `u{n}`
    is_bot: Flags
    joined: Ints
    churned: Ints  # no longer there
    hazard: Floats  # chance a week to leave
    visits_per_week: Floats
    weekend: Floats  # visits on a Saturday or Sunday to one on another day
    peak: Floats  # hour about which visits lie
    favourites: Ints  # (users, 3) categories; one may come twice
    focus: Floats  # share of the views that go to favourites
    thrift: Floats  # how much a price cut matters
    staple: Ints  # the item that is bought again and again; -1: none
    staple_every: Ints  # days
    staple_first: Ints  # day of the first time
    effect: Floats  # of a campaign on the chance to buy
    login: Ints  # ALWAYS: known by user id; a day: anonymous until that day's first visit; NEVER: anonymous

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Ints | Flags) -> "Users":
        return Users(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})


def users_of(world: World, index: Ints) -> Users:
    """The users of these numbers; those from `world.people` on are bots, which pay no visits."""
    seed = world.seed
    is_bot = index >= world.people
    joined = _joined(world, index)
    hazard = world.conf.churn_per_week * np.exp(0.8 * normal(seed, "hazard", index))
    stays = np.floor(exponential(seed, "stays", index) * 7.0 / np.maximum(hazard, 1e-9))
    churned = np.maximum(joined, 0) + 1 + np.minimum(stays, NEVER).astype(np.int64)
    pace = np.clip(1.4 * np.exp(0.9 * normal(seed, "pace", index)), 0.05, 12.0)
    every = EVERY[(bits(seed, "staple every", index) % np.uint64(len(EVERY))).astype(np.int64)]
    favourites = _favourites(world, index)
    return Users(
        index=index,
        is_bot=is_bot,
        joined=np.where(is_bot, ALWAYS, joined),
        churned=np.where(is_bot, NEVER, churned),
        hazard=np.where(is_bot, 0.0, hazard),
        visits_per_week=np.where(is_bot, 0.0, pace),
        weekend=np.exp(0.5 * normal(seed, "weekend", index) + 0.2),
        peak=PEAKS[among(PEAK_SHARES[:-1], uniform(seed, "peak", index))] + normal(seed, "own hour", index),
        favourites=favourites,
        focus=0.5 + 0.45 * uniform(seed, "focus", index),
        thrift=2.0 * uniform(seed, "thrift", index),
        staple=_staples(world, index, favourites[:, 0]),
        staple_every=every,
        staple_first=np.maximum(joined, 0) + (uniform(seed, "staple first", index) * every).astype(np.int64),
        effect=np.where(is_bot, 0.0, EFFECTS[among(EFFECT_SHARES[:-1], uniform(seed, "effect", index))]),
        login=np.where(is_bot, ALWAYS, _login(world, index, joined, churned)),
    )


def alive(users: Users, day: int) -> Flags:
    """Who has joined and not left; bots are no living users."""
    return (users.joined <= day) & (day < users.churned) & ~users.is_bot


def known_by(users: Users, day: int) -> Flags:
    """Whose user id the shop knows before `day` begins."""
    return users.login < day


def logs_in(users: Users) -> Flags:
    """Who comes without an id at first and logs in some day."""
    return (users.login != ALWAYS) & (users.login != NEVER)


def user_ids(index: Ints) -> list[str]:
    return [f"u{number}" for number in index]


def anonymous_ids(world: World, index: Ints) -> list[str]:
    """The ids of visitors who have not logged in; they do not give the user away."""
    start = bits(world.seed, "anonymous id")
    return [f"a{number:016x}" for number in mixed(start + index.astype(np.uint64))]


def _joined(world: World, index: Ints) -> Ints:
    u = uniform(world.seed, "joined", index)
    before = -1 - np.floor(365 * uniform(world.seed, "joined before", index))
    later = np.floor((u - JOINED_BEFORE) / (1 - JOINED_BEFORE) * world.days)
    return np.where(u < JOINED_BEFORE, before, later).astype(np.int64)


def _favourites(world: World, index: Ints) -> Ints:
    """(users, 3)"""
    return np.stack(
        [any_category(world, uniform(world.seed, f"favourite {n}", index)) for n in range(len(LIKED))], axis=1
    )


def _staples(world: World, index: Ints, category: Ints) -> Ints:
    item = shelf_of(world, 0).pick(category, uniform(world.seed, "staple", index))
    repeats = (uniform(world.seed, "repeats", index) < REPEATERS) & (index < world.people)
    return np.where(repeats, item, -1)


def _login(world: World, index: Ints, joined: Ints, churned: Ints) -> Ints:
    u = uniform(world.seed, "anonymous", index)
    waits = np.floor(10.0 * exponential(world.seed, "logs in after", index)).astype(np.int64)
    day = np.maximum(joined, 0) + waits
    in_time = (day < churned) & (
        day < world.days - 1
    )  # the last day of a user ends after the last of the logs
    comes = in_time & (u >= NEVER_LOG_IN * world.conf.anonymous_share)
    return np.where(u >= world.conf.anonymous_share, ALWAYS, np.where(comes, day, NEVER))
