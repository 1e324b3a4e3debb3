"""Gather what a lake and its registry know of themselves into a page for people and a file for programs.

Reads every table and the registry; writes `report.html`, `facts.json` (what the page was made from) and `summary.json`
(the same, flat and stable) into `report`. `seconds.json` there, if any, tells how long each step took, and what
jobs/tasks.py and jobs/few_labels.py left there is shown, too.

    spark-submit jobs/report.py ds=2018-01-01 lake=var/demo/lake report=var/demo
"""

import json
import os
import platform
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from pyspark.sql import functions as f

from conf.schema import Config
from features.events import EVENTS
from features.examples import end_of, rows_table
from features.ingested_files import INGESTED_FILES
from features.items import ITEMS
from features.lake import Lake
from features.predictions import PREDICTIONS
from features.promotions import PROMOTIONS, newest
from features.quality import QUALITY
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.summaries import binned, explained_in_words, gaps, predictions_in_words, recent_baskets
from features.table import Table
from features.users import USERS
from jobs.fairness import fairness
from jobs.files import put, put_json
from jobs.job import reader, run
from models.registry import CHAMPION, Registry, connect
from reports import render
from reports.facts import DURATION_MINUTES, EVENTS_PER_SESSION, GAP_HOURS, GAP_LABELS
from reports.facts import binned as labels
from reports.few_labels import of_folder as few_labels_of
from reports.tasks import flat as entries
from reports.tasks import of_folder

USERS_SHOWN, BASKETS_SHOWN = 3, 3


