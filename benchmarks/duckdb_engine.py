"""Sessions and sequences of a file of clicks by DuckDB: what Footfall is timed against.

python -m benchmarks.duckdb_engine CLICKS OUT CORES MEMORY_GB
"""

import sys
from pathlib import Path

import duckdb

from benchmarks.measured import ready
from conf.schema import Features
from features.events import ARRIVAL_ORDER, USER_ORDER
from features.sessions import FIELDS

AS_CONFIGURED = Features()
ORDER = ", ".join(USER_ORDER)

MARKED = f"""
create temp table marked as
select *, sum(starts) over (partition by user_id order by {ORDER} rows unbounded preceding) as session
from (
    select *, case when event_ts - lag(event_ts) over (partition by user_id order by {ORDER})
                        <= interval {AS_CONFIGURED.session_gap_minutes} minute then 0 else 1 end as starts
    from clicks)
"""
SESSIONS = f"""
select user_id, events[1].event_ts as start_ts, events[-1].event_ts as end_ts, len(events)::int as event_count,
       [{{{", ".join(f"'{name}': e.{name}" for name in FIELDS)}}} for e in events] as events
from (
    select user_id, session,
           list({{{", ".join(f"'{name}': {name}" for name in FIELDS)}}}
                order by {ORDER}) as events
    from marked group by user_id, session)
"""
ITEMS = f"""
create temp table items as
select item_id, (row_number() over (order by first, item_id) + 2)::int as item_index
from (select item_id, min(({", ".join(ARRIVAL_ORDER)})) as first from clicks group by item_id)
"""
SEQUENCES = f"""
with starts as (select user_id, session, min(event_ts) as start_ts from marked group by user_id, session),
steps as (
    select user_id, list({{'item_index': item_index, 'event_type': event_type, 'event_ts': event_ts,
                           'session': session::int, 'start_ts': start_ts, 'quantity': quantity, 'amount': amount,
                           'channel': channel}}
                         order by {ORDER})[-{AS_CONFIGURED.max_length}:] as steps
    from marked join starts using (user_id, session) join items using (item_id) group by user_id)
select user_id, steps[-1].session as session_count, len(steps)::int as length,
       [s.item_index for s in steps] as items, [s.event_type for s in steps] as event_types,
       [s.event_ts for s in steps] as timestamps, [s.session for s in steps] as sessions,
       [s.start_ts for s in steps] as session_starts, [s.quantity for s in steps] as quantities,
       [s.amount for s in steps] as amounts, [s.channel for s in steps] as channels
from steps
"""


def main(clicks: str, out: Path, cores: int, memory: int) -> None:
    out.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect(str(out / "work.duckdb"))
    db.execute(f"set threads={cores}; set memory_limit='{memory}GB'; set preserve_insertion_order=false")
    db.execute("set timezone='UTC'")
    db.execute(f"create view clicks as from read_parquet('{clicks}/*.parquet')")
    with ready():
        db.execute(MARKED)
        db.execute(ITEMS)
        db.execute(f"copy ({SESSIONS}) to '{out}/sessions.parquet'")
        db.execute(f"copy ({SEQUENCES}) to '{out}/sequences.parquet'")
    db.close()
    (out / "work.duckdb").unlink()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
