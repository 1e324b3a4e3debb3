"""What users do on a day: views, carts, purchases, impressions, clicks, support contacts, campaigns, and bots' sweeps."""

import math
from dataclasses import dataclass, fields

import numpy as np

from features.world.ads import Shown, shown_to
from features.world.draws import Bits, Flags, Floats, Ints, among, exponential, normal, uniform
from features.world.items import any_category, items_of, shelf_of
from features.world.offers import CONTROL, TREATED, arms, campaign_days, campaign_in_force, promotion_on
from features.world.shape import DAY, HOUR, LONGEST_VISIT, MINUTE, World
from features.world.users import LIKED, Users, alive, known_by
from features.world.visits import Visits, anonymous_until, fading, visits_on

VIEW, CART, PURCHASE, IMPRESSION, SUPPORT, CAMPAIGN_SEND, CLICK = range(7)
TYPES = ("view", "cart", "purchase", "impression", "support", "campaign_send", "click")
ACTIVE = np.array([True, True, True, False, False, False, False])
TOPICS = ("delivery", "refund", "product", "account")
NEW_DAYS = 28  # since joining, in which users ask about their account

MOST_VIEWS = 25  # of a visit
MORE_VIEWS = 5.0  # mean of the views after the first
CARTS = 0.11  # chance of a view to put the item into the cart
CARTS_LIKED, CARTS_OTHER = 1.4, 0.6  # how an item of a favourite category changes it, and any other
CUT_WEIGHT = 4.0  # on the chance of a cart: 1 + weight * cut * thrift
BUYS = 0.35  # chance of a visit with a cart
SURELY = 0.95  # chance that a staple is put into the cart, and bought; the most that any chance comes to
IMPRESSIONS = 0.2  # of a view
SUPPORTS, SUPPORTS_FADING = 0.002, 6.0  # chance a day; of those about to leave so many times as much
BOT_EVERY = 7  # days
BOT_SPREAD = 0.7  # of the logarithm of a bot's views
MOST_OF_A_BOT = 1 << 23  # views a day

# Short, up to a gap, exactly a gap, a millisecond more; what is left of 1: longer still.
PAUSES = np.array([0.985, 0.010, 0.001, 0.001])
USER_BITS, DAY_BITS, NUMBER_BITS = 28, 12, 24  # of an event's key


@dataclass(frozen=True)
class Events:
    """One element an event. `row` is the place of the user among those that were asked about."""

    row: Ints
    day: Ints  # of the user, from dawn to dawn
    key: Bits  # unlike any other event's
    ts: Ints  # when it happened
    type: Ints
    anonymous: Flags
    item: Ints  # -1: none, here and below
    quantity: Ints
    cents: Ints  # price of one, as it is paid
    promotion: Ints
    campaign: Ints
    arm: Ints
    topic: Ints
    position: Ints  # of an advertisement, from 1
    chance: Ints  # of its item to be shown there, in millionths

    def __len__(self) -> int:
        return len(self.row)

    def take(self, rows: Ints | Flags) -> "Events":
        return Events(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})


@dataclass(frozen=True)
class Outcome:
    """What a campaign in force has come to on one day; `without`: of the treated, had they not been treated."""

    campaign: int
    treated_purchases: int = 0
    treated_cents: int = 0
    without_purchases: int = 0
    without_cents: int = 0
    control_purchases: int = 0
    control_cents: int = 0


@dataclass(frozen=True)
class Views:
    """One element a view; those of a visit lie one behind the other."""

    visit: Ints
    row: Ints
    step: Ints  # from 0 in a visit
    key: Bits
    item: Ints
    carted: Flags
    ts: Ints
    cart_ts: Ints
    last_ts: Ints  # of the visit's views and carts
    until: Ints  # when the visit is over

    def take(self, rows: Flags) -> "Views":
        return Views(**{item.name: getattr(self, item.name)[rows] for item in fields(self)})


def events_on(world: World, users: Users, day: int) -> tuple[Events, Outcome | None]:
    """All that `users` do on their `day`, in no order; and the outcome of the campaign that is in force."""
    of_visits, outcome = visit_events(world, users, visits_on(world, users, day), day)
    kinds = [of_visits, support_events(world, users, day), campaign_events(world, users, day)]
    return joined([*kinds, bot_events(world, users, day)]), outcome


def evening_events(world: World, users: Users, day: int) -> Events:
    """Of what `users` do on their `day` all that may lie behind its midnight, and some of what lies before."""
    visits = visits_on(world, users, day)
    late = visits.take(visits.start >= world.midnight(day + 1) - LONGEST_VISIT)
    return visit_events(world, users, late, day)[0]


