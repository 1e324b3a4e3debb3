"""What is known of a made-up shop: tables, written as Parquet beside its logs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema

from features.table import Column, Table
from features.world.ads import FAVOURED, LOOKED_AT, appeals, click_chance
from features.world.behaviour import ACTIVE, Outcome, arms_of
from features.world.disorder import ACCEPTED, KINDS, OUTCOMES, Records
from features.world.draws import Flags, Ints
from features.world.items import items_of
from features.world.lines import ARMS, category_name
from features.world.offers import CONTROL, TREATED, campaign_days, promotions_of
from features.world.shape import DAY, World
from features.world.users import ALWAYS, LIKED, Users, anonymous_ids, logs_in, user_ids
from features.world.visits import anonymous_until

SESSION = (
    Column("user_id", "string", "who, as the logs say it: a user id or an anonymous id"),
    Column("person_id", "string", "the user id of the person behind it"),
    Column("start_ts", "timestamp", "time of the first event", unit="UTC, milliseconds"),
    Column("end_ts", "timestamp", "time of the last event", unit="UTC, milliseconds"),
    Column("event_count", "int", "active events that ingest must accept", unit="events"),
)
TRUE_SESSIONS = Table(
    name="truth/sessions",
    meaning="One session that `sessions` must hold once everything has arrived: of the active events that ingest must "
    "accept, without the bots' days that are over the limit.",
    columns=SESSION,
    key=("user_id", "start_ts"),
)
JOINED_SESSIONS = Table(
    name="truth/joined_sessions",
    meaning="The same for the people of `identities`, where what they did before they logged in is theirs.",
    columns=SESSION,
    key=("person_id", "start_ts"),
)
TRUE_USERS = Table(
    name="truth/users",
    meaning="One person or bot, whether it ever comes or not.",
    columns=(
        Column("user_id", "string", "who"),
        Column("anonymous_id", "string", "what the logs call them before they log in", nullable=True),
        Column("login_ts", "timestamp", "when they first log in", nullable=True, unit="UTC, milliseconds"),
        Column("is_bot", "boolean", "whether it is a bot"),
        Column("joined_date", "date", "the first day on which they can come"),
        Column("churn_date", "date", "the day at 4 o'clock of which they are gone for good", nullable=True),
        Column("churn_per_week", "double", "the hazard behind it: chance a week to leave"),
        Column("visits_per_week", "double", "how often they come, as a mean over the week and the year"),
        Column("weekend", "double", "visits on a Saturday or Sunday to one on another day"),
        Column("peak_hour", "double", "about when they come", unit="hours, UTC"),
        Column(
            "favourites", "array<string>", "favourite categories, the first the dearest; one may come twice"
        ),
        Column("tastes", "array<double>", "share of their views that goes to each; the rest goes anywhere"),
        Column("thrift", "double", "how much a price cut raises their chance to put an item into the cart"),
        Column("staple_item", "string", "the item that they buy again and again", nullable=True),
        Column("staple_days", "int", "after how long", nullable=True, unit="days"),
        Column("campaign_effect", "double", "by how much a campaign in force changes their chance to buy"),
        Column("arms", "map<string,string>", "campaign -> treated or control; those in which they are"),
    ),
    key=("user_id",),
)
TRUE_ITEMS = Table(
    name="truth/items",
    meaning="One item.",
    columns=(
        Column("item_id", "string", "the item"),
        Column("category", "string", "its category"),
        Column("price", "double", "of one, without any cut", unit="the shop's currency"),
        Column("launch_date", "date", "before which nobody can see it"),
        Column("weight", "double", "popularity within its category: one over its rank"),
    ),
    key=("item_id",),
)
TRUE_PROMOTIONS = Table(
    name="truth/promotions",
    meaning="One price cut, for everybody.",
    columns=(
        Column("promotion_id", "string", "the promotion"),
        Column("category", "string", "whose items it is about"),
        Column("cut", "double", "share of the price"),
        Column("first_date", "date", "its first day"),
        Column(
            "end_date", "date", "the day after its last; a later promotion of the category ends it sooner"
        ),
    ),
    key=("promotion_id",),
)
TRUE_CAMPAIGNS = Table(
    name="truth/campaigns",
    meaning="One campaign: who got it by lot, and what it came to. What a treated user buys has the discount.",
    columns=(
        Column("campaign_id", "string", "the campaign"),
        Column("sent_date", "date", "when it is sent"),
        Column("first_date", "date", "its first day in force"),
        Column("end_date", "date", "the day after its last in force"),
        Column("discount", "double", "share of the price"),
        Column("treated_users", "bigint", "who got it", unit="users"),
        Column("control_users", "bigint", "who were held out", unit="users"),
        Column("treated_purchases", "bigint", "of the treated while it was in force", unit="purchases"),
        Column("treated_spend", "double", "in these", unit="the shop's currency"),
        Column(
            "untreated_purchases", "bigint", "of the treated, had they not been treated", unit="purchases"
        ),
        Column("untreated_spend", "double", "in these", unit="the shop's currency"),
        Column("control_purchases", "bigint", "of those held out", unit="purchases"),
        Column("control_spend", "double", "in these", unit="the shop's currency"),
    ),
    key=("campaign_id",),
)
TRUE_ADS = Table(
    name="truth/ads",
    meaning="One item that is advertised, at one position of a page.",
    columns=(
        Column("item_id", "string", "the item"),
        Column("category", "string", "its category"),
        Column("position", "int", "where it is shown, from 1"),
        Column("click", "double", "chance of a click by a user of whom this category is no favourite"),
        Column("click_favourite", "double", "likewise by one of whom it is"),
        Column(
            "weight_favourite",
            "double",
            "times as often as another's an item of a favourite category is shown",
        ),
    ),
    key=("item_id", "position"),
)
DISORDER = Table(
    name="truth/disorder",
    meaning="How many records of a kind come on a day, and what ingest must make of them.",
    columns=(
        Column("arrival_date", "date", "the folder of the logs"),
        Column("kind", "string", ", ".join(KINDS)),
        Column("outcome", "string", f"{', '.join(OUTCOMES[:2])}, or the reason of the quarantine"),
        Column("records", "bigint", "how many", unit="records"),
    ),
    key=("arrival_date", "kind", "outcome"),
)
TRUTH = (
    TRUE_SESSIONS,
    JOINED_SESSIONS,
    TRUE_USERS,
    TRUE_ITEMS,
    TRUE_PROMOTIONS,
    TRUE_CAMPAIGNS,
    TRUE_ADS,
    DISORDER,
)


def counted_in_sessions(world: World, users: Users, today: Records) -> tuple[Flags, int]:
    """Which of the records of a whole day are in sessions; and how many are capped, since a bot sent too many.

    No person can: `shape.MOST_PER_DAY` is the most of one.
    """
    arrives = today.arrival < world.days
    active = arrives & (today.outcome == ACCEPTED) & ACTIVE[today.events.type]
    many = np.bincount(today.events.row[active], minlength=len(users))
    capped = active & (users.is_bot & (many > world.most_events))[today.events.row]
    return active & ~capped, int(np.count_nonzero(capped))


def sessions_of(who: Ints, ts: Ints, gap: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Who, first time, last time and number of events of each session: a gap longer than `gap` starts a new one.

    who  ts             who  first  last   events
    1    10:00          1    10:00  10:30  2           exactly 30 minutes: same session
    1    10:30          1    11:01  11:01  1
    1    11:01
    """
    order = np.lexsort((ts, who))
    who, ts = who[order], ts[order]
    starts = np.ones(len(who), np.bool_)
    starts[1:] = (who[1:] != who[:-1]) | (ts[1:] - ts[:-1] > gap)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(who))[: len(first)] - 1
    return who[first], ts[first], ts[last], last - first + 1


