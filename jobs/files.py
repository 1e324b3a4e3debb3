"""Files that are there whole or not at all, whoever looks, and whenever the writer is killed."""

import json
import os
from pathlib import Path
from typing import Any


def put(path: Path, content: bytes | str, durable: bool = False) -> Path:
    """Gives a file this content in one step; its folder is made. `durable`: it is on the disk before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(path)
    with unfinished.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(unfinished, path)
    return path


def put_json(path: Path, told: Any, durable: bool = False) -> Path:
    """Likewise, as JSON for programs and people; what JSON has no word for, such as a moment, by its text."""
    return put(path, json.dumps(told, indent=1, default=str) + "\n", durable)


def beside(path: Path) -> Path:
    """Where a file is written before it has its name: Spark passes over names that begin with a dot."""
    return path.with_name(f".{path.name}.unfinished")
