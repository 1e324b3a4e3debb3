"""The page of a run: `render(facts)`."""

from reports.page import render

__all__ = ["render"]