def session_tables(
    world: World, users: Users, names: pa.StringArray, today: Records
) -> tuple[pa.Table, pa.Table, int]:
    """The rows of TRUE_SESSIONS and JOINED_SESSIONS of one day of the users, and how many events are capped."""
    counts, capped = counted_in_sessions(world, users, today)
    inside = today.take(counts)
    events = inside.events
    of_known = inside.take(logs_in(users)[events.row])
    tables = []
    for table, who, ts in (
        (TRUE_SESSIONS, events.row + len(users) * events.anonymous, inside.stamped),
        (JOINED_SESSIONS, of_known.events.row, of_known.stamped),
    ):
        who, first, last, many = sessions_of(who, ts, world.gap)
        columns = [
            names.take(pa.array(who)),
            names.take(pa.array(who % len(users))),
            _ts(first),
            _ts(last),
            many,
        ]
        tables.append(as_table(table, columns))
    return tables[0], tables[1], capped


def users_table(world: World, users: Users) -> pa.Table:
    """The rows of TRUE_USERS."""
    login_ts, known_from = np.zeros(len(users), np.int64), logs_in(users)
    for day in np.unique(users.login[known_from]):
        rows = np.flatnonzero(users.login == day)
        login_ts[rows] = anonymous_until(world, users.take(rows), int(day))
    bought = users.staple >= 0
    churns = users.churned < world.days
    columns = [
        user_ids(users.index),
        _where(users.login != ALWAYS, anonymous_ids(world, users.index)),
        _where(known_from, _ts(login_ts)),
        users.is_bot,
        _dates(world, users.joined),
        _where(churns, _dates(world, np.where(churns, users.churned, 0))),
        1.0 - np.exp(-users.hazard),
        users.visits_per_week,
        users.weekend,
        users.peak,
        _lists(pa.array([category_name(n) for n in users.favourites.ravel()]), len(LIKED)),
        _lists(pa.array((users.focus[:, None] * LIKED).ravel()), len(LIKED)),
        users.thrift,
        _where(bought, [f"i{item}" for item in users.staple]),
        _where(bought, users.staple_every),
        users.effect,
        _arms(world, users),
    ]
    return as_table(TRUE_USERS, columns)


