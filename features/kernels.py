"""Arrow kernels (what `mapInArrow` calls): loops over the elements of arrays, by NumPy over whole columns.

Spark calls an interpreted lambda for each element of an array instead, which takes ten times as long.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.contexts import contexts_of

BLOCK_ROWS = 65_536  # rows that a kernel over sorted rows looks at together
MICROS_A_DAY = 86_400_000_000.0
UTC_MICROS = pa.timestamp("us", "UTC")

SEQUENCE_SCHEMA = (
    "user_id string, session_count int, length int, items array<int>, event_types array<string>, "
    "timestamps array<timestamp>, sessions array<int>, session_starts array<timestamp>, "
    "quantities array<double>, amounts array<double>, channels array<string>"
)
STEPS = {
    "items": ("item_index", pa.int32(), 0),
    "event_types": ("event_type", pa.string(), None),
    "timestamps": ("event_ts", UTC_MICROS, None),
    "session_starts": ("start_ts", UTC_MICROS, None),
    "quantities": ("quantity", pa.float64(), 0.0),
    "amounts": ("amount", pa.float64(), 0.0),
    "channels": ("channel", pa.string(), ""),
}
"""Array of a sequence -> the column of steps that it is made of, its type, and what stands for null."""

MODEL_INPUT_SCHEMA = "user_id string, items array<int>, sessions array<int>, ages array<float>"
INPUTS_AT_SCHEMA = f"{MODEL_INPUT_SCHEMA}, until bigint"
PLACES_SCHEMA = "item_id string, event_ts timestamp, is_first boolean"


class Held(NamedTuple):
    """What is kept of the user whose steps go on in the next block."""

    user: str | None = None
    sessions: int = 0  # so far
    last_start: int | None = None  # of the newest of them, microseconds
    tail: pa.Table | None = None  # the newest steps, numbered
    moments: int = 0  # as of which it was told already, see `model_inputs_at`


def newest_steps(batches: Iterable[pa.RecordBatch], max_length: int) -> Iterator[pa.RecordBatch]:
    """The newest `max_length` steps of each user as parallel arrays, their sessions numbered from 1.

    in   rows sorted by user, then in the order of the steps: user_id, is_active, start_ts, session_count and those of STEPS
    out  SEQUENCE_SCHEMA, one row a user

    Active steps with one `start_ts` are one session; others are in session 0. Where `session_count` is given, the newest
    session has that number and the others count down from it. Memory is that of a block and of `max_length` steps.
    """
    held = Held()
    for block in blocks(batches, BLOCK_ROWS):
        steps, starts = _behind_held(block, held)
        last = int(starts[-1])
        if last:
            yield _as_arrays(steps.slice(0, last), starts[:-1], held, max_length)
        held = _hold(steps.slice(last), held if last == 0 else Held(), max_length)
    if held.tail is not None:
        yield _as_arrays(held.tail, np.array([0]), held, max_length)


def model_inputs_at(
    batches: Iterable[pa.RecordBatch],
    moments: Sequence[int],
    max_length: int,
    event_types: list[str],
    length: int,
) -> Iterator[pa.RecordBatch]:
    """Of each user as of each moment (microseconds, ascending) the newest behaviours of some types: INPUTS_AT_SCHEMA.

    in   rows sorted by user, then in the order of the steps, all of them active: as those of `newest_steps`
    out  user_id, items, sessions, ages, as `model_input` makes them of what `newest_steps` would keep before the moment, and
         of that the newest `length`; until: the moment. Where there is nothing, there is no row

    The steps are looked at once, however many moments there are. Memory as in `newest_steps`.
    """
    at, held = np.array(moments, np.int64), Held()
    inputs = partial(
        _inputs, moments=at, max_length=max_length, types=pa.array(event_types, pa.string()), length=length
    )
    for block in blocks(batches, BLOCK_ROWS):
        steps, starts = _behind_held(block, held)
        before = _micros(steps["event_ts"])[:, None] < at  # (steps, moments)
        ends = starts[:, None] + np.add.reduceat(before, starts, dtype=np.int64)  # (users, moments)
        is_told = ends < steps.num_rows  # a step at the moment or behind it has come
        is_told[:-1] = True
        now = int(is_told[-1].sum())
        is_told[0, : held.moments] = False
        yield inputs(steps, starts, ends, is_told)
        last = int(starts[-1])
        held = _hold(steps.slice(last), held if last == 0 else Held(), max_length)._replace(moments=now)
    if held.tail is not None:
        ends, is_left = np.full((1, len(at)), held.tail.num_rows), np.arange(len(at)) >= held.moments
        yield inputs(held.tail, np.array([0]), ends, is_left[None])


def _inputs(
    steps: pa.Table,
    starts: np.ndarray,
    ends: np.ndarray,
    wanted_at: np.ndarray,
    moments: np.ndarray,
    max_length: int,
    types: pa.Array,
    length: int,
) -> pa.RecordBatch:
    """INPUTS_AT_SCHEMA of users: of the steps from `starts`, (users,), up to `ends`, (users, moments), before each moment.

    wanted_at  (users, moments) bool: as of which of them
    """
    user, moment = np.nonzero(wanted_at)
    end = ends[user, moment]  # (rows,)
    items = steps["item_index"].fill_null(0).to_numpy()
    is_wanted = pc.is_in(steps["event_type"], types).to_numpy() & (items > 0)
    places = np.flatnonzero(is_wanted)
    first, stop = (np.searchsorted(places, e) for e in (np.maximum(starts[user], end - max_length), end))
    kept = np.minimum(stop - first, length)
    some = kept > 0
    user, until, stop, kept = user[some], moments[moment[some]], stop[some], kept[some]
    chosen = places[_newest(stop, kept)]
    ages = (np.repeat(until, kept) - _micros(steps["start_ts"])[chosen]) / MICROS_A_DAY
    arrays = (items[chosen], steps["session"].to_numpy()[chosen], ages.astype(np.float32))
    users = steps["user_id"].take(starts[user]).combine_chunks()
    columns = [users, *(lists(values, kept) for values in arrays), pa.array(until)]
    return pa.RecordBatch.from_arrays(columns, _names(INPUTS_AT_SCHEMA))


def blocks(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The rows of `batches` in tables of at least `rows`, the last one aside, each column in one piece; none is empty."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= rows:
            yield pa.Table.from_batches(waiting).combine_chunks()
            waiting = []
    if sum(map(len, waiting)):
        yield pa.Table.from_batches(waiting).combine_chunks()


def _behind_held(block: pa.Table, held: Held) -> tuple[pa.Table, np.ndarray]:
    """The steps of a block, numbered, behind those that are held; and where those of each user begin, (users,)."""
    is_new, sessions = _numbered(block, held)
    steps = block.append_column("session", pa.array(sessions))
    if held.tail is not None:
        steps = pa.concat_tables([held.tail, steps])
        is_new = np.concatenate([np.zeros(held.tail.num_rows, bool), is_new])
    return steps, np.concatenate([[0], np.flatnonzero(is_new[1:]) + 1])


def _numbered(block: pa.Table, held: Held) -> tuple[np.ndarray, np.ndarray]:
    """Whether each step is its user's first, (rows,) bool, and the number of its session so far, (rows,) int32."""
    users = block["user_id"].chunk(0)
    is_new = np.ones(len(users), bool)
    is_new[0] = users[0].as_py() != held.user
    is_new[1:] = pc.not_equal(users[1:], users[:-1]).to_numpy(zero_copy_only=False)
    at = np.flatnonzero(block["is_active"].to_numpy())
    user = np.cumsum(is_new)[at]  # (active,); 0 is the held one
    start = _micros(block["start_ts"])[at]  # (active,)
    first, opens = np.ones(len(at), bool), np.ones(len(at), bool)
    first[1:] = user[1:] != user[:-1]
    opens[1:] = first[1:] | (start[1:] != start[:-1])
    goes_on = user == 0
    if goes_on[:1].any():
        opens[0] = start[0] != held.last_start
    opened = np.cumsum(opens)
    before = np.maximum.accumulate(np.where(first, opened - opens, 0))  # by the users ahead
    sessions = np.zeros(len(users), np.int32)
    sessions[at] = opened - before + np.where(goes_on, held.sessions, 0)
    return is_new, sessions


