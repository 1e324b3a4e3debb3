"""The tasks that a task asks together."""

from dataclasses import replace

from conf.load import load
from conf.schema import Config

SHARED = ("event_types", "length", "positions", "validation_days", "seed")
"""What of a task its parts have from it: how histories are cut."""
SHARED_OF_LABEL = ("snapshots", "features")
"""Likewise of its label: of which moments and with what of the users."""


def parts_of(conf: Config) -> list[Config]:
    """The configuration of each of `task.together`, whose histories are cut as the task's; none where it asks on its own."""
    parts = []
    for name in conf.task.together:
        own = load([f"task={name}"]).task
        task = replace(own, **{key: getattr(conf.task, key) for key in SHARED})
        if task.label and conf.task.label:
            asked = {key: getattr(conf.task.label, key) for key in SHARED_OF_LABEL}
            task = replace(task, label=replace(task.label, **asked))
        parts.append(replace(conf, task=task))
    return parts