def items_table(world: World) -> pa.Table:
    """The rows of TRUE_ITEMS."""
    items = items_of(world)
    category = [category_name(int(n)) for n in items.category]
    ids = [f"i{n}" for n in range(len(items))]
    return as_table(TRUE_ITEMS, [ids, category, items.cents / 100, _dates(world, items.launch), items.weight])


def promotions_table(world: World) -> pa.Table:
    """The rows of TRUE_PROMOTIONS."""
    told = promotions_of(world)
    category = [category_name(int(n)) for n in told.category]
    ids = [f"p{n}" for n in range(len(category))]
    days = _dates(world, told.first), _dates(world, told.last)
    return as_table(TRUE_PROMOTIONS, [ids, category, told.cut, *days])


def campaigns_table(
    world: World, outcomes: Iterable[Outcome], users: Mapping[tuple[int, int], int]
) -> pa.Table:
    """The rows of TRUE_CAMPAIGNS, from the outcomes of days and blocks; `users`: (campaign, arm) -> how many."""
    days = np.array(campaign_days(world), np.int64)
    sums = np.zeros((len(days), 6), np.int64)
    for outcome in outcomes:
        numbers = list(vars(outcome).values())
        sums[outcome.campaign] += numbers[1:]
    in_arms = [[users.get((n, arm), 0) for n in range(len(days))] for arm in (TREATED, CONTROL)]
    columns = [
        [campaign_name(n) for n in range(len(days))],
        _dates(world, days),
        _dates(world, days + 1),
        _dates(world, days + 1 + world.conf.campaign_days),
        np.full(len(days), world.conf.campaign_discount),
        *in_arms,
        *(sums[:, n] if n % 2 == 0 else sums[:, n] / 100 for n in range(6)),
    ]
    return as_table(TRUE_CAMPAIGNS, columns)


def ads_table(world: World) -> pa.Table:
    """The rows of TRUE_ADS."""
    appeal, positions = appeals(world), 1 + np.arange(len(LOOKED_AT))
    ad, position = (each.ravel() for each in np.meshgrid(np.arange(len(appeal)), positions, indexing="ij"))
    columns = [
        [f"i{n}" for n in ad],
        [category_name(int(n)) for n in items_of(world).category[ad]],
        position,
        *(click_chance(appeal[ad], np.full(len(ad), liked), position) for liked in (False, True)),
        np.full(len(ad), FAVOURED),
    ]
    return as_table(TRUE_ADS, columns)


def disorder_table(world: World, counts: Mapping[tuple[int, str, str], int]) -> pa.Table:
    """The rows of DISORDER, from (arrival day, kind, outcome) -> records."""
    keys = sorted(counts)
    days = np.array([day for day, _, _ in keys], np.int64)
    columns = [_dates(world, days), [kind for _, kind, _ in keys], [outcome for _, _, outcome in keys]]
    return as_table(DISORDER, [*columns, [counts[key] for key in keys]])


def as_table(table: Table, columns: Sequence[Any]) -> pa.Table:
    """Columns in the order and of the types of their declaration."""
    schema = to_arrow_schema(table.schema)
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    return pa.Table.from_arrays(
        [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def campaign_name(number: int) -> str:
    return f"k{number}"


def _arms(world: World, users: Users) -> pa.MapArray:
    campaigns = range(len(campaign_days(world)))
    arms = np.stack([arms_of(world, users, campaign) for campaign in campaigns], axis=1)  # (users, campaigns)
    row, campaign = np.nonzero(arms)
    ends = np.append(0, np.cumsum(np.count_nonzero(arms, axis=1)))
    names = pa.array([campaign_name(n) for n in campaigns]).take(pa.array(campaign))
    return pa.MapArray.from_arrays(
        pa.array(ends, pa.int32()), names, ARMS.take(pa.array(arms[row, campaign]))
    )


def _lists(values: pa.Array, length: int) -> pa.ListArray:
    ends = np.arange(0, len(values) + 1, length)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def _where(known: Flags, values: Any) -> pa.Array:
    """The values, null where they are not known."""
    array = values if isinstance(values, pa.Array) else pa.array(values)
    return array.take(pa.array(np.arange(len(known)), mask=~known))


def _ts(ts: Ints) -> pa.Array:
    return pa.array(ts * 1000).cast(pa.timestamp("us", "UTC"))


def _dates(world: World, days: Ints) -> pa.Array:
    return pa.array((world.midnight(days) // DAY).astype(np.int32)).cast(pa.date32())
