"""Visitors who log in: nights equal one rebuild, whenever their logins arrive."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.events import EVENTS
from features.identities import IDENTITIES
from features.lake import Lake
from features.quarantine import QUARANTINE
from tests.jobs.nights import DERIVED, contents, night, shop
from tests.shop import line, rows_of, write_log

NIGHTS = ["2026-11-02", "2026-11-03", "2026-11-04"]
RULES = ("features.max_events_per_user_day=8", "features.max_length=9", "features.late_days=2")
MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR
IDS = ("tab", "phone", "ann", "bob")  # of one circle; circles do not meet, so that each is a case of its own
CIRCLES = 24


class Deed(NamedTuple):
    """What somebody did under an id, or, with `login`, under which id it was known from then on."""

    who: str = "tab"
    after: int = 5 * MINUTE  # seconds since the one before
    nights: int = 0  # that it was held back for
    kind: str = "purchase"
    login: str | None = None


def logs_in(who: str, user: str, after: int = 0, nights: int = 0) -> Deed:
    return Deed(who, after, nights, login=user)


KNOWN = [  # a life begins at 22:00 of the first night's day
    [Deed(), logs_in("tab", "ann"), Deed("ann"), Deed("ann", DAY)],
    [Deed(), logs_in("tab", "ann", nights=1), Deed("ann"), Deed("ann", DAY)],  # the login is late
    [logs_in("tab", "ann"), Deed("tab", DAY), Deed("tab", nights=1)],  # before anything was done
    [Deed("ann"), Deed(), Deed("ann"), logs_in("tab", "ann", nights=2)],  # three sessions are one
    [Deed(), Deed(after=40 * MINUTE), Deed("ann", -20 * MINUTE), logs_in("tab", "ann", nights=1)],  # it joins two
    [Deed(), logs_in("tab", "ann"), Deed(), logs_in("tab", "bob", DAY), Deed(), Deed("ann"), Deed(nights=1)],
    [Deed(), Deed(after=DAY), logs_in("tab", "bob", nights=0), logs_in("tab", "ann", -DAY + MINUTE, nights=2)],
    [Deed(), logs_in("tab", "ann"), Deed("ann"), logs_in("ann", "bob", nights=1), Deed("bob", DAY)],  # one after another
    [logs_in("tab", "phone"), logs_in("phone", "ann", nights=1), Deed(), Deed("phone"), logs_in("ann", "bob", 0, 2)],
    [logs_in("tab", "ann"), logs_in("ann", "tab", nights=1), Deed(), Deed("ann"), Deed("ann", DAY)],  # a cycle
    [Deed(kind="mail"), logs_in("tab", "ann", nights=1), Deed("ann", kind="mail")],  # nothing active at all
    [*(Deed(after=MINUTE, kind="mail") for _ in range(10)), logs_in("tab", "ann", nights=1)],  # longer than a sequence
    [*(Deed(after=MINUTE) for _ in range(8)), Deed("ann"), logs_in("tab", "ann", nights=1)],  # no bot's, together nine
    [*(Deed(after=MINUTE) for _ in range(8)), logs_in("tab", "ann"), Deed(after=-MINUTE, nights=1)],  # a bot's, then
    [
        *(Deed("ann", 2 * HOUR) for _ in range(6)),
        *(Deed("tab", MINUTE, kind=kind) for kind in ("mail", "purchase") * 3),
        logs_in("tab", "ann", nights=1),
        logs_in("tab", "bob", -6 * MINUTE, nights=2),  # takes a part of a sequence that is cut
    ],
]  # fmt: skip


def lives_of(seed: int) -> list[list[Deed]]:
    draw = Random(seed)
    return [[deed_of(draw) for _ in range(draw.randint(3, 10))] for _ in range(CIRCLES)]


def deed_of(draw: Random) -> Deed:
    return Deed(
        draw.choice(IDS),
        draw.choice([0, 1, 10 * MINUTE, 30 * MINUTE, 31 * MINUTE, 5 * HOUR, -20 * MINUTE]),
        draw.choice([0, 0, 1, 2]),
        draw.choice(["purchase", "purchase", "mail"]),
        draw.choice([None, None, *IDS]),
    )


def land(raw: Path, lives: list[list[Deed]]) -> None:
    """Lands the files of all nights."""
    found = list(records(lives))
    for number, ds in enumerate(NIGHTS):
        logs = [each for arrival, each in found if arrival == number and "event_id" in each]
        logins = [each for arrival, each in found if arrival == number and "event_id" not in each]
        write_log(raw, ds, *logs)
        write_logins(raw, ds, *logins)


def write_logins(raw: Path, ds: str, *logins: dict[str, Any] | str) -> None:
    """Lands a file of the identity map; a string is written as it is."""
    path = raw / "identities" / ds / "logins.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in logins))


def records(lives: list[list[Deed]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each record with the number of the night on which it arrives."""
    for circle, life in enumerate(lives):
        moment = datetime.fromisoformat(f"{NIGHTS[0]} 22:00:00")
        for number, deed in enumerate(life):
            moment += timedelta(seconds=deed.after)
            earliest = max(0, (moment.date() - datetime.fromisoformat(NIGHTS[0]).date()).days)
            who, time = f"{deed.who} {circle}", f"{moment:%Y-%m-%dT%H:%M:%S}Z"
            if deed.login:
                record = {"anonymous_id": who, "user_id": f"{deed.login} {circle}", "valid_from": time}
            else:
                record = line(
                    who, time, f"{circle}-{number}", deed.kind, item_id=f"item {number % 3}", amount=2.35
                )
            yield earliest + deed.nights, record


def check_nights(spark, folder: Path, lives: list[list[Deed]]) -> Lake:
    """One night after the other, and all at once: the same."""
    land(folder / "raw", lives)
    for ds in NIGHTS:
        night(spark, shop(folder, ds, *RULES))
    rebuilt = shop(folder, NIGHTS[-1], *RULES, lake="rebuilt")
    night(spark, rebuilt)
    one, other = Lake(spark, rebuilt.lake), Lake(spark, str(folder / "lake"))
    for table in (EVENTS, QUARANTINE, IDENTITIES):
        assert rows_of(one.read(table).drop("batch", "ingest_date")) == rows_of(
            other.read(table).drop("batch", "ingest_date")
        )
    assert contents(one, *DERIVED) == contents(other, *DERIVED)
    return other


@pytest.mark.long
@pytest.mark.slow
def test_nights_equal_one_rebuild_whenever_logins_arrive(spark, tmp_path):
    lake = check_nights(spark, tmp_path, KNOWN + lives_of(7))
    assert lake.read(IDENTITIES).count() > 30
    assert lake.read(QUARANTINE).where("reason = 'cycle'").count() > 5


LIVES = st.builds(lives_of, st.integers(0, 10_000))


@pytest.mark.long
@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(LIVES)
def test_nights_equal_one_rebuild_whatever_people_do(spark, tmp_path_factory, lives):
    check_nights(spark, tmp_path_factory.mktemp("shop"), lives)
