"""A shop's clicks as a Parquet file, of any size and quickly made: what the data benchmarks read.

The simulator (docs/simulator.md) makes a richer world as raw logs; here only the columns that sessions and sequences are
made of matter, and that fifty million rows exist within a minute.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_FILE = 1_000_000
EVENTS_PER_USER, EVENTS_PER_SESSION, DAYS = 60, 6, 90
ITEMS = 100_000
FIRST_DAY = 1_767_225_600_000_000  # 2026-01-01, microseconds since 1970
DAY = 86_400_000_000
TYPES, SHARES = ("view", "cart", "purchase"), (0.8, 0.15, 0.05)
CHANNELS = ("web", "app", "shop")


def write_clicks(folder: Path, rows: int, seed: int = 7) -> Path:
    """`rows` active events in the order in which they happened, in files of a million; returns `folder`.

    The columns are those of `events` that a session keeps, and `user_id`. Users come at lognormal rates; a session has
    geometrically many events, half a minute apart, now and then at the same microsecond. Ids are 16 hexadecimal digits.
    """
    folder.mkdir(parents=True)
    chance = np.random.default_rng(seed)
    user, ts = _visits(chance, rows)
    users, items = _ids(int(user.max()) + 1, 0x9E3779B97F4A7C15), pa.array([f"item{n}" for n in range(ITEMS)])
    for number, first in enumerate(range(0, rows, ROWS_PER_FILE)):
        of = slice(first, min(rows, first + ROWS_PER_FILE))
        count = of.stop - of.start
        popularity = np.minimum((chance.pareto(1.1, count) * 20).astype(np.int64), ITEMS - 1)
        table = pa.table(
            {
                "event_id": _ids(count, 0xBF58476D1CE4E5B9, first),
                "user_id": users.take(pa.array(user[of])),
                "event_ts": pa.array(FIRST_DAY + ts[of]).cast(pa.timestamp("us", tz="UTC")),
                "event_type": pa.array(TYPES).take(pa.array(chance.choice(len(TYPES), count, p=SHARES))),
                "item_id": items.take(pa.array(popularity)),
                "quantity": np.ones(count),
                "amount": np.round(chance.random(count) * 100, 2),
                "channel": pa.array(CHANNELS).take(pa.array(chance.integers(0, len(CHANNELS), count))),
                "arrival_date": pa.array((FIRST_DAY + ts[of]) // DAY, pa.int32()).cast(pa.date32()),
                "source_file": pa.repeat(f"events/part-{number:05d}.json.gz", count),
                "ingest_seq": np.arange(count),
            }
        )
        pq.write_table(table, folder / f"part-{number:05d}.parquet", row_group_size=250_000)
    return folder


def _visits(chance: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """User and microseconds since the first day of each event, in the order of time: 2 x (rows,) int64."""
    users, sessions = max(1, rows // EVENTS_PER_USER), rows // EVENTS_PER_SESSION * 2 + 100
    rate = np.cumsum(chance.lognormal(0, 1.2, users))
    sizes = chance.geometric(1 / EVENTS_PER_SESSION, sessions)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), rows) + 1]
    whose = np.searchsorted(rate, chance.random(len(sizes)) * rate[-1])
    start = chance.integers(0, DAYS * DAY, len(sizes))
    pauses = np.floor(chance.exponential(40_000, sizes.sum())).astype(np.int64) * 1000  # whole milliseconds
    pauses[chance.random(len(pauses)) < 0.02] = 0
    elapsed = np.cumsum(pauses)
    before = np.repeat(elapsed[np.cumsum(sizes) - sizes], sizes)
    user, ts = np.repeat(whose, sizes)[:rows], (np.repeat(start, sizes) + elapsed - before)[:rows]
    order = np.argsort(ts, kind="stable")
    return user[order], ts[order]


def _ids(count: int, multiplier: int, first: int = 0) -> pa.Array:
    numbers = np.arange(first, first + count, dtype=np.uint64) * np.uint64(multiplier)
    return pa.array([f"{number:016x}" for number in numbers.tolist()])
