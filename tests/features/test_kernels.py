"""The loops over arrays, on typed-in rows and against the same said in plain Python."""

from collections.abc import Iterable
from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest

from conf.contexts import hashed
from features import kernels
from features.kernels import UTC_MICROS, item_places, model_input, model_inputs_at, newest_steps

STEP_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "is_active": pa.bool_(),
        "start_ts": UTC_MICROS,
        "session_count": pa.int32(),
        "item_index": pa.int32(),
        "event_type": pa.string(),
        "event_ts": UTC_MICROS,
        "quantity": pa.float64(),
        "amount": pa.float64(),
        "channel": pa.string(),
    }
)


def step(user: str, time: int, start: int | None, item: int | None = 3, count: int | None = None) -> dict:
    """A step at `time` in the session that starts at `start`; a passive one without."""
    return {
        "user_id": user,
        "is_active": start is not None,
        "start_ts": time if start is None else start,
        "session_count": count,
        "item_index": item,
        "event_type": "mail" if start is None else "buy",
        "event_ts": time,
        "quantity": None,
        "amount": float(time),
        "channel": "app" if time % 2 else None,
    }


def in_batches(steps: list[dict], size: int) -> list[pa.RecordBatch]:
    parts = [steps[at : at + size] for at in range(0, len(steps), size)]
    return [pa.RecordBatch.from_pylist(part, STEP_SCHEMA) for part in parts]


def made(steps: list[dict], max_length: int, size: int = 1000) -> list[dict]:
    rows = pa.Table.from_batches(list(newest_steps(in_batches(steps, size), max_length))).to_pylist()
    return [row | {"timestamps": [int(t.timestamp() * 1e6) for t in row["timestamps"]]} for row in rows]


def test_sessions_are_numbered_by_their_starts_and_passive_steps_are_in_none():
    steps = [
        step("ann", 1, 1),
        step("ann", 2, None),
        step("ann", 3, 1, None),
        step("ann", 9, 9),
        step("bob", 1, None),
    ]
    ann, bob = made(steps, 10)
    assert (ann["user_id"], ann["sessions"], ann["session_count"]) == ("ann", [1, 0, 1, 2], 2)
    assert (ann["items"], ann["event_types"]) == ([3, 3, 0, 3], ["buy", "mail", "buy", "buy"])
    assert (ann["timestamps"], ann["amounts"]) == ([1, 2, 3, 9], [1.0, 2.0, 3.0, 9.0])
    assert ann["quantities"] == [0.0] * 4, "none said is none"
    assert (bob["sessions"], bob["session_count"], bob["length"]) == ([0], 0, 1)


