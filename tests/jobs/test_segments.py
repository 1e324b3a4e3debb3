"""Means by segment that Spark adds up are those of NumPy over all rows at once."""

import numpy as np
import pytest

from jobs.segments import means_by_segment
from models.metrics import by_part, by_segment, per_user
from models.scoring import RANK_FACTS_SCHEMA


def test_means_of_batches_are_those_of_all_rows_at_once(spark):
    rng = np.random.default_rng(1)
    rows, segments = [], []
    for user in range(40):
        counts = rng.integers(1, 5)
        ties = rng.integers(0, 3, counts)
        better = np.sort(rng.integers(0, 15, counts))
        had = rng.random(counts) < 0.5
        rows.append(
            (f"u{user}", "gru", int(counts), better.tolist(), ties.tolist(), had.tolist(), [], 0.1, None)
        )
        segments.append("new" if user % 3 else "old")
    rows.append(("broken", "gru", None, None, None, None, None, None, "no events"))
    facts = spark.createDataFrame(rows, RANK_FACTS_SCHEMA).repartition(3, "user_id")
    named = spark.createDataFrame(
        [*((f"u{u}", s) for u, s in enumerate(segments)), ("broken", "new")], "user_id string, segment string"
    )
    found = means_by_segment(facts.join(named, "user_id"), ks=(5, 10)).toPandas()
    of_users = [np.array(r[2]) for r in rows[:-1]], *([np.array(r[c]) for r in rows[:-1]] for c in (3, 4, 5))
    values = per_user(of_users[1], of_users[2], np.array(of_users[0]), (5, 10))
    values |= by_part(*of_users[1:], (5, 10))
    expected = by_segment(values, segments)
    assert len(found) == 2 * len(values)
    for row in found.itertuples():
        assert row[5] == pytest.approx(expected[row.segment][row.metric])
        said = ~np.isnan(values[row.metric]) & (np.array(segments) == row.segment)
        assert row.users == said.sum()
