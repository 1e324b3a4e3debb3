"""The night: ingest what arrived, sessionize it, bring sequences up to it, check it, score every user.

The same steps as the jobs of these names, inside one Spark application. A check that finds what must not be ends the night
before it scores, with exit code 3.

    spark-submit jobs/nightly.py ds=2017-12-28 raw=var/demo/raw lake=var/demo/lake source=complete_journey
"""

from typing import Any

from conf.schema import Config
from features.lake import Lake
from jobs.ingest import ingest
from jobs.job import run, say, writer
from jobs.quality import quality
from jobs.score import own_partition, score
from jobs.sequence import sequence
from jobs.sessionize import sessionize


def nightly(conf: Config, lake: Lake) -> dict[str, Any]:
    facts = {step.__name__: say(step, conf, lake) for step in (ingest, sessionize, sequence, quality, score)}
    return {"ds": conf.ds, "events": facts["ingest"]["events"], "predictions": facts["score"]["predictions"]}


def all_night(conf: Config) -> list[str]:
    """The leases of all its steps, from its first to its last."""
    return [*writer(conf), *own_partition(conf)]


if __name__ == "__main__":
    run(nightly, leases=all_night)
