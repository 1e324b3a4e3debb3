"""Put the champion before this one back into service.

Reads the ledger `promotions` and the registry, writes a row of the ledger, and moves the alias `champion`; the next bulk
scoring uses it, and a service that runs takes it over by itself. With `champion=VERSION` nothing happens where that one is
champion no longer: what a scheduler should give, so that a second try does not go back twice.

    spark-submit jobs/rollback.py task=next_item
    spark-submit jobs/rollback.py task=next_item champion=12
"""

from datetime import UTC, datetime
from typing import Any

from conf.schema import Config
from features.lake import Lake
from features.promotions import PROMOTIONS, ROLLBACK, newest
from jobs.job import InputError, run
from jobs.ledger import Entry, champion_of, record, settle
from models.environment import git_commit
from models.registry import connect


def rollback(conf: Config, lake: Lake) -> dict[str, Any]:
    registry, task, told = connect(conf.registry, conf.artifacts), conf.task.name, {"job": "rollback"}
    if left := settle(lake, registry, task, told):
        return said(left[-1]) | {
            "note": "an earlier run was stopped on its way; it is carried out now, and no more"
        }
    stands = champion_of(registry, task)
    ledger = [
        row.asDict(recursive=True)
        for row in newest(lake.read(PROMOTIONS)).where(f"task = '{task}'").collect()
    ]
    moves = sorted((row for row in ledger if row["promoted"]), key=lambda row: row["decided_at"])
    if conf.champion is not None and stands != conf.champion:
        gone = [row for row in moves if row["champion_version"] == conf.champion and row["kind"] == ROLLBACK]
        if gone:
            return said(gone[-1]) | {"note": "it was rolled back before, nothing to do"}
        raise InputError(
            f"{task}: v{stands} is champion, expected v{conf.champion}: look at the ledger before going on"
        )
    entry = back_from(conf, moves, stands)
    return said(record(lake, registry, [entry], told)[-1])


def back_from(conf: Config, moves: list[Entry], stands: int | None) -> Entry:
    """The ledger's row that puts back whom the champion of now took the place from."""
    task = conf.task.name
    if stands is None:
        raise InputError(f"{task} has no champion: there is nothing to go back from")
    won = [
        row for row in moves if row["kind"] != ROLLBACK
    ]  # who was put back has not won against whom it replaced
    came = next((row for row in reversed(won) if row["challenger_version"] == stands), None)
    if came is None or came["champion_version"] is None:
        how = "was the first champion" if came else "came into service by no row of the ledger"
        raise InputError(
            f"{task} v{stands} {how}: there is none before it. Set the alias in MLflow if you must"
        )
    times = sum(1 for row in moves if row["kind"] == ROLLBACK and row["champion_version"] == stands)
    now = datetime.now(UTC)
    return dict.fromkeys(PROMOTIONS.schema.names) | {
        "request_id": f"{task}/rollback/v{stands}/{times}",
        "decided_at": now,
        "ds": datetime.fromisoformat(conf.ds).date() if conf.ds else now.date(),
        "task": task,
        "challenger": came["champion"],
        "challenger_version": came["champion_version"],
        "champion": came["challenger"],
        "champion_version": stands,
        "promoted": True,
        "metric": came["metric"],
        "challenger_value": came["champion_value"],
        "champion_value": came["challenger_value"],
        "users": came["users"],
        "reason": f"rolled back by hand: v{came['champion_version']} was champion before v{stands}, and is again",
        "judged": [],
        "tables": {},
        "git_commit": git_commit(),
        "requested_by": conf.promote.requested_by,
        "kind": ROLLBACK,
        "guards": [],
    }


def said(entry: Entry) -> dict[str, Any]:
    return {
        "champion": f"{entry['challenger']} v{entry['challenger_version']}",
        "state": entry["state"],
        "reason": entry["reason"],
    }


if __name__ == "__main__":
    run(rollback, needs=())
