"""Sessions and sequences of a file of clicks by Footfall: its own transforms and tables, as the nightly jobs use them.

python -m benchmarks.footfall_engine CLICKS OUT CORES MEMORY_GB
"""

import sys
from datetime import timedelta

from pyspark.sql import functions as f

from benchmarks.measured import ready, take_heap
from conf.load import load
from features.items import ITEMS, hand_out_indices
from features.sequences import SEQUENCES, sequences
from features.sessions import SESSIONS, mark_sessions, to_sessions
from jobs.job import open_lake, settled


def main(clicks: str, out: str, cores: int, memory: int) -> None:
    take_heap(memory)
    conf = load([f"lake={out}", f"spark.master='local[{cores}]'", *sys.argv[5:]])
    lake = open_lake(conf, "benchmark")
    lake.spark.range(1000).groupBy((f.col("id") % 7).alias("a")).count().collect()  # Spark is up
    events, settings = lake.spark.read.parquet(clicks), conf.features
    gap = timedelta(minutes=settings.session_gap_minutes)
    with ready():
        lake.append(SESSIONS, to_sessions(mark_sessions(events, gap)), {})
        known = settled(hand_out_indices(events, lake.read(ITEMS)))
        made = sequences(lake.read(SESSIONS), None, known, None, settings.max_length, settings.user_buckets)
        lake.replace_where(SEQUENCES, made, "true", {})
    lake.spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