def _hold(steps: pa.Table, held: Held, max_length: int) -> Held:
    """`steps` are all of one user, after those that were `held` of the same user before."""
    sessions = steps["session"].to_numpy()
    active = np.flatnonzero(sessions)
    newest = int(_micros(steps["start_ts"])[active[-1]]) if len(active) else held.last_start
    return Held(
        steps["user_id"][0].as_py(),
        max(held.sessions, int(sessions.max())),
        newest,
        steps.slice(max(0, steps.num_rows - max_length)).combine_chunks(),
    )


def _as_arrays(steps: pa.Table, starts: np.ndarray, held: Held, max_length: int) -> pa.RecordBatch:
    """One row a user, whose steps begin at `starts`; the first of them is the one that was `held`."""
    ends = np.append(starts[1:], steps.num_rows)
    sessions = steps["session"].to_numpy()
    found = np.maximum.reduceat(sessions, starts)
    found[0] = max(found[0], held.sessions)
    given = steps["session_count"].take(starts).to_numpy().astype(float)  # NaN: none is
    in_all = np.where(np.isnan(given), found, np.nan_to_num(given)).astype(np.int32)
    kept = np.minimum(ends - starts, max_length)
    places = _newest(ends, kept)
    newest = steps.take(places).combine_chunks()
    number = sessions[places] + np.repeat(in_all - found, kept)
    columns = {
        "user_id": pc.take(steps["user_id"].combine_chunks(), starts),
        "session_count": pa.array(in_all),
        "length": pa.array(kept.astype(np.int32)),
        "sessions": lists(np.where(sessions[places] > 0, number, 0).astype(np.int32), kept),
    }
    for name, (column, kind, nothing) in STEPS.items():
        values = newest[column].chunk(0).cast(kind)
        columns[name] = lists(values if nothing is None else values.fill_null(nothing), kept)
    order = _names(SEQUENCE_SCHEMA)
    return pa.RecordBatch.from_arrays([columns[name] for name in order], order)


