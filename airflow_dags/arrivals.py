"""Whether the raw logs of a night are there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from airflow_dags.settings import ROOT

DAY = re.compile(r"\d{4}-\d\d-\d\d")


def path_of(source: str) -> str:
    """The pattern of a log format's files: `events/{ds}/*.json.gz`."""
    file = ROOT / source if source.endswith(".yaml") else ROOT / "conf" / "source" / f"{source}.yaml"
    return yaml.safe_load(file.read_text())["path"]


def arrived(root: Any, pattern: str, ds: str) -> dict[str, Any] | None:
    """`{"files": 3}`, or 0 and a note where none will come; none where they may still come."""
    if "{ds}" not in pattern:
        return {"files": 0, "note": f"files of {pattern} do not say when they arrived: nothing to wait for"}
    files = sum(1 for _ in root.glob(pattern.format(ds=ds)))
    if files:
        return {"files": files}
    parts = Path(pattern).parts
    dated = next(n for n, part in enumerate(parts) if "{ds}" in part)
    parent = root.joinpath(*parts[:dated])
    if dated < len(parts) - 1 and (parent / parts[dated].format(ds=ds)).is_dir():
        return {"files": 0, "note": f"a night of no data: the folder of {ds} is there and has none"}
    if later := next((day for day in days(parent, parts[dated]) if day > ds), None):
        return {"files": 0, "note": f"a night of no data: logs of {later} are there, and none of {ds}"}
    return None


def days(parent: Any, part: str) -> Iterator[str]:
    """The arrival dates below `parent`, in any order."""
    if not parent.is_dir():
        return
    for each in parent.glob(part.format(ds="*")):
        if found := DAY.search(each.name):
            yield found[0]