def test_the_newest_steps_are_kept_and_keep_their_sessions_numbers():
    steps = [step("ann", time, time // 2) for time in range(2, 12)] + [step("bob", 5, 5)]
    ann, bob = made(steps, 3)
    assert (ann["timestamps"], ann["sessions"], ann["session_count"]) == ([9, 10, 11], [4, 5, 5], 5)
    assert (ann["length"], bob["length"]) == (3, 1)


def test_where_the_count_of_sessions_is_given_numbers_count_down_from_it():
    steps = [step("ann", 5, 5, count=7), step("ann", 6, None, count=7), step("ann", 9, 9, count=7)]
    (ann,) = made(steps, 10)
    assert (ann["sessions"], ann["session_count"]) == ([6, 0, 7], 7)


def plainly(steps: list[dict], max_length: int) -> list[tuple]:
    rows = []
    for user, group in groupby(steps, key=lambda each: each["user_id"]):
        mine = list(group)
        starts = sorted({each["start_ts"] for each in mine if each["is_active"]})
        in_all = mine[0]["session_count"] or len(starts)
        more = in_all - len(starts)
        numbers = [starts.index(each["start_ts"]) + 1 + more if each["is_active"] else 0 for each in mine]
        times = [each["event_ts"] for each in mine]
        rows.append((user, in_all, numbers[-max_length:], times[-max_length:]))
    return rows


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_same_wherever_batches_and_blocks_end(seed, monkeypatch):
    random = np.random.default_rng(seed)
    steps = []
    for user in range(random.integers(1, 8)):
        start, count = 0, int(random.integers(50, 99)) if random.random() < 0.3 else None
        for time in range(random.integers(1, 40)):
            passive = random.random() < 0.3
            start = time if random.random() < 0.3 else start
            steps.append(step(f"u{user}", time, None if passive else start, count=count))
    max_length = int(random.integers(1, 12))
    for size, block in ((1, 1), (3, 1), (7, 10), (1000, 1000)):
        monkeypatch.setattr(kernels, "BLOCK_ROWS", block)
        rows = made(steps, max_length, size)
        found = [(row["user_id"], row["session_count"], row["sessions"], row["timestamps"]) for row in rows]
        assert found == plainly(steps, max_length)


def test_of_one_long_user_only_the_newest_steps_are_held(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK_ROWS", 10)
    held, real = [], kernels._hold

    def hold(*arguments):
        held.append(real(*arguments))
        return held[-1]

    monkeypatch.setattr(kernels, "_hold", hold)
    (ann,) = made([step("ann", time, time) for time in range(1000)], 5, 10)
    assert (ann["session_count"], ann["sessions"]) == (1000, [996, 997, 998, 999, 1000])
    assert max(each.tail.num_rows for each in held) == 5


def by_user(row: dict) -> tuple[str, int]:
    return row["user_id"], row["until"]


def rows_in(batches: Iterable[pa.RecordBatch]) -> list[dict]:
    return [row for batch in batches for row in batch.to_pylist()]


def test_no_steps_are_no_rows():
    assert list(newest_steps([], 3)) == []
    assert list(newest_steps([pa.RecordBatch.from_pylist([], STEP_SCHEMA)], 3)) == []
    assert list(model_inputs_at([], [5], 3, ["buy"], 3)) == []


def test_a_model_sees_what_is_wanted_and_no_user_without():
    rows = [
        {"user_id": "ann", "items": [3, 0, 4, 5], "sessions": [1, 1, 0, 2], "event_types": ["buy"] * 4},
        {"user_id": "bob", "items": [3], "sessions": [1], "event_types": ["view"]},
        {"user_id": "cid", "items": [], "sessions": [], "event_types": []},
    ]
    day = 86_400_000_000
    for row in rows:
        row["timestamps"] = [day] * (len(row["items"]) - 1) + [day * 2][: len(row["items"])]
        row["session_starts"] = row["timestamps"]
        row["channels"] = ["app", "", "web", ""][: len(row["items"])]
    kinds = {"user_id": pa.string(), "items": pa.list_(pa.int32()), "sessions": pa.list_(pa.int32())}
    kinds |= {name: pa.list_(pa.string()) for name in ("event_types", "channels")}
    kinds |= {name: pa.list_(UTC_MICROS) for name in ("timestamps", "session_starts")}
    kinds |= {"until": pa.int64()}

    def asked(*until: int) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(
            [row | {"until": then} for row, then in zip(rows, until, strict=True)], pa.schema(kinds)
        )

    def seen(*until: int) -> list[dict]:
        return pa.Table.from_batches(list(model_input([asked(*until)], ["buy"]))).to_pylist()

    assert seen(*[3 * day] * 3) == [
        {"user_id": "ann", "items": [3, 5], "sessions": [1, 2], "ages": [2.0, 1.0]}
    ]
    assert seen(2 * day, day, day) == [{"user_id": "ann", "items": [3], "sessions": [1], "ages": [1.0]}], (
        "before it"
    )
    assert seen(day, day, day) == []
    (told,) = model_input([asked(*[3 * day] * 3)], ["view", "buy"], zone="UTC")
    app = hashed("app", 256)
    assert [
        (row["user_id"], row["items"], [(each & 0xFF, each >> 16) for each in row["contexts"]])
        for row in told.to_pylist()
    ] == [("ann", [3, 5], [(2, app), (2, 0)]), ("bob", [3], [(1, app)])]
    (scored,) = model_input([asked(*[3 * day] * 3)], ["buy"], ["view"], "UTC")
    assert ", ".join(scored.schema.names) == "user_id, items, sessions, ages, contexts, excluded"


@pytest.mark.parametrize("seed", range(20))
def test_inputs_as_of_several_moments_are_those_as_of_each_alone(seed, monkeypatch):
    random = np.random.default_rng(seed)
    steps = []
    for user in range(random.integers(1, 8)):
        start = time = int(random.integers(0, 9))
        for _ in range(random.integers(1, 40)):
            time += int(random.integers(0, 3))
            start = time if random.random() < 0.3 else start
            kind, item = random.choice(["buy", "view"]), random.choice([0, 3, 4])
            steps.append(step(f"u{user}", time, start, int(item) or None) | {"event_type": str(kind)})
    moments = sorted({int(moment) for moment in random.integers(-2, 60, 4)} | {int(steps[0]["event_ts"])})
    max_length, length = (int(most) for most in random.integers(1, 12, 2))
    expected = []
    for until in moments:
        before = in_batches([each for each in steps if each["event_ts"] < until], 7)
        for batch in newest_steps(before, max_length):
            columns = {name: batch.column(name) for name in batch.schema.names} | {
                "until": [until] * len(batch)
            }
            asked = pa.RecordBatch.from_pydict(columns)
            expected += [row | {"until": until} for row in rows_in(model_input([asked], ["buy"]))]
    for row in expected:
        row |= {name: row[name][-length:] for name in ("items", "sessions", "ages")}
    for size, block in ((1, 1), (3, 1), (7, 10), (1000, 1000)):
        monkeypatch.setattr(kernels, "BLOCK_ROWS", block)
        found = rows_in(model_inputs_at(in_batches(steps, size), moments, max_length, ["buy"], length))
        assert sorted(found, key=by_user) == sorted(expected, key=by_user)


def test_an_item_is_first_once_a_session_among_the_types_asked_about():
    rows = [
        {
            "item_id": ["milk", None, "jam", "milk"],
            "event_ts": [1, 2, 3, 4],
            "event_type": ["view", "buy", "buy", "buy"],
        },
        {"item_id": [], "event_ts": [], "event_type": []},
        {"item_id": ["milk"], "event_ts": [5], "event_type": ["buy"]},
    ]
    kinds = {
        "item_id": pa.list_(pa.string()),
        "event_ts": pa.list_(UTC_MICROS),
        "event_type": pa.list_(pa.string()),
    }
    batch = pa.RecordBatch.from_pylist(rows, pa.schema(kinds))

    def places(types: list[str] | None) -> list[tuple]:
        found = pa.Table.from_batches(list(item_places([batch], types))).to_pylist()
        return [(row["item_id"], int(row["event_ts"].timestamp() * 1e6), row["is_first"]) for row in found]

    assert places(None) == [("milk", 1, True), ("jam", 3, True), ("milk", 4, False), ("milk", 5, True)]
    assert places(["buy"]) == [("jam", 3, True), ("milk", 4, True), ("milk", 5, True)]
