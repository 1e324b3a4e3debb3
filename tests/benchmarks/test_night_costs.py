"""What a night costs is told apart by the commits that its tasks come before."""

import json

from benchmarks.night import Cost, costs, tasks

MARKS = [(0.0, ""), (2.0, "events"), (3.0, "events"), (4.5, "sessions"), (5.0, "sessions")]


def test_what_is_done_before_a_commit_counts_for_its_table_and_so_does_the_time():
    done = [
        (0.0, Cost(rows_read=9)),
        (1.0, Cost(rows_read=5)),
        (3.0, Cost(rows_read=2, bytes_written=7)),
        (4.0, Cost(rows_read=1)),
    ]
    assert costs(MARKS, done) == {
        "events": Cost(seconds=3.0, rows_read=7, bytes_written=7),
        "sessions": Cost(seconds=2.0, rows_read=1),
    }


def test_what_ends_behind_the_last_commit_is_not_lost():
    assert costs(MARKS, [(5.1, Cost(rows_read=4))])["sessions"].rows_read == 4


def test_tasks_are_those_of_the_event_log_that_have_ended():
    metrics = {
        "Input Metrics": {"Bytes Read": 10, "Records Read": 2},
        "Output Metrics": {"Bytes Written": 30, "Records Written": 3},
        "Shuffle Write Metrics": {"Shuffle Bytes Written": 20},
    }
    ended = {"Event": "SparkListenerTaskEnd", "Task Info": {"Finish Time": 1500}}
    log = [
        {"Event": "SparkListenerTaskStart"},
        ended | {"Task Metrics": metrics},
        ended | {"Task Metrics": None},
    ]
    lines = [json.dumps(event, separators=(",", ":")) for event in log]
    assert list(tasks(lines)) == [(1.5, Cost(0.0, 2, 10, 20, 3, 30))]