def visit_events(world: World, users: Users, visits: Visits, day: int) -> tuple[Events, Outcome | None]:
    """Views, impressions, clicks, carts and purchases of the visits."""
    views = browse(world, users, visits, day)
    baskets = views.take(views.carted)
    buys, without = checkouts(world, users, visits, day)
    bought = baskets.take(buys[baskets.visit])
    arm = arms_on(world, users, day)
    shown = views.take(uniform(world.seed, "impression", views.key) < IMPRESSIONS)
    ads = shown_to(world, users, shown.row, shown.key)
    delay = 200 + (700 * uniform(world.seed, "ad's delay", shown.key)).astype(np.int64)
    kinds = [
        _event(world, users, day, VIEW, views, views.ts, item=views.item),
        _event(world, users, day, CART, baskets, baskets.cart_ts, item=baskets.item),
        _event(world, users, day, PURCHASE, bought, _paid_at(world, bought), item=bought.item, arm=arm),
        *ad_events(world, users, day, shown, ads, shown.ts + delay),
    ]
    return joined(kinds), outcome_of(world, users, day, baskets, arm, buys, without)


def ad_events(world: World, users: Users, day: int, views: Views, ads: Shown, ts: Ints) -> list[Events]:
    """An impression beside each of the views, and a click where there is one, up to ten seconds later."""
    clicks, item, at = ads.clicked, ads.item, ads.position
    clicked = views.take(clicks)
    after = 500 + (9_500 * uniform(world.seed, "clicked after", clicked.key)).astype(np.int64)
    return [
        _event(world, users, day, IMPRESSION, views, ts, item, position=at, chance=ads.chance),
        _event(world, users, day, CLICK, clicked, ts[clicks] + after, item[clicks], position=at[clicks]),
    ]


def browse(world: World, users: Users, visits: Visits, day: int) -> Views:
    """The views of each visit, with what is put into the cart."""
    visit_key = key_of(users.index[visits.row], day, visits.number << 12)
    scale = 1.0 / math.log1p(1.0 / MORE_VIEWS)
    more = np.floor(exponential(world.seed, "more views", visit_key) * scale)
    many = 1 + np.minimum(more, MOST_VIEWS - 1).astype(np.int64)
    visit = np.repeat(np.arange(len(many)), many)
    first = (np.cumsum(many) - many)[visit]
    step = np.arange(len(visit)) - first
    key = visit_key[visit] + (step << 3).astype(np.uint64)
    row = visits.row[visit]
    staple = visits.buys_staple[visit] & (step == 0)
    liked, item = _looked_at(world, users, row, key, day)
    item = np.where(staple, users.staple[row], item)
    carted = uniform(world.seed, "cart", key) < _cart_chance(world, users, row, item, liked, staple, day)
    dwell = np.where(carted, 3000 + (22_000 * uniform(world.seed, "dwell", key)).astype(np.int64), 0)
    pause = np.where(step == 0, 0, pauses(world, key) + np.concatenate([[0], dwell])[:-1])
    elapsed = np.cumsum(pause)
    ts = visits.start[visit] + elapsed - elapsed[first]
    last = first + many[visit] - 1
    until = np.minimum(visits.start + LONGEST_VISIT, world.dusk(day))[visit]
    return Views(visit, row, step, key, item, carted, ts, ts + dwell, (ts + dwell)[last], until)


def pauses(world: World, key: Bits) -> Ints:
    """Milliseconds between a view and what came before it: short, and now and then about as long as a session's gap."""
    u, kind = uniform(world.seed, "pause", key), uniform(world.seed, "kind of pause", key)
    short = np.clip(25_000 * np.exp(normal(world.seed, "short pause", key)), 800, 9 * MINUTE)
    gap = np.full(len(u), float(world.gap))
    lengths = np.stack([short, (0.3 + 0.69 * u) * gap, gap, gap + 1.0, (1.0 + 0.5 * u) * gap + 1.0])
    return lengths[among(PAUSES, kind), np.arange(len(u))].astype(np.int64)


def checkouts(world: World, users: Users, visits: Visits, day: int) -> tuple[Flags, Flags]:
    """For each visit whether what is in its cart is bought, and whether it were without a campaign.

    One draw decides both: chance   draw   with a campaign of effect 0.8   without
                           0.35     0.30   bought                          bought
                           0.35     0.50   bought (0.50 < 0.63)            not
    """
    key = key_of(users.index[visits.row], day, visits.number << 12)
    draw = uniform(world.seed, "checkout", key)
    chance = np.where(visits.buys_staple, SURELY, BUYS)
    treated = arms_on(world, users, day)[visits.row] == TREATED
    effect = np.where(treated, 1.0 + users.effect[visits.row], 1.0)
    return draw < np.minimum(chance * effect, SURELY), draw < chance


