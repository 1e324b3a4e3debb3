"""Put the small files that nights leave behind together.

Rewrites `events`, `quarantine`, `ingested_files` and `predictions`, whose nights append to their partitions, in one commit
a table that changes no row. The other tables are written whole or merged, and who follows their changes by version would
take such a commit for one; example sets are never rewritten. Files from before go with jobs/retain.py. Safe to run again.

    spark-submit jobs/optimize.py lake=var/demo/lake
"""

from typing import Any

from conf.schema import Config
from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.quarantine import QUARANTINE
from jobs.job import run

APPENDED = (EVENTS, QUARANTINE, INGESTED_FILES, PREDICTIONS)


def optimize(conf: Config, lake: Lake) -> dict[str, Any]:
    before, after = 0, 0
    for table in filter(lake.exists, APPENDED):
        removed, added = lake.compact(table)
        before, after = before + removed, after + added
    return {"small_files": before, "files_in_their_place": after}


if __name__ == "__main__":
    run(optimize, needs=())
