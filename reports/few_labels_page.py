"""The page about few labels: `render(facts)`, one file that opens offline."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from reports.few_labels import shown
from reports.page import environment


def render(facts: Mapping[str, Any]) -> str:
    """The page of the facts that jobs/few_labels.py gathers of a task."""
    page = environment()
    style, *_ = page.loader.get_source(page, "page.css")  # type: ignore[union-attr]
    told = shown(facts)
    return page.get_template("few_labels_page.html.j2").render(style=Markup(style), facts=told, few=[told])
