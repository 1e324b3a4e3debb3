"""What goes wrong between a shop and its logs, and what must become of each record: the rules of ingest, told once more.

To a user's whole day: events are held back and come days later, some of them too late; they are sent again days later; the
clock runs ahead, now and then so far that nobody believes it. To a single record: it is written twice, or spoilt.
"""

from dataclasses import dataclass

import numpy as np

from features.world.behaviour import CAMPAIGN_SEND, Events
from features.world.behaviour import joined as events_joined
from features.world.draws import Flags, Floats, Ints, bits, uniform
from features.world.shape import DAY, HOUR, MINUTE, MOST_AHEAD, World
from features.world.users import Users

PLAIN, HELD_BACK, HELD_TOO_LONG, SENT_AGAIN, CLOCK_AHEAD, CLOCK_FAR_AHEAD, WRITTEN_TWICE = range(7)
BROKEN_JSON, BLANK_LINE, EMPTY_ID, EMPTY_USER, NO_DATE, STRANGE_TYPE, DATE_1970, DATE_2999 = range(7, 15)
KINDS = (
    "plain", "held_back", "held_too_long", "sent_again", "clock_ahead", "clock_far_ahead", "written_twice",
    "broken_json", "blank_line", "empty_id", "empty_user", "no_date", "strange_type", "date_1970", "date_2999",
)  # fmt: skip
"""What was done to a record."""

ACCEPTED, DUPLICATE, NOT_A_RECORD, NO_ID, NO_USER, NO_TIME, UNKNOWN_TYPE, TOO_LATE, FROM_FUTURE = range(9)
OUTCOMES = (
    "accepted", "duplicate",
    "not_a_record", "no_id", "no_user", "no_time", "unknown_type", "too_late", "from_future",
)  # fmt: skip
"""What must become of it at ingest: an event, a duplicate, or a row of the quarantine with this reason."""

MALFORMED = np.array(
    [NOT_A_RECORD, NOT_A_RECORD, NO_ID, NO_USER, NO_TIME, UNKNOWN_TYPE, TOO_LATE, FROM_FUTURE]
)
"""The outcome of each kind from BROKEN_JSON on."""

HELD = 0.6  # share of a day's events that are held back where any are
DELAYS, BEYOND = (1, 2, 3, 7, 14), (1, 9)  # days; those beyond count from `late_days` on
REPEATS = (1, 5)  # days
FAR_AHEAD = 26 * HOUR, 40 * DAY  # at least, at most: an hour after the day of arrival is still believed


@dataclass(frozen=True)
class Records:
    """Events on their way to the logs, one element a record."""

    events: Events
    stamped: Ints  # what the clock said when it happened
    sent: Ints  # when it came to the log
    arrival: Ints  # the day of that
    held: Flags  # whether that is later than it should be
    kind: Ints
    outcome: Ints

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: Ints | Flags) -> "Records":
        return Records(self.events.take(rows), *(getattr(self, name)[rows] for name in COLUMNS))


COLUMNS = ("stamped", "sent", "arrival", "held", "kind", "outcome")


def delays(world: World) -> tuple[Ints, Ints]:
    """Days by which events are held back: up to `late_days`, that very number among them, and beyond."""
    within = {days for days in (*DELAYS, world.late_days) if 1 <= days <= world.late_days}
    return np.array(sorted(within), np.int64), world.late_days + np.array(BEYOND)


def repeats(world: World) -> Ints:
    """Days after which events are sent again: at most `late_days`, or they would be too late before they are known."""
    return np.array(
        sorted({days for days in (*REPEATS, world.late_days) if 1 <= days <= world.late_days}), np.int64
    )


def disorder_of_days(world: World, users: Users, day: int) -> Ints:
    """What happens to each user's `day`: a kind from PLAIN to CLOCK_FAR_AHEAD. Bots are spared."""
    conf = world.conf
    shares = [
        conf.held_back_share if len(delays(world)[0]) else 0.0,
        conf.held_too_long_share,
        conf.sent_again_share if len(repeats(world)) else 0.0,
        conf.clock_ahead_share,
        conf.clock_far_ahead_share,
    ]
    u = uniform(world.seed, "disorder", day, users.index)
    edges = np.cumsum(shares)
    kind = np.searchsorted(edges, u, side="right") + HELD_BACK
    return np.where((kind > CLOCK_FAR_AHEAD) | users.is_bot, PLAIN, kind)


def waits(world: World, users: Users, day: int) -> Ints:
    """Days after which the disordered part of each user's `day` arrives; 0 where nothing has to wait."""
    kind, (within, beyond) = disorder_of_days(world, users, day), delays(world)
    wait = np.zeros(len(users), np.int64)
    for of, choices in ((HELD_BACK, within), (HELD_TOO_LONG, beyond), (SENT_AGAIN, repeats(world))):
        rows = np.flatnonzero(kind == of)
        u = uniform(world.seed, "wait", day, users.index[rows])
        wait[rows] = choices[(u * len(choices)).astype(np.int64)]
    return wait


