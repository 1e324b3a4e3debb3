"""Where a lake is on this machine, if it is."""

from pathlib import Path

from conf.schema import Config


def on_disk(lake: str) -> Path | None:
    """The lake's folder; none where it is no folder of a file system that is mounted here, as `s3a://…`."""
    path = lake.removeprefix("file://").removeprefix("file:").rstrip("/")
    return None if "://" in path else Path(path).absolute()


def checkpoints_of(conf: Config) -> Path | None:
    """The folder of all trainings' checkpoints; none beside a lake that is in no folder."""
    lake = on_disk(conf.lake)
    if not conf.train.checkpoints and lake is None:
        return None
    return Path(conf.train.checkpoints or f"{lake}.checkpoints").absolute()