def arms_on(world: World, users: Users, day: int) -> Ints:
    """The arm of each user in the campaign that is in force on `day`; 0: in none."""
    campaign = campaign_in_force(world, day)
    return np.zeros(len(users), np.int64) if campaign is None else arms_of(world, users, campaign)


def arms_of(world: World, users: Users, campaign: int) -> Ints:
    """The arm of each user in a campaign. It reaches those who are there that day and known by their user id."""
    sent = campaign_days(world)[campaign]
    return arms(world, campaign, users.index, alive(users, sent) & known_by(users, sent))


def outcome_of(
    world: World, users: Users, day: int, baskets: Views, arm: Ints, buys: Flags, without: Flags
) -> Outcome | None:
    """What was bought by those in a campaign, and what the treated would have bought without it."""
    campaign = campaign_in_force(world, day)
    if campaign is None:
        return None
    baskets = baskets.take(_paid_at(world, baskets) < baskets.until)
    of, quantity = arm[baskets.row], _quantity(world, baskets.key)
    full = quantity * _price(world, baskets.item, day)
    paid = quantity * _price(world, baskets.item, day, of == TREATED)
    treated, control = (of == TREATED) & buys[baskets.visit], (of == CONTROL) & buys[baskets.visit]
    untreated = (of == TREATED) & without[baskets.visit]
    sums = [
        (int(np.count_nonzero(rows)), int(cents[rows].sum()))
        for rows, cents in ((treated, paid), (untreated, full), (control, paid))
    ]
    return Outcome(campaign, *sums[0], *sums[1], *sums[2])


def support_events(world: World, users: Users, day: int) -> Events:
    """Contacts with the shop's support between 8 and 20 o'clock, more of them by users who are about to leave."""
    chance = SUPPORTS * (1.0 + (SUPPORTS_FADING - 1.0) * fading(users, day))
    contact = uniform(world.seed, "support", day, users.index) < chance
    row = np.flatnonzero(contact & alive(users, day))
    u = uniform(world.seed, "support at", day, users.index[row])
    ts = world.midnight(day) + 8 * HOUR + (12 * HOUR * u).astype(np.int64)
    key = key_of(users.index[row], day, MOST_OF_A_BOT)
    topic = topics_of(users.take(row), day, uniform(world.seed, "topic", key))
    return _plain(world, users, row, day, key, ts, SUPPORT, topic=topic)


def topics_of(users: Users, day: int, u: Floats) -> Ints:
    """Places in TOPICS: deliveries for who comes often, refunds for who leaves, products for thrift, the account for new."""
    weights = np.stack(
        [
            users.visits_per_week,
            0.3 + 8.0 * fading(users, day),
            2.0 * users.thrift,
            np.where(day - users.joined < NEW_DAYS, 8.0, 0.3),
        ],
        axis=1,
    )
    upto = np.cumsum(weights, axis=1)
    return (u[:, None] * upto[:, -1:] >= upto).sum(axis=1)


def campaign_events(world: World, users: Users, day: int) -> Events:
    """A campaign's start: an event for everyone in it, in either arm, between 9 and 10 o'clock."""
    days = campaign_days(world)
    number = days.index(day) if day in days else -1
    arm = arms_of(world, users, number) if number >= 0 else np.zeros(len(users), np.int64)
    row = np.flatnonzero(arm)
    u = uniform(world.seed, "sent at", day, users.index[row])
    ts = world.midnight(day) + 9 * HOUR + (HOUR * u).astype(np.int64)
    key = key_of(users.index[row], day, MOST_OF_A_BOT + 1)
    campaign = np.full(len(row), number)
    return _plain(world, users, row, day, key, ts, CAMPAIGN_SEND, campaign=campaign, arm=arm[row])


def bot_events(world: World, users: Users, day: int) -> Events:
    """Views of the whole catalogue, item by item, from midnight on; on one day a week.

    They end before a gap is left of the day, so that a bot's day too can be sessionized alone.
    """
    row = np.flatnonzero(users.is_bot & ((users.index - world.people) % BOT_EVERY == day % BOT_EVERY))
    size = np.exp(BOT_SPREAD * normal(world.seed, "bot", day, users.index[row]))
    many = np.clip(world.conf.bot_views_per_day * size, 1, MOST_OF_A_BOT - 1).astype(np.int64)
    step = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
    row = np.repeat(row, many)
    key = key_of(users.index[row], day, step)
    open_for = DAY - world.gap - MINUTE
    ts = world.midnight(day) + (open_for * uniform(world.seed, "bot at", key)).astype(np.int64)
    on_sale = shelf_of(world, day).on_sale
    return _plain(world, users, row, day, key, ts, VIEW, item=on_sale[step % len(on_sale)])


