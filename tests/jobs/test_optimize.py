"""Upkeep between nights: small files are put together, and what the tables' versions are is said."""

from features.events import EVENTS
from jobs.optimize import optimize
from jobs.versions import versions
from tests.shop import event, events, rows_of

FACTS = {"job": "ingest", "batch": 2}


def test_small_files_become_few_and_no_row_and_no_fact_is_lost(spark, conf, lake):
    for n, batch in enumerate((1, 2)):
        lake.append(EVENTS, events(spark, event("ann", f"1{n}:00:00", f"e{n}")), FACTS | {"batch": batch})
    before, files = rows_of(lake.read(EVENTS)), len(lake.read(EVENTS).inputFiles())
    lake.versions_written()
    assert (files, optimize(conf, lake)) == (2, {"small_files": 2, "files_in_their_place": 1})
    assert lake.versions_written() == {"events": lake.version(EVENTS)}
    assert rows_of(lake.read(EVENTS)) == before
    assert len(lake.read(EVENTS).inputFiles()) == 1
    assert lake.facts(EVENTS) == FACTS, "an ingest asks them which batch was the last"
    assert optimize(conf, lake) == {"small_files": 0, "files_in_their_place": 0}

    said = versions(conf)
    assert said["tables"] == f"events@{lake.version(EVENTS)}"
    assert (said["task"], said["champion"]) == ("next_item", "none")
