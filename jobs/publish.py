"""Publish a night: its predictions, and what answering in real time takes, into a folder, a PostgreSQL database, or both.

Reads the predictions of `ds` and `task`, and the versions of `sequences`, `items` and `rules` that they were made with, of a
task with labels the numbers that its model was given of each user; writes what docs/predictions.md says, then switches
readers to the night in one step, unless theirs is a later one. Safe to run again, and after a kill: who reads finds the
night before, or this one whole.

    spark-submit jobs/publish.py ds=2017-12-28 task=next_item publish.folder=var/shop/published
    spark-submit jobs/publish.py ds=2017-12-28 task=churn publish.folder=var/shop/published
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config
from features.items import ITEMS
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.rules import RULES, shown
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.table import Table
from jobs.job import InputError, run, settled
from jobs.published_database import dsn_of, into_database
from jobs.published_folder import into_folder
from jobs.score import own_partition, put_to, sequences_as_of
from models.registry import SAVED_MODEL, Registry, Version, connect


@dataclass(frozen=True)
class Night:
    """What is published: rows by table, and what is known of them."""

    ds: date
    task: str
    said: dict[str, Any]  # by the scoring: versions and counts
    model: dict[str, Any]  # name, version, and the folder or URI of its SavedModel
    rows: Mapping[str, DataFrame]
    """`predictions` as PREDICTIONS. With what is ranked `sequences` and `rules` as these tables, and `items`, what a shelf
    is made of (features.rules.shown); of a task with labels `inputs`: `user_id`, `features`, `naive`, as its model has."""

    @property
    def facts(self) -> dict[str, Any]:
        """All but the rows. Two nights with the same facts have the same rows."""
        return {"ds": self.ds.isoformat(), "task": self.task, "model": self.model, "scored": self.said}


def publish(conf: Config, lake: Lake) -> dict[str, Any]:
    dsn = dsn_of(conf.publish)
    if not (conf.publish.folder or dsn):
        raise InputError(
            "there is nowhere to publish to: set publish.folder, publish.dsn_file or publish.dsn_variable"
        )
    night = night_of(conf, lake, connect(conf.registry, conf.artifacts))
    done: dict[str, Any] = {"ds": conf.ds, "predictions": night.said["users"]}
    if conf.publish.folder:
        done["folder"] = into_folder(night, folder_of(conf), conf.publish.keep)
    if dsn:
        done["database"] = into_database(night, dsn, conf.publish.keep)
    return done


def folder_of(conf: Config) -> str:
    """Where the task's nights are: those of a task with labels in a folder of its name inside."""
    return f"{conf.publish.folder}/{conf.task.name}" if conf.task.label else conf.publish.folder


def night_of(conf: Config, lake: Lake, registry: Registry) -> Night:
    """The predictions of the night, with what they were made from."""
    said = next(
        (
            facts
            for facts in reversed(lake.history(PREDICTIONS))
            if (facts.get("job"), facts.get("ds"), facts.get("task")) == ("score", conf.ds, conf.task.name)
        ),
        None,
    )
    if said is None:
        raise InputError(
            f"{conf.lake} has no predictions of {conf.task.name} on {conf.ds} whose making is known: run jobs/score.py "
            "for that night first"
        )
    said.pop("rows")
    own = (f.col("ds") == f.lit(conf.ds).cast("date")) & (f.col("task") == conf.task.name)
    predictions = settled(lake.read(PREDICTIONS).where(own).drop("explained"))
    name, number = predictions.select("model", "model_version").first()  # type: ignore[misc]
    uri = registry.client.get_model_version_download_uri(conf.task.name, str(number)).rstrip("/")
    sequences = (
        sequences_as_of(conf, lake)[0]
        if said["sequences_version"] < 0
        else lake.read(SEQUENCES, said["sequences_version"])
    )
    if conf.task.label:
        rows = {
            "inputs": inputs_of_night(conf, lake, sequences, registry.version(conf.task.name, number), said)
        }
    else:
        items = shown(as_scored(lake, ITEMS, said["items_version"]), conf.score, conf.ds)
        rules = as_scored(lake, RULES, said["rules_version"])
        rows = {"sequences": sequences, "rules": rules, "items": items}
    model = {"name": name, "version": number, "saved_model": f"{uri}/{SAVED_MODEL}"}
    return Night(
        date.fromisoformat(conf.ds), conf.task.name, said, model, {"predictions": predictions, **rows}
    )


def inputs_of_night(
    conf: Config, lake: Lake, sequences: DataFrame, version: Version, said: Mapping[str, Any]
) -> DataFrame:
    """The numbers that the version was given of each user, beside the history."""
    now, then = lake.version(SESSIONS), said["sessions_version"]
    if now != then:
        raise InputError(
            f"{conf.task.name} was scored on {conf.ds} from version {then} of sessions, which is at {now} by now: run "
            "jobs/score.py again first"
        )
    put = put_to(conf, lake, sequences, version)
    inputs = settled(put.inputs.select("user_id", "features", "naive"))
    put.asked.unpersist()
    return inputs


def as_scored(lake: Lake, table: Table, version: int) -> DataFrame:
    """A table as it was when the night was scored; empty where it was not there yet."""
    return lake.read(table, version) if version >= 0 else lake.spark.createDataFrame([], table.schema)


if __name__ == "__main__":
    run(publish, leases=own_partition)
