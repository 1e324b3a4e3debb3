"""What the commits of a Delta table say of themselves, read without Spark."""

import json
from typing import Any

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError


def newest_facts(path: str) -> dict[str, Any]:
    """The JSON of the newest commit that has any (`userMetadata`); empty where there is none, or no table."""
    try:
        commits = DeltaTable(path).history()  # the newest first
    except TableNotFoundError:
        return {}
    return next((json.loads(told) for commit in commits if (told := commit.get("userMetadata"))), {})