def _newest(ends: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The places of the last `kept` before each of `ends`, one behind the other: (rows,) int x 2 -> (sum of kept,) int."""
    return np.arange(kept.sum()) + np.repeat(ends - np.cumsum(kept), kept)


def _names(schema: str) -> list[str]:
    """The columns of a schema as `mapInArrow` wants it."""
    return [column.split()[0] for column in schema.split(", ")]


def input_schema(with_contexts: bool = False, with_excluded: bool = False) -> str:
    """What `model_input` makes."""
    more = ["contexts array<int>"] * with_contexts + ["excluded array<int>"] * with_excluded
    return ", ".join([MODEL_INPUT_SCHEMA, *more])


def model_input(
    batches: Iterable[pa.RecordBatch],
    event_types: list[str],
    excluded_types: list[str] | None = None,
    zone: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Of each sequence the active behaviours of some types before a moment (`until`, microseconds): `input_schema`.

    in   user_id, until, and items, event_types, sessions, session_starts, timestamps, with a `zone` channels: parallel
         arrays
    out  user_id, items, sessions, ages: days from the session's start to the moment; users without any are left out

    With `excluded_types`: every user with an active behaviour before the moment, and beside it `excluded`, the items of
    these types. Of a row that is broken all arrays are null.
    With a `zone`: beside it `contexts`, by its clock and by the places of types in `event_types` (features/contexts.py).
    """
    types = pa.array(event_types, pa.string())
    for every in batches:
        is_whole = None if excluded_types is None else _is_whole(every)
        batch = every if is_whole is None else every.filter(is_whole)
        items, sessions = (batch.column(name).flatten().to_numpy() for name in ("items", "sessions"))
        until = np.repeat(batch.column("until").to_numpy(), batch.column("items").value_lengths().to_numpy())
        times = _micros(batch.column("timestamps").flatten())
        active = (sessions > 0) & (times < until)
        kinds = batch.column("event_types").flatten()
        wanted = active & (items > 0) & pc.is_in(kinds, types).to_numpy(zero_copy_only=False)
        kept = counts_of(batch.column("items"), wanted)
        starts = _micros(batch.column("session_starts").flatten())[wanted]
        ages = ((until[wanted] - starts) / MICROS_A_DAY).astype(np.float32)
        arrays = [lists(values, kept) for values in (items[wanted], sessions[wanted], ages)]
        names = ["user_id", "items", "sessions", "ages"]
        if zone is not None:
            places = pc.index_in(kinds.filter(pa.array(wanted)), types).to_numpy(zero_copy_only=False)
            channels = batch.column("channels").flatten().filter(pa.array(wanted))
            arrays.append(lists(contexts_of(places + 1, times[wanted], channels, zone), kept))
            names.append("contexts")
        if excluded_types is None:
            some = kept > 0
        else:
            assert is_whole is not None, "found out above"
            some = counts_of(batch.column("items"), active) > 0
            hidden = active & (items > 0)
            hidden &= pc.is_in(kinds, pa.array(excluded_types, pa.string())).to_numpy(zero_copy_only=False)
            arrays.append(lists(items[hidden], counts_of(batch.column("items"), hidden)))
            names.append("excluded")
            if len(batch) < len(every):
                broken = every.filter(pc.invert(is_whole))
                nulls = [pa.nulls(len(broken), array.type) for array in arrays]
                yield pa.RecordBatch.from_arrays([broken.column("user_id"), *nulls], names)
        yield pa.RecordBatch.from_arrays(
            [column.filter(pa.array(some)) for column in (batch.column("user_id"), *arrays)], names
        )


def _is_whole(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Which rows have arrays of one length, without nulls."""
    columns = [batch.column(name) for name in batch.schema.names if name not in ("user_id", "until")]
    lengths = np.stack([pc.fill_null(pc.list_value_length(column), -1).to_numpy() for column in columns])
    is_whole = (lengths.min(axis=0) == lengths.max(axis=0)) & (lengths.min(axis=0) >= 0)
    for column, length in zip(columns, lengths, strict=True):
        row = np.repeat(np.arange(len(batch)), np.maximum(length, 0))
        is_whole[row[column.flatten().is_null().to_numpy(zero_copy_only=False)]] = False
    return pa.array(is_whole)


def item_places(batches: Iterable[pa.RecordBatch], event_types: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The events of sessions that name an item, and whether each is the first of its session to do so: PLACES_SCHEMA.

    in   item_id, event_ts, event_type: parallel arrays, a row a session
    """
    for batch in batches:
        items = batch.column("item_id").flatten()
        wanted = pc.is_valid(items).to_numpy(zero_copy_only=False)
        if event_types is not None:
            types = pa.array(event_types, pa.string())
            wanted = wanted & pc.is_in(batch.column("event_type").flatten(), types).to_numpy(
                zero_copy_only=False
            )
        session = np.repeat(np.arange(len(batch)), batch.column("item_id").value_lengths().to_numpy())
        items = items.filter(pa.array(wanted))
        code = items.dictionary_encode().indices.to_numpy().astype(np.int64)
        _, firsts = np.unique(session[wanted] * (len(items) + 1) + code, return_index=True)
        is_first = np.zeros(len(items), bool)
        is_first[firsts] = True
        times = batch.column("event_ts").flatten().filter(pa.array(wanted))
        yield pa.RecordBatch.from_arrays(
            [items, times, pa.array(is_first)], ["item_id", "event_ts", "is_first"]
        )


def lists(values: np.ndarray | pa.Array, counts: np.ndarray) -> pa.ListArray:
    """The values in lists of so many each."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(
        pa.array(offsets), pa.array(values) if isinstance(values, np.ndarray) else values
    )


def counts_of(column: pa.ListArray, wanted: np.ndarray) -> np.ndarray:
    """How many `wanted` elements each list of the column has, (rows,) int64."""
    row = np.repeat(np.arange(len(column)), column.value_lengths().to_numpy())
    return np.bincount(row[wanted], minlength=len(column))


def _micros(times: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Times as microseconds since 1970, (rows,) int64."""
    return times.cast(UTC_MICROS).cast(pa.int64()).to_numpy()
