"""One file of logs: the records of one block of users that come on one day, and the truth of that day of theirs."""

from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from features.world import disorder
from features.world.behaviour import CAMPAIGN_SEND, Events, evening_events, events_on
from features.world.disorder import Records
from features.world.draws import Ints
from features.world.lines import log_lines, names_of, times
from features.world.shape import World
from features.world.truth import session_tables
from features.world.users import Users, users_of
from features.world.visits import anonymous_until


@dataclass(frozen=True)
class Block:
    """Some of the users, people before bots, and their names (`lines.names_of`)."""

    users: Users
    names: pa.StringArray


@dataclass(frozen=True)
class Part:
    """What is to be written of one block on one day."""

    lines: pa.StringArray  # the records that come on the day, in the order in which they come
    logins: list[dict[str, str]]  # who logs in for the first time
    sessions: pa.Table
    joined_sessions: pa.Table
    facts: dict[str, Any]  # what adds up over all parts


@lru_cache(maxsize=1)
def block_of(world: World, number: int) -> Block:
    first = number * world.people_per_block
    people = np.arange(first, min(first + world.people_per_block, world.people))
    bots = world.people + np.arange(number, world.bots, world.blocks)
    users = users_of(world, np.concatenate([people, bots]))
    return Block(users, names_of(world, users))


def make_part(world: World, block_number: int, day: int) -> Part:
    block = block_of(world, block_number)
    users = block.users
    events, outcome = events_on(world, users, day)
    today = disorder.send(world, users, events, day)
    arriving = arrivals(world, users, day, today)
    sessions, joined_sessions, capped = session_tables(world, users, block.names, today)
    facts = {
        "records": disorder.counts_of(arriving),
        "sessions": sessions.num_rows,
        "capped": capped,
        "outcome": asdict(outcome) if outcome else None,
        "arms": arms_sent(events),
    }
    lines = log_lines(world, block.names, arriving)
    return Part(lines, logins_on(world, block, day), sessions, joined_sessions, facts)


def arrivals(world: World, users: Users, day: int, today: Records) -> Records:
    """All records that come on `day`, in the order in which they come; `today` are the users' of their own `day`."""
    originals, copies = [today.take(today.arrival == day)], []
    if day > 0:
        originals.append(of_the_night(world, users, day))
    for wait in disorder.possible_waits(world):
        if day >= wait:
            held, again = of_earlier(world, users, day, wait)
            originals.append(held)
            copies.append(again)
    first = disorder.joined(originals)
    records = disorder.joined([first, disorder.written_twice(world, first), *copies])
    return records.take(np.argsort(records.sent, kind="stable"))


def of_the_night(world: World, users: Users, day: int) -> Records:
    """What users did at the end of the day before, between midnight and dawn, and was sent at once."""
    records = disorder.send(world, users, evening_events(world, users, day - 1), day - 1)
    return records.take((records.arrival == day) & ~records.held)


def of_earlier(world: World, users: Users, day: int, wait: int) -> tuple[Records, Records]:
    """Of what users did `wait` days before `day`: what was held back until then, and what is sent again."""
    then = day - wait
    rows = np.flatnonzero(disorder.waits(world, users, then) == wait)
    some = users.take(rows)
    records = disorder.send(world, some, events_on(world, some, then)[0], then)
    again = disorder.sent_again(world, some, records, then)
    return of_rows(records.take(records.held), rows), of_rows(again, rows)


def of_rows(records: Records, rows: Ints) -> Records:
    """Records of some users as those of all: `rows` says where the some are among them."""
    return replace(records, events=replace(records.events, row=rows[records.events.row]))


def arms_sent(events: Events) -> list[tuple[int, int, int]]:
    """(campaign, arm, users) of the campaigns that start with these events."""
    sent = events.type == CAMPAIGN_SEND
    both, users = np.unique(
        np.stack([events.campaign[sent], events.arm[sent]], axis=1), axis=0, return_counts=True
    )
    return [(int(campaign), int(arm), int(many)) for (campaign, arm), many in zip(both, users, strict=True)]


def logins_on(world: World, block: Block, day: int) -> list[dict[str, str]]:
    """Who logs in for the first time on the UTC day `day`: a record of the identity map each."""
    logins = []
    users = block.users
    for own_day in (day - 1, day):
        rows = np.flatnonzero(users.login == own_day) if own_day >= 0 else np.zeros(0, np.int64)
        moment = anonymous_until(world, users.take(rows), own_day)
        now = (moment >= world.midnight(day)) & (moment < world.midnight(day + 1))
        for row, text in zip(rows[now], times(moment[now]).to_pylist(), strict=True):
            user, anonymous = (block.names[int(n)].as_py() for n in (row, row + len(users)))
            logins.append({"anonymous_id": anonymous, "user_id": user, "from": text})
    return logins
