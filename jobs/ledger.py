"""The ledger of promotions and the registry's alias, kept in step: what is to happen, the move, what happened.

before                            row of `promotions`        alias `champion`
decided                           pending, expects v3        v3
moved, or stopped before          pending, expects v3        v4, or v3
settled                           done                       v4
settled, where another was first  lost                       v5

Every job here holds the writer's lease of its lake; what else moves the alias is found when it is read again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pyspark.sql import functions as f

from conf.schema import Config
from features.lake import Lake
from features.leases import WRITER, Holder, LeaseHeld, holding, take
from features.promotions import DONE, LOST, PENDING, PROMOTIONS, newest
from models.registry import CHAMPION, Registry, Version, digest

Entry = dict[str, Any]  # a row of `promotions`


def decisions(lake: Lake, request: str) -> list[Entry]:
    """The decisions of one request as they stand now, in their order."""
    rows = newest(lake.read(PROMOTIONS)).where(f.col("request_id").startswith(f"{request}/"))
    return [row.asDict(recursive=True) for row in rows.orderBy("request_id").collect()]


def record(lake: Lake, registry: Registry, entries: Sequence[Entry], facts: Mapping[str, Any]) -> list[Entry]:
    """Writes decisions, those that promote as pending, and carries them out. Returns them as they stand then."""
    written = [entry | {"state": PENDING if entry["promoted"] else DONE} for entry in entries]
    append(lake, written, facts)
    settled = carried_out(registry, [entry for entry in written if entry["state"] == PENDING])
    if settled:
        append(lake, settled, facts)
    by_id = {entry["request_id"]: entry for entry in settled}
    return [by_id.get(entry["request_id"], entry) for entry in written]


def settle(lake: Lake, registry: Registry, task: str, facts: Mapping[str, Any]) -> list[Entry]:
    """Carries out what an earlier run of the task left pending. Returns what it found."""
    settled = carried_out(registry, pending(lake, task))
    if settled:
        append(lake, settled, facts)
    return settled


def pending(lake: Lake, task: str) -> list[Entry]:
    """What is written and not known to be done, oldest first."""
    left = newest(lake.read(PROMOTIONS)).where((f.col("state") == PENDING) & (f.col("task") == task))
    return [row.asDict(recursive=True) for row in left.orderBy("decided_at", "request_id").collect()]


def carried_out(registry: Registry, entries: Sequence[Entry]) -> list[Entry]:
    """Moves the alias for each, where it is with the champion that is expected; done, or lost."""
    settled = []
    for entry in entries:
        wanted, stands = entry["challenger_version"], champion_of(registry, entry["task"])
        why = None
        if stands == entry["champion_version"]:
            version = registry.version(entry["task"], wanted)
            if not (why := changed(registry, version)):
                registry.set_alias(version, CHAMPION)
        elif stands != wanted:
            why = f"v{stands} took the champion's place meanwhile"
        if why:
            entry = entry | {"promoted": False, "reason": f"{entry['reason']}; not carried out: {why}"}
        settled.append(entry | {"state": LOST if why else DONE})
    return settled


def changed(registry: Registry, version: Version) -> str | None:
    """What is wrong where a version's files are no longer those that were registered and judged; none: nothing."""
    recorded = version.tags.get("digest")  # none: of an earlier release
    if not recorded or digest(registry.saved_model_path(version)) == recorded:
        return None
    return f"the files of v{version.version} are not those that were registered: train it anew"


def settle_at_start(conf: Config, lake: Lake, registry: Registry) -> None:
    """`settle` for a job that does not hold the lake's lease; where another run does, that one will."""
    task = conf.task.name
    if pending(lake, task):
        holder = Holder("settle", task, conf.lease_seconds)
        with suppress(LeaseHeld), holding(take(lake, [WRITER], holder)):
            settle(lake, registry, task, {"job": "settle"})


def champion_of(registry: Registry, task: str) -> int | None:
    """The version that has the alias now."""
    champion = registry.by_alias(task, CHAMPION)
    return champion.version if champion else None


def append(lake: Lake, entries: Sequence[Entry], facts: Mapping[str, Any]) -> None:
    lake.append(PROMOTIONS, lake.spark.createDataFrame(list(entries), PROMOTIONS.schema), dict(facts))