def report(conf: Config, lake: Lake) -> dict[str, Any]:
    registry = connect(conf.registry, conf.artifacts)
    folder = Path(conf.report)
    folder.mkdir(parents=True, exist_ok=True)
    took = folder / "seconds.json"
    seconds = json.loads(took.read_text()) if took.exists() else {}
    facts = {
        "title": f"{conf.task.name}, {conf.source.name}".replace("_", " ").capitalize(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "command": conf.report_command,
        "flow": flow(conf, lake, registry),
        "quarantine_reasons": {
            r.reason: r["count"] for r in lake.read(QUARANTINE).groupBy("reason").count().collect()
        },
        "sessions": sessions(lake),
        "training": training(conf, registry),
        "metrics": metrics(conf, lake),
        "tasks": of_folder(folder / "tasks"),
        "few_labels": few_labels_of(folder),
        "users": users(conf, lake),
        "fairness": fairness(conf, lake),
        "promotions": promotions(lake),
        "nights": nights(lake, seconds),
        "quality": quality(lake),
        "seconds": seconds,
    }
    put_json(folder / "facts.json", facts)
    put_json(folder / "summary.json", summary(conf, registry, facts))
    put(folder / "report.html", render(facts))
    return {"page": str(folder / "report.html"), "summary": str(folder / "summary.json")}


def hardware() -> dict[str, Any]:
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = round(psutil.virtual_memory().total / 2**30, 1)
    return {"cpu": names[0] if names else platform.processor(), "cores": os.cpu_count(), "memory_gb": memory}


def flow(conf: Config, lake: Lake, registry: Registry) -> dict[str, Any]:
    """Counts along the chain, each from the table that has it."""
    names = ("records", "events", "duplicates", "quarantined")
    read = (
        lake.read(INGESTED_FILES)
        .agg(*(f.coalesce(f.sum(name), f.lit(0)).alias(name) for name in names))
        .first()
    )
    active = lake.read(EVENTS).where("is_active").count()
    count, inside = lake.read(SESSIONS).agg(f.count("*"), f.coalesce(f.sum("event_count"), f.lit(0))).first()  # type: ignore[misc]
    newest = registry.versions(conf.task.name)[-1:]
    rows = lake.facts(rows_table(newest[0].tags["set_id"])).get("counts", {}) if newest else {}
    tonight = lake.read(PREDICTIONS).where((f.col("ds") == conf.ds) & (f.col("task") == conf.task.name))
    return {
        "read": read["records"],  # type: ignore[index]
        **{name: read[name] for name in names[1:]},  # type: ignore[index]
        "active": active,
        "passive": read["events"] - active,  # type: ignore[index]
        "in_sessions": inside,
        "capped": active - inside,
        "sessions": count,
        "users": lake.read(USERS).count(),
        "items": lake.read(ITEMS).count(),
        "examples": rows,
        "predictions": tonight.where("ids is not null").count(),
    }


def sessions(lake: Lake) -> dict[str, Any]:
    """Distributions of sessions, over the bins of the page."""
    table = lake.read(SESSIONS)
    minutes = (f.unix_micros("end_ts") - f.unix_micros("start_ts")) / 60_000_000
    by_hour = {r.hour: r["count"] for r in table.groupBy(f.hour("start_ts").alias("hour")).count().collect()}
    return {
        "events_per_session": histogram(
            table, f.col("event_count"), EVENTS_PER_SESSION, labels(EVENTS_PER_SESSION, counting=True)
        ),
        "duration_minutes": histogram(table, minutes, DURATION_MINUTES, labels(DURATION_MINUTES)),
        "hour_of_day": [by_hour.get(hour, 0) for hour in range(24)],
        "gap_hours": histogram(gaps(table), f.col("hours"), GAP_HOURS, list(GAP_LABELS)),
    }


def histogram(frame: Any, value: Any, edges: Any, names: list[str]) -> list[tuple[str, int]]:
    counts = {row.bin: row["count"] for row in binned(frame, value, edges).collect()}
    return [(name, counts.get(place, 0)) for place, name in enumerate(names)]


def training(conf: Config, registry: Registry) -> list[dict[str, Any]]:
    """Each registered encoder with its curve."""
    found = []
    for version in registry.versions(conf.task.name):
        if version.tags["kind"] != "encoder":
            continue
        logged = registry.metrics(version)
        metric = conf.promote.metric
        epochs = [
            {"epoch": step, "loss": loss, metric: score, "seconds": seconds}
            for (step, loss), (_, score), (_, seconds) in zip(
                logged["loss"], logged[metric], logged["seconds"], strict=True
            )
        ]
        found.append(
            {
                "model": version.tags["model"],
                "as_of": version.tags["as_of"],
                "ranks": int(version.tags["ranks"]),
                "rows_expected": int(version.tags["rows_per_epoch_expected"]),
                "rows_seen": int(version.tags["rows_per_epoch_seen"]),
                "seconds": float(version.tags["seconds"]),
                "best_epoch": int(version.tags["best_epoch"]),
                "epochs": epochs,
            }
        )
    return found


def metrics(conf: Config, lake: Lake) -> list[dict[str, Any]]:
    """What the gate measured of the task, question by question, oldest first."""
    of_task = newest(lake.read(PROMOTIONS)).where(f.col("task") == conf.task.name)
    ledger = of_task.orderBy("decided_at", "request_id").select("judged", "against").collect()
    questions: dict[Any, dict[str, Any]] = {}
    for row in (each for entry in ledger for each in entry.judged):
        key = (row.question, row.as_of, row.until)
        question = questions.setdefault(
            key,
            {
                "question": row.question,
                "as_of": row.as_of.isoformat(),
                "until": row.until.isoformat(),
                "users": row.users,
                "models": {},
            },
        )
        name = f"{row.model} v{row.version}"
        empty = {
            "model": row.model,
            "kind": row.kind,
            "version": row.version,
            "values": {},
            "against_best_baseline": {},
            "against": {},
        }
        model = question["models"].setdefault(name, empty)
        model["values"][row.metric] = {"mean": row["mean"], "low": row.low, "high": row.high}
        if row.difference is not None:
            between = {"difference": row.difference, "low": row.difference_low, "high": row.difference_high}
            model["against_best_baseline"][row.metric] = between
    for row in (each for entry in ledger for each in entry.against or ()):
        model = questions[row.question, row.as_of, row.until]["models"][f"{row.model} v{row.version}"]
        between = {"difference": row.difference, "low": row.low, "high": row.high}
        rival = f"{row.baseline} v{row.baseline_version}"
        model["against"].setdefault(rival, {})[row.metric] = between
    return [question | {"models": list(question["models"].values())} for question in questions.values()]


def users(conf: Config, lake: Lake) -> list[dict[str, Any]]:
    """A few users with a long history, picked by a hash: their newest baskets beside tonight's predictions.

    First come those of whom it is told where their predictions came from.
    """
    tonight = lake.read(PREDICTIONS).where((f.col("ds") == conf.ds) & (f.col("task") == conf.task.name))
    loyal = (
        lake.read(USERS)
        .where("session_count >= 20")
        .join(tonight.select("entity", "explained"), f.col("entity") == f.col("user_id"))
        .orderBy(f.col("explained").isNull(), f.xxhash64("user_id"))
    )
    picked = [row.user_id for row in loyal.limit(USERS_SHOWN).collect()]
    items = lake.read(ITEMS)
    baskets = recent_baskets(lake.read(SESSIONS), items, picked, BASKETS_SHOWN).collect()
    of_picked = tonight.where(f.col("entity").isin(picked) & f.col("ids").isNotNull())
    told = predictions_in_words(of_picked, items, lake.read(SEQUENCES)).collect()
    came_from = explained_in_words(of_picked, items).collect()
    model = of_picked.select("model", "model_version").first()
    return [
        {
            "user_id": user,
            "baskets": [
                {
                    "date": row.start_ts.date().isoformat(),
                    "items": [
                        {"item_id": i, "words": t} for i, t in zip(row.item_ids, row.titles, strict=True)
                    ],
                }
                for row in baskets
                if row.user_id == user
            ],
            "predictions": [
                {
                    "rank": row["rank"],
                    "item_id": row.item_id,
                    "words": row.title,
                    "score": row.score,
                    "bought_before": row.bought_before,
                }
                for row in told
                if row.entity == user
            ],
            "explained": [
                {
                    "date": (end_of(conf.ds) - timedelta(days=row.age)).date().isoformat(),
                    "item_id": row.item_id,
                    "words": row.title,
                    "attribution": row.attribution,
                    "change": row.change,
                }
                for row in came_from
                if row.entity == user
            ],
            "model": f"{model.model} v{model.model_version}" if model else "",
        }
        for user in picked
    ]


def promotions(lake: Lake) -> list[dict[str, Any]]:
    same = (
        "task",
        "promoted",
        "metric",
        "challenger_value",
        "champion_value",
        "difference",
        "low",
        "high",
        "reason",
    )
    return [
        {
            "at": row.decided_at.isoformat(),
            "challenger": f"{row.challenger} v{row.challenger_version}",
            "champion": f"{row.champion} v{row.champion_version}" if row.champion else None,
            **{name: row[name] for name in same},
        }
        for row in newest(lake.read(PROMOTIONS)).orderBy("decided_at", "request_id").collect()
    ]


def nights(lake: Lake, seconds: dict[str, float]) -> list[dict[str, Any]]:
    """What each night did, as its commits tell, and how long it took, where the steps' `seconds` say so."""
    told: dict[str, dict[str, Any]] = {}
    for facts in told_by("ingest", lake, INGESTED_FILES):
        told[facts["ds"]] = {
            "ds": facts["ds"],
            **{n: facts[n] for n in ("events", "duplicates", "quarantined")},
        }
    for facts in told_by("sessionize", lake, SESSIONS):
        if night := told.get(facts.get("ds", "")):
            night["sessions_new"] = facts["sessions"] - facts["sessions_replaced"]
            night["sessions_replaced"] = facts["sessions_replaced"]
    for facts in told_by("sequence", lake, SEQUENCES):
        if night := told.get(facts.get("ds", "")):
            night["users"] = facts.get("users", facts["rows"])
    for facts in told_by("score", lake, PREDICTIONS):
        if night := told.get(facts.get("ds", "")):
            night["predictions"] = facts["predictions"]
    took = {ds: seconds.get(f"night_{ds}") for ds in told} | {
        min(told, default=""): seconds.get("first_load")
    }
    return [told[ds] | {"seconds": took[ds]} for ds in sorted(told)]


def told_by(job: str, lake: Lake, table: Table) -> list[dict[str, Any]]:
    """What the commits of a job say: others, as of an erasure, say what they have to."""
    return [facts for facts in lake.history(table) if facts.get("job") == job]


def quality(lake: Lake) -> dict[str, Any]:
    """The newest night that was checked: how many expectations passed, and every one, the worst first."""
    table = lake.read(QUALITY)
    order = f.expr("passed is not false"), f.expr("severity != 'stop'"), "table", "name"
    of_newest = table.join(table.agg(f.max("ds").alias("ds")), "ds").orderBy(*order)
    found = [row.asDict() | {"ds": row.ds.isoformat()} for row in of_newest.collect()]
    overridden = bool(lake.facts(QUALITY).get("overridden"))
    return {"ds": found[0]["ds"], "overridden": overridden, "expectations": found} if found else {}


def summary(conf: Config, registry: Registry, facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that programs want, flat, under names that stay."""
    counts, trained = facts["flow"], facts["training"]
    champion = registry.by_alias(conf.task.name, CHAMPION)
    versions = registry.versions(conf.task.name)
    flat = {
        **{
            name: counts[name]
            for name in ("events", "duplicates", "quarantined", "sessions", "users", "items")
        },
        "examples": sum(counts["examples"].values()),
        "ranks": trained[-1]["ranks"] if trained else None,
        "rows_per_epoch_expected": trained[-1]["rows_expected"] if trained else None,
        "rows_per_epoch_seen": trained[-1]["rows_seen"] if trained else None,
        "registered_version": versions[-1].version if versions else None,
        "champion_version": champion.version if champion else None,
        "predictions": counts["predictions"],
    }
    test = next((question for question in facts["metrics"] if question["question"] == "test"), None)
    for model in test["models"] if test else []:
        for metric, value in model["values"].items():
            flat[f"metrics.{model['model']}.{metric}"] = value["mean"]
    of_tasks = entries(row for task in facts["tasks"] for row in task["rows"])
    flat |= {f"tasks.{name}": value for name, value in of_tasks.items()}
    return flat | {f"seconds.{step}": seconds for step, seconds in facts["seconds"].items()}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


if __name__ == "__main__":
    run(report, leases=reader)