def key_of(index: Ints, day: int, number: Ints | int) -> Bits:
    """An event's own 64 bits: whose it is, of which of their days, and which one there."""
    whose = index.astype(np.uint64) << np.uint64(DAY_BITS + NUMBER_BITS)
    return (
        whose
        | np.uint64((day << NUMBER_BITS) & ((1 << DAY_BITS + NUMBER_BITS) - 1))
        | np.asarray(number, np.uint64)
    )


def joined(parts: list[Events]) -> Events:
    """The events of all parts, one behind the other."""
    return Events(
        **{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Events)}
    )


def _looked_at(world: World, users: Users, row: Ints, key: Bits, day: int) -> tuple[Flags, Ints]:
    """Whether each view is of a favourite category, and the item."""
    interest, focus = uniform(world.seed, "interest", key), users.focus[row]
    liked = interest < focus
    which = np.searchsorted(np.cumsum(LIKED[:-1]), interest / focus, side="right")
    favourite = users.favourites[row, np.minimum(which, len(LIKED) - 1)]
    elsewhere = any_category(world, uniform(world.seed, "elsewhere", key))
    category = np.where(liked, favourite, elsewhere)
    return liked, shelf_of(world, day).pick(category, uniform(world.seed, "item", key))


def _cart_chance(
    world: World, users: Users, row: Ints, item: Ints, liked: Flags, staple: Flags, day: int
) -> Floats:
    cut = promotion_on(world, day)[1][items_of(world).category[item]]
    chance = CARTS * np.where(liked, CARTS_LIKED, CARTS_OTHER) * (1.0 + CUT_WEIGHT * cut * users.thrift[row])
    return np.where(staple, SURELY, np.minimum(chance, SURELY))


def _paid_at(world: World, views: Views) -> Ints:
    """The basket is paid half a minute to three minutes after the last view; its lines are a millisecond apart."""
    u = uniform(world.seed, "paid after", views.key - (views.step << 3).astype(np.uint64))
    return views.last_ts + 30_000 + (150_000 * u).astype(np.int64) + views.step


def _quantity(world: World, view_key: Bits) -> Ints:
    u = uniform(world.seed, "quantity", view_key)
    return 1 + (u < 0.2).astype(np.int64) + (u < 0.05)


def _price(world: World, item: Ints, day: int, discounted: Flags | bool = False) -> Ints:
    """Cents for one on `day`."""
    items, cut = items_of(world), promotion_on(world, day)[1]
    kept = (1.0 - cut[items.category[item]]) * np.where(discounted, 1.0 - world.conf.campaign_discount, 1.0)
    return np.maximum(np.rint(items.cents[item] * kept), 1.0).astype(np.int64)


def _event(
    world: World,
    users: Users,
    day: int,
    kind: int,
    views: Views,
    ts: Ints,
    item: Ints,
    arm: Ints | None = None,
    **more: Ints,
) -> Events:
    """Events of one type that belong to views, while the visit lasts."""
    lasts = ts < views.until
    views, ts, item = views.take(lasts), ts[lasts], item[lasts]
    more = {name: values[lasts] for name, values in more.items()} | {"item": item}
    if kind in (CART, PURCHASE):
        more["quantity"] = _quantity(world, views.key)
    if kind not in (IMPRESSION, CLICK):
        more["cents"] = _price(world, item, day, False if arm is None else arm[views.row] == TREATED)
        more["promotion"] = promotion_on(world, day)[0][items_of(world).category[item]]
    return _plain(world, users, views.row, day, views.key + np.uint64(kind), ts, kind, **more)


def _plain(
    world: World, users: Users, row: Ints, day: int, key: Bits, ts: Ints, kind: int, **more: Ints
) -> Events:
    """Events of one type, with what they have beside user, day and time."""
    none = {
        name: np.full(len(row), -1)
        for name in ("item", "quantity", "cents", "promotion", "campaign", "topic", "position", "chance")
    }
    columns = none | {"arm": np.zeros(len(row), np.int64)} | more
    if kind == VIEW and "cents" not in more:
        columns["cents"] = _price(world, columns["item"], day)
    return Events(
        row=row,
        day=np.full(len(row), day),
        key=key,
        ts=ts,
        type=np.full(len(row), kind),
        anonymous=ts < anonymous_until(world, users, day)[row],
        **columns,
    )
