"""Say at which version each table of the lake is, and which version of a task's model is in service.

Reads the tables' logs and the registry, without Spark; writes nothing.

    python jobs/versions.py lake=var/demo/lake task=next_item
"""

from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from conf.schema import Config
from features.tables import TABLES
from jobs.job import configure
from models.registry import CHAMPION, connect


def versions(conf: Config) -> dict[str, Any]:
    """`tables` as `events@12 sessions@9`, `task` and, where there is one, the `champion`'s version."""
    found = {table.name: version_of(f"{conf.lake}/{table.name}") for table in TABLES}
    champion = connect(conf.registry, conf.artifacts).by_alias(conf.task.name, CHAMPION)
    return {
        "tables": " ".join(f"{name}@{version}" for name, version in found.items() if version is not None),
        "task": conf.task.name,
        "champion": champion.version if champion else "none",
    }


def version_of(path: str) -> int | None:
    """Number of the newest commit; none where there is no table."""
    try:
        return DeltaTable(path).version()
    except TableNotFoundError:
        return None


if __name__ == "__main__":
    print(
        "versions: " + ", ".join(f"{key}={value}" for key, value in versions(configure()).items()), flush=True
    )
