"""Metrics of rows in Arrow batches, as sums that can be added up elsewhere: what `mapInArrow` calls; no Spark in here."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from models.metrics.ranking import KS, per_user
from models.metrics.segments import by_part

SUMS_SCHEMA = "model string, segment string, metric string, users bigint, total double"
SUMS = pa.schema(
    {
        "model": pa.string(),
        "segment": pa.string(),
        "metric": pa.string(),
        "users": pa.int64(),
        "total": pa.float64(),
    }
)


def sums(batches: Iterator[pa.RecordBatch], ks: Sequence[int] = KS) -> Iterator[pa.RecordBatch]:
    """Of each batch, model and segment the sum of every metric over its users, and how many these are.

    in   model string, segment string, n_targets int, better list<int>, ties list<int>, repeated list<bool>, as
         `models.scoring.rank_facts` gives them; rows with null facts, those that could not be scored, are passed over
    out  SUMS_SCHEMA; the mean of a metric is the sum of its totals divided by that of its users
    """
    for batch in batches:
        rows = batch.filter(batch.column("better").is_valid())
        better, ties, repeated = (
            rows.column(name).to_numpy(zero_copy_only=False) for name in ("better", "ties", "repeated")
        )
        n_targets = rows.column("n_targets").to_numpy(zero_copy_only=False).astype(int)
        values = per_user(list(better), list(ties), n_targets, ks)
        values |= by_part(list(better), list(ties), list(repeated), ks)
        keys = np.array(rows.column("model").to_pylist()), np.array(rows.column("segment").to_pylist())
        found = []
        for model, segment in sorted(set(zip(*keys, strict=True))):
            inside = (keys[0] == model) & (keys[1] == segment)
            for metric, of_users in values.items():
                said = of_users[inside & ~np.isnan(of_users)]
                found.append((model, segment, metric, len(said), float(said.sum())))
        columns = zip(*found, strict=True) if found else [[]] * len(SUMS)
        yield pa.RecordBatch.from_arrays(
            [pa.array(list(c), f.type) for c, f in zip(columns, SUMS, strict=True)], schema=SUMS
        )
