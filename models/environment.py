"""What a run was made with: code, Python, packages and machines. Environment variables are not looked into, but one."""

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

COMMIT = "FOOTFALL_COMMIT"  # the environment variable that says it, where nothing else can
BUILT_FROM = Path(__file__).with_name("commit.txt")  # made with the wheel (setup.py)
UNKNOWN = "unknown"


def environment(hosts: Sequence[str] = ()) -> dict[str, Any]:
    """Plain values, for a file.

    hosts  of each rank the name; none: there are no ranks
    """
    return {
        "git_commit": git_commit() or UNKNOWN,
        "python": platform.python_version(),
        "system": platform.platform(),
        "hardware": {
            "processor": processor(),
            "cores": psutil.cpu_count(),
            "memory_bytes": psutil.virtual_memory().total,
            "gpus": gpus(),
        },
        "ranks": len(hosts),
        "hosts": dict(Counter(hosts)),
    }


def packages() -> list[str]:
    """What is installed, as `name==version`, in the order of names."""
    found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def processor() -> str:
    """The model of the first processor."""
    with open("/proc/cpuinfo") as lines:
        return next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
            platform.machine(),
        )


def gpus() -> list[str]:
    """Those of this host that TensorFlow sees."""
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return [each.get("device_name", UNKNOWN) for each in details]


def git_commit() -> str | None:
    """The commit of the code: what the environment says, what the wheel was built from, or that of the checkout.

    With `+` where files differ from it. None where nobody knows it.
    """
    if said := os.environ.get(COMMIT):
        return said
    if BUILT_FROM.exists():
        return BUILT_FROM.read_text().strip()
    return commit_of(Path(__file__).parent)


def commit_of(folder: Path) -> str | None:
    """That of a checkout; none where it is no checkout, or there is no git."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        ).stdout

    try:
        return git("rev-parse", "HEAD").strip() + (
            "+" if git("status", "--porcelain", "-uno").strip() else ""
        )
    except (OSError, subprocess.CalledProcessError):
        return None
