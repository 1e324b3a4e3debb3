"""Where a lake is on this machine, if it is."""

from pathlib import Path


def on_disk(lake: str) -> Path | None:
    """The lake's folder; none where it is no folder of a file system that is mounted here, as `s3a://…`."""
    path = lake.removeprefix("file://").removeprefix("file:").rstrip("/")
    return None if "://" in path else Path(path).absolute()
