"""The examples of tasks, which a thread makes while others train."""

import sys
import time

import pytest

from jobs import tasks
from jobs.job import InputError


def test_a_task_waits_for_its_own_examples_and_is_told_what_kept_them_from_being_made(monkeypatch):
    """Of `together`, which asks what churn and spend and next_event ask, all parts are there before it."""
    monkeypatch.setattr(sys, "argv", ["jobs/tasks.py", "ds=2026-11-30", "promote.holdout_days=28"])

    def example_sets(asking, lake):
        for conf in asking:
            if conf.task.name == "purchase":
                raise InputError("purchase: no user has a label")
            time.sleep(0.05)
            made.append(conf.task.name)
            yield tasks.set_id_of(conf)

    made: list[str] = []
    monkeypatch.setattr(tasks, "example_sets", example_sets)
    names = ["churn", "together", "purchase", "promotion", "segments", "next_item"]
    asked = tasks.Made(names, lake=None)
    asked.wait_for("churn")
    asked.wait_for("together")
    assert made == ["churn", "spend", "next_event", "together"]
    for name in ("purchase", "promotion"):  # behind one that ends the thread no other is made
        with pytest.raises(InputError, match="purchase: no user has a label"):
            asked.wait_for(name)
    asked.wait_for("segments")  # which has no examples
    asked.wait_for("next_item")  # whose are made by its own step
