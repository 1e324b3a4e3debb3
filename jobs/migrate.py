"""Bring a lake that an earlier release wrote to the tables of this one.

Holds every table against its declaration. Adds columns; writes a table whole where that takes it, or lets it be made anew by
the job that makes it: items keep their index, and what was covered stays covered elsewhere. Refuses, before it changes
anything, where what is wanted can be had from nothing in the lake. Give it the arguments of a night, for its
`features.user_buckets`. Safe to run again, and after a kill.

    spark-submit jobs/migrate.py lake=var/demo/lake dry_run=true     # says what is to be done, and does nothing
    spark-submit jobs/migrate.py lake=var/demo/lake
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame

from conf.schema import Config
from features.items import ITEMS, unseen
from features.lake import Lake
from features.migrations import (
    ANEW_FROM_LOGS,
    Plan,
    Step,
    anew,
    brought_up,
    in_other_buckets,
    nulls_in,
    plan,
    uncovered,
    with_followers,
)
from features.stored import differences
from features.table import Table
from features.tables import TABLES
from jobs.job import InputError, reader, run, writer


def migrate(conf: Config, lake: Lake) -> dict[str, Any]:
    plans = with_followers([planned(conf, lake, table) for table in TABLES if lake.exists(table)])
    show(plans)
    check_possible(conf, plans)
    if not conf.dry_run:
        for each in plans:
            carry_out(lake, each)
    counts = {step.name.lower(): sum(each.step is step for each in plans) for step in Step}
    return counts | ({"note": "dry_run is set: nothing was changed"} if conf.dry_run else {})


def planned(conf: Config, lake: Lake, table: Table) -> Plan:
    """What is to be done to a table, by its declaration and, where that does not decide it, by its rows."""
    found = plan(table, lake.stored(table))
    if found.step is Step.REWRITTEN and (nulls := nulls_in(brought_up(lake.written(table), table), table)):
        why = f"{', '.join(nulls)} may not be null, and is in some row: {ANEW_FROM_LOGS}"
        return replace(found, step=Step.REFUSED, found=(why,))
    has_covered = found.step in (Step.KEPT, Step.DECLARED) and "batches_upto" in lake.facts(table)
    if has_covered and "user_bucket" in table.schema.names:
        buckets = conf.features.user_buckets
        if in_other_buckets(lake.written(table), buckets):
            return anew(found, f"its users are in other buckets than features.user_buckets={buckets} gives")
    return found


def show(plans: Sequence[Plan]) -> None:
    wide = max((len(each.table.name) for each in plans), default=0)
    for each in plans:
        print(f"  {each.table.name:{wide}}  {each.what:60}  {'; '.join(each.found)}".rstrip(), flush=True)


def check_possible(conf: Config, plans: Sequence[Plan]) -> None:
    """Refuses a lake without tables, or with one that cannot be brought to this release."""
    if not plans:
        raise InputError(f"there are no tables in {conf.lake}: set lake= to the folder that they are in")
    refused = [
        f"{each.table.name}: {why}" for each in plans if each.step is Step.REFUSED for why in each.found
    ]
    if refused:
        raise InputError(f"{conf.lake} stays as it is. " + ". ".join(refused))


def carry_out(lake: Lake, each: Plan) -> None:
    """One table's plan: its rows first, then what is said of them."""
    table, facts = each.table, lake.facts(each.table) | {"job": "migrate"}
    has_other_columns = any(differences(table, each.stored))
    if each.step is Step.REWRITTEN:
        lake.rewrite(table, brought_up(lake.written(table), table), facts)
    elif each.step is Step.ANEW and has_other_columns:
        lake.rewrite(table, lasting(lake, table), uncovered(facts))
    elif each.step is Step.ANEW:
        lake.tell(table, uncovered(facts))
    if each.step is not Step.KEPT:
        lake.declare(table)


def lasting(lake: Lake, table: Table) -> DataFrame:
    """What stays of a table that is made anew: of items their indices, else nothing."""
    if table == ITEMS:
        return brought_up(unseen(lake.written(table)), table)
    return lake.spark.createDataFrame([], table.schema)


def leases(conf: Config) -> Sequence[str]:
    return reader(conf) if conf.dry_run else writer(conf)


if __name__ == "__main__":
    run(migrate, needs=(), leases=leases)
