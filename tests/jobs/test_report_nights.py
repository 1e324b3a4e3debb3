"""What the report says of each night, where other jobs than those of a night have written to its tables too."""

from features.ingested_files import INGESTED_FILES
from features.predictions import PREDICTIONS
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from jobs.report import nights

NIGHT = (
    (INGESTED_FILES, {"job": "ingest", "events": 3, "duplicates": 1, "quarantined": 0}),
    (SESSIONS, {"job": "sessionize", "sessions": 2, "sessions_replaced": 1}),
    (SEQUENCES, {"job": "sequence", "users": 2}),
    (PREDICTIONS, {"job": "score", "predictions": 2}),
)


def test_a_night_is_told_by_its_own_jobs_whatever_else_was_done_to_the_tables(lake, spark):
    for table, facts in NIGHT:
        lake.append(table, spark.createDataFrame([], table.schema), {})
        lake.tell(table, {"ds": "2026-11-02"} | facts)
        lake.tell(table, {"job": "backfill", "ds": "2026-11-02", "files": 1})
        lake.tell(table, {"ds": "2026-11-02"} | facts | {"job": "erase"})
    assert nights(lake, {"first_load": 7.5}) == [
        {
            "ds": "2026-11-02",
            "events": 3,
            "duplicates": 1,
            "quarantined": 0,
            "sessions_new": 1,
            "sessions_replaced": 1,
            "users": 2,
            "predictions": 2,
            "seconds": 7.5,
        }
    ]
