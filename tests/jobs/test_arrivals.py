"""Nights equal one rebuild, whatever arrives when and in which shape."""

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.events import EVENTS
from features.items import ITEMS
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.users import USERS as PEOPLE
from tests.jobs.nights import DERIVED, contents, night, shop
from tests.shop import line, rows_of, write_log

NIGHTS = ["2026-11-02", "2026-11-03", "2026-11-04", "2026-11-05"]
RULES = ("features.max_events_per_user_day=8", "features.max_length=9", "features.late_days=1")
MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR
USERS = 24  # of a shop; they do not meet in a session, so that each is a case of its own


class Deed(NamedTuple):
    """What a user did, and how it came to be known."""

    after: int = 0  # seconds since the one before, or back where a clock was set
    nights: int = 0  # that it was held back for
    kind: str = "purchase"
    item: str | None = "milk"
    ahead: int = 0  # seconds that its clock was fast
    again: int = 0  # nights after which it was sent a second time; 0: it was not


class Disorder(NamedTuple):
    """What became of the files of a night."""

    breaks_off: bool = False  # one was half written, and is whole on the next night
    is_renamed: bool = False  # one of the night before comes again, under another name


KNOWN = [  # a life begins at 23:40 of the first night's day
    [
        Deed(),
        Deed(40 * MINUTE),
        Deed(-20 * MINUTE, nights=1),
    ],  # the late one joins two sessions, over midnight
    [Deed(HOUR), Deed(-10 * MINUTE, nights=1)],  # the late one comes before its session's first
    [Deed(), Deed(30 * MINUTE), Deed(30 * MINUTE + 1), Deed(0)],  # a gap that is one second too long
    [Deed(), Deed(MINUTE, nights=1), Deed(MINUTE, nights=2), Deed(MINUTE, nights=3)],  # two beyond the window
    [Deed(again=1), Deed(MINUTE, again=3), Deed(MINUTE, again=2)],
    [Deed(), Deed(MINUTE, ahead=50 * MINUTE), Deed(MINUTE, ahead=26 * HOUR), Deed(-2 * HOUR, ahead=40 * DAY)],
    [*(Deed(MINUTE) for _ in range(8)), Deed(-MINUTE, nights=1)],  # the late one makes it a bot's day
    [*(Deed(6 * HOUR, item=f"item {n}") for n in range(4)), Deed(MINUTE, kind="mail", item=None, nights=1)],
]
STEPS = [
    0,
    0,
    1,
    29 * MINUTE,
    30 * MINUTE,
    30 * MINUTE + 1,
    45 * MINUTE,
    5 * HOUR,
    20 * HOUR,
    -1,
    -31 * MINUTE,
]
DEEDS = st.builds(
    Deed,
    after=st.sampled_from(STEPS),
    nights=st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3]),
    kind=st.sampled_from(["purchase", "purchase", "view", "mail"]),
    item=st.sampled_from([None, "milk", "jam", "tea"]),
    ahead=st.sampled_from([0] * 8 + [50 * MINUTE, 26 * HOUR, 40 * DAY]),
    again=st.sampled_from([0, 0, 0, 1, 2]),
)
LIVES = st.lists(st.lists(DEEDS, min_size=2, max_size=12), min_size=USERS, max_size=USERS)
RENAMED = st.booleans()


def records(lives: list[list[Deed]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each record with the number of the night on which it arrives: not before the day that its clock should have shown."""
    for user, life in enumerate(lives):
        moment = datetime.fromisoformat(f"{NIGHTS[0]} 23:40:00")
        for number, deed in enumerate(life):
            moment += timedelta(seconds=deed.after)
            earliest = max(0, (moment.date() - datetime.fromisoformat(NIGHTS[0]).date()).days)
            arrival = earliest + deed.nights
            shown = moment + timedelta(seconds=deed.ahead)
            more = {"item_id": deed.item, "amount": 2.35, "quantity": 1}
            made = line(f"user {user}", f"{shown:%Y-%m-%dT%H:%M:%S}Z", f"{user}-{number}", deed.kind, **more)
            yield arrival, made
            if deed.again:
                yield arrival + deed.again, made


def land(raw: Path, lives: list[list[Deed]], disorders: list[Disorder]) -> Iterator[None]:
    """Lands the files of one night after the other."""
    by_night: list[list[dict[str, Any]]] = [[] for _ in NIGHTS]
    for arrival, record in records(lives):
        if arrival < len(NIGHTS):
            by_night[arrival].append(record)
    whole: dict[Path, bytes] = {}
    last, before = Disorder(), (None, *NIGHTS[:-1])
    for ds, lines, disorder, yesterday in zip(NIGHTS, by_night, [*disorders, last], before, strict=True):
        for path, content in whole.items():
            path.write_bytes(content)
        first = write_log(raw, ds, *lines[::2], name="a.json.gz")
        second = write_log(raw, ds, *reversed(lines[1::2]), name="b.json")
        whole = {first: first.read_bytes()} if disorder.breaks_off else {}
        for path, content in whole.items():
            path.write_bytes(content[: len(content) // 2])
        if yesterday and disorder.is_renamed:
            shutil.copy(raw / "events" / yesterday / "b.json", second.with_name("renamed.json"))
        yield


def by_item_id(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """The contents of DERIVED, in which items are called by their ids."""
    id_of = {0: ""} | {row.item_index: row.item_id for row in lake.read(ITEMS).collect()}
    assert len(id_of) == lake.read(ITEMS).count() + 1
    items = lake.read(SEQUENCES).select("user_id", "items").collect()
    named = sorted((row.user_id, [id_of[index] for index in row["items"]]) for row in items)
    rest = {
        ITEMS.name: rows_of(lake.read(ITEMS).drop("item_index")),
        SEQUENCES.name: rows_of(lake.read(SEQUENCES).drop("items")),
    }
    return contents(lake, SESSIONS, PEOPLE) | rest | {"items of sequences": named}


@pytest.mark.long
@pytest.mark.parametrize("breaks_off", [False, True])
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # to look for the smallest shop that fails would take an hour
    suppress_health_check=list(HealthCheck),
)
@given(lives=LIVES, renamed=RENAMED)
def test_nights_equal_one_rebuild_whatever_arrives_when(spark, tmp_path_factory, lives, renamed, breaks_off):
    """With the same indices of items, where these arrived in the same order: not where a file is whole a night later."""
    disorders = [Disorder(breaks_off), Disorder(is_renamed=True), Disorder(breaks_off, renamed)]
    folder = tmp_path_factory.mktemp("shop")
    landed = land(folder / "raw", KNOWN + lives, disorders)
    said = [night(spark, shop(folder, ds, *RULES)) for ds, _ in zip(NIGHTS, landed, strict=True)]
    rebuilt = shop(folder, NIGHTS[-1], *RULES, lake="rebuilt")
    night(spark, rebuilt)
    one, other = Lake(spark, rebuilt.lake), Lake(spark, str(folder / "lake"))
    assert by_item_id(one) == by_item_id(other)
    if not breaks_off:
        assert contents(one, *DERIVED) == contents(other, *DERIVED)
    assert rows_of(one.read(EVENTS).drop("batch")) == rows_of(other.read(EVENTS).drop("batch"))
    refused = {row.reason for row in other.read(QUARANTINE).select("reason").distinct().collect()}
    assert refused == {"too_late", "from_future"} | ({"broken_file"} if breaks_off else set())
    assert sum(each["ingest"]["duplicates"] for each in said) > 0
    assert sum(each["sessionize"].get("capped", 0) for each in said) > 0
    assert sum(each["sessionize"].get("sessions_replaced", 0) for each in said) > 0