def possible_waits(world: World) -> list[int]:
    """All that `waits` can come to, but 0."""
    return sorted({int(days) for choices in (*delays(world), repeats(world)) for days in choices})


def send(world: World, users: Users, events: Events, day: int) -> Records:
    """Each event of the users' `day` once, on its way to the logs, with what happened to it and what must become of it.

    event         clock       arrival     kind           outcome
    10:00         10:00       same day    plain          accepted
    10:00         10:00       3 days on   held_back      accepted
    10:00         10:00       40 days on  held_too_long  too_late
    10:00         10:20       same day    clock_ahead    accepted
    """
    of_day = np.where(events.type == CAMPAIGN_SEND, PLAIN, disorder_of_days(world, users, day)[events.row])
    held = (of_day == HELD_BACK) | (of_day == HELD_TOO_LONG)
    held &= uniform(world.seed, "held back", events.key) < HELD
    wait = waits(world, users, day)[events.row]
    arrival = np.where(held, day + wait, day + (events.ts >= world.midnight(day + 1)))
    later = world.midnight(arrival) + (DAY * uniform(world.seed, "sent", events.key)).astype(np.int64)
    ahead = _ahead(world, users, day)[events.row]
    early = (of_day == CLOCK_AHEAD) | (of_day == CLOCK_FAR_AHEAD)
    kind = np.where(held | early, of_day, PLAIN)
    malformed = uniform(world.seed, "malformed", events.key) < world.conf.malformed_share
    which = BROKEN_JSON + (bits(world.seed, "how malformed", events.key) % np.uint64(len(MALFORMED))).astype(
        int
    )
    kind = np.where(malformed, which, kind)
    stamped = events.ts + np.where(early, ahead, 0)
    outcome = judge(world, stamped, arrival, kind)
    return Records(events, stamped, np.where(held, later, events.ts), arrival, held, kind, outcome)


def judge(world: World, stamped: Ints, arrival: Ints, kind: Ints) -> Ints:
    """What ingest must make of records that come for the first time."""
    too_late = stamped < world.midnight(arrival - world.late_days)
    from_future = stamped > world.midnight(arrival) + DAY + HOUR
    by_time = np.select([too_late, from_future], [TOO_LATE, FROM_FUTURE], ACCEPTED)
    return np.where(kind >= BROKEN_JSON, MALFORMED[np.maximum(kind - BROKEN_JSON, 0)], by_time)


def written_twice(world: World, records: Records) -> Records:
    """The second copies of accepted records that come within a minute of the first."""
    u = uniform(world.seed, "written twice", records.events.key)
    twice = records.take((records.outcome == ACCEPTED) & (u < world.conf.written_twice_share))
    after = (MINUTE * uniform(world.seed, "second copy", twice.events.key)).astype(np.int64)
    return _copies(twice, twice.sent + after, twice.arrival, WRITTEN_TWICE)


def sent_again(world: World, users: Users, records: Records, day: int) -> Records:
    """The copies, days later, of accepted records of the users' `day`."""
    of_day = disorder_of_days(world, users, day)[records.events.row]
    server = records.events.type == CAMPAIGN_SEND
    again = records.take((of_day == SENT_AGAIN) & (records.outcome == ACCEPTED) & ~server)
    arrival = day + waits(world, users, day)[again.events.row]
    u: Floats = uniform(world.seed, "sent again", again.events.key)
    return _copies(again, world.midnight(arrival) + (DAY * u).astype(np.int64), arrival, SENT_AGAIN)


def counts_of(records: Records) -> list[tuple[str, str, int]]:
    """(kind, outcome, how many records), without those of which there are none."""
    both = np.bincount(records.kind * len(OUTCOMES) + records.outcome)
    return [
        (KINDS[n // len(OUTCOMES)], OUTCOMES[n % len(OUTCOMES)], int(both[n])) for n in np.flatnonzero(both)
    ]


def joined(parts: list[Records]) -> Records:
    """The records of all parts, one behind the other."""
    return Records(
        events_joined([part.events for part in parts]),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS),
    )


def _ahead(world: World, users: Users, day: int) -> Ints:
    """Milliseconds by which each user's clock would run ahead on `day`."""
    u = uniform(world.seed, "ahead", day, users.index)
    kind = disorder_of_days(world, users, day)
    far = FAR_AHEAD[0] + u * (FAR_AHEAD[1] - FAR_AHEAD[0])
    return np.where(kind == CLOCK_FAR_AHEAD, far, MINUTE + u * (MOST_AHEAD - MINUTE)).astype(np.int64)


def _copies(records: Records, sent: Ints, arrival: Ints, kind: int) -> Records:
    many = len(records)
    held, kinds, outcomes = np.zeros(many, np.bool_), np.full(many, kind), np.full(many, DUPLICATE)
    return Records(records.events, records.stamped, sent, arrival, held, kinds, outcomes)
