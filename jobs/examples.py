"""Make the example set of a task for the models of a night.

Reads `sessions` and `items` as of `ds` less `promote.holdout_days`, of people as they were known before the validation
days, writes `examples/<set_id>`: the vocabulary, then, in one commit, the packed rows. A set that is there is left as it
is; none is made after a check (jobs/quality.py) that found what must not be.

    spark-submit jobs/examples.py ds=2017-12-27 promote.holdout_days=27 task=next_item
"""

from typing import Any

from pyspark.sql import functions as f

from conf.schema import Config
from conf.together import parts_of
from features.examples import Cut, packed, rows_table, set_id_of, spec_of
from features.grouping import groups_in_memory
from features.items import FIRST_INDEX, ITEMS
from features.lake import Lake
from features.quality import QUALITY
from features.questions import ask, candidates
from features.sessions import SESSIONS
from jobs.example_sets import write_set
from jobs.job import InputError, run
from jobs.labelled import People, labelled_examples
from jobs.people import sessions_as_of
from jobs.trust import trusted


def examples(conf: Config, lake: Lake, people: People | None = None) -> dict[str, Any]:
    """Makes the set of one task; `people` of jobs/labelled.py, where they were made for several."""
    set_id = set_id_of(conf)
    table = rows_table(set_id)
    if written := lake.facts(table):  # before its rows are there, an empty table is, which says nothing
        return {"set_id": set_id, "note": "it is there already"} | written["counts"]
    in_spite = trusted(conf, lake.facts(QUALITY))
    if conf.task.label:
        with groups_in_memory(lake.spark):
            return labelled_examples(conf, lake, in_spite, people, parts_of(conf))
    cut = Cut.of(conf)
    sessions, known = sessions_as_of(conf, lake, cut.validation_from), lake.read(ITEMS)
    words = candidates(sessions, known, cut.as_of, cut.validation_from, conf).persist()
    size = words.agg(f.max("item_index")).first()[0]  # type: ignore[index]
    if size is None:
        raise InputError(
            f"no sessions before {cut.as_of:%Y-%m-%d}: ingest more, or set promote.holdout_days lower"
        )
    histories = ask(sessions, known, cut.validation_from, cut.as_of, conf).persist()
    longest = histories.agg(f.coalesce(f.max(f.size("targets")), f.lit(0))).first()[0]  # type: ignore[index]
    tables = {source.name: lake.version(source) for source in (SESSIONS, ITEMS)}
    spec = spec_of(conf, size + 1, max(1, longest), tables)
    made = packed(histories, spec).persist()
    counts = write_set(conf, lake, spec, words, made, in_spite)
    for frame in (words, histories, made):
        frame.unpersist()
    return {"set_id": set_id, "items": size + 1 - FIRST_INDEX} | counts


if __name__ == "__main__":
    run(examples)
