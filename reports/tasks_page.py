"""The page about tasks: `render(tasks)`, one file that opens offline; a row a metric of each task beside its baseline."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from reports.page import compared_tasks, environment


def render(tasks: Sequence[Mapping[str, Any]]) -> str:
    """The page of what `reports.tasks.of_folder` finds (`reports.facts.TaskStands`)."""
    page = environment()
    style, *_ = page.loader.get_source(page, "page.css")  # type: ignore[union-attr]
    shown = compared_tasks({"tasks": list(tasks)})
    return page.get_template("tasks.html.j2").render(style=Markup(style), tasks=shown)
