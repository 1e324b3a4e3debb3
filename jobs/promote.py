"""Judge the models of a night on days that none of them has seen, and promote the challenger where it beats the champion.

Reads the registry, and `sessions` and `items` as of `ds` less `promote.holdout_days`; writes a row of `promotions` for
each decision, then moves the alias `champion`. The first champion is the best baseline; the challenger is the best encoder
of the night's example set; both are chosen by the validation days, and judged on the held-out ones: lists of items by
jobs/judging.py, answers of tasks with labels by jobs/judging_labels.py. A guard that is breached keeps a better one out
(docs/promotion.md). A request that was decided before is not decided again, until another model of the night is trained;
nothing is promoted after a check (jobs/quality.py) that found what must not be.

    spark-submit jobs/promote.py ds=2017-12-27 promote.holdout_days=27 task=next_item
    spark-submit jobs/promote.py ds=2017-12-28 promote.holdout_days=28 task=churn
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import product
from math import isnan
from pathlib import Path
from typing import Any

from conf.schema import Config
from features.examples import Cut, set_id_of
from features.items import ITEMS
from features.lake import Lake
from features.promotions import PROMOTION
from features.quality import QUALITY
from features.sessions import SESSIONS
from jobs import judging, judging_labels
from jobs.job import InputError, run
from jobs.judging import Judgement, how, metric_of, name_of
from jobs.labelled import spec_of_set
from jobs.ledger import Entry, decisions, record, settle
from jobs.trust import trusted
from models.card import Line
from models.environment import git_commit
from models.gate import Decision, best, decide
from models.guards import Guard, latency_guard, size_guard
from models.label_metrics import LEAST_IS_BEST
from models.registry import CHALLENGER, CHAMPION, Registry, Version, connect


def promote(conf: Config, lake: Lake) -> dict[str, Any]:
    if conf.task.label and conf.task.label.arms:
        raise InputError(
            f"{conf.task.name} is of an effect (task.label.arms), which the gate does not judge, expected a task without: "
            "run jobs/uplift.py where arms were drawn by lot; what jobs/observed_effect.py estimates promotes nothing"
        )
    if conf.task.together:
        raise InputError(
            f"{conf.task.name} is several tasks, each of which has a champion, expected one of "
            f"{', '.join(conf.task.together)}: set task={conf.task.together[0]}"
        )
    told = {"job": "promote", "ds": conf.ds}
    registry = connect(conf.registry, conf.artifacts)
    settle(lake, registry, conf.task.name, told)
    set_id = conf.set_id or set_id_of(conf)
    conf = replace(conf, set_id=set_id)
    trained = registry.versions(conf.task.name, set_id)
    if not trained:
        raise InputError(
            f"no version of {conf.task.name} is registered for {set_id}: run jobs/train.py first"
        )
    request = request_of(conf, trained)
    if decided := decisions(lake, request):
        return said(decided) | {"note": "this request was decided before"}
    in_spite = trusted(conf, lake.facts(QUALITY))
    standing = standing_versions(conf, registry)
    check_cut(conf, lake, set_id)
    judged_by = judging_labels if conf.task.label else judging
    validation = judged_by.on_validation_days(conf, lake, registry, trained)
    everyone = list({v.version: v for v in (*standing, *trained)}.values())
    test = judged_by.on_held_out_days(conf, lake, registry, everyone)
    known = {name_of(v): v for v in (*standing, *trained)}
    judged = {
        "judged": judged_rows(conf, known, validation) + judged_rows(conf, known, test),
        "groups": group_rows(conf, known, test),
        "against": against_rows(conf, known, validation) + against_rows(conf, known, test),
    }
    entries = []
    champion = registry.by_alias(conf.task.name, CHAMPION)
    if champion is None and (baselines := of_kind(trained, "baseline")):
        champion = chosen(conf, validation, baselines)
        first = gate(conf, test, champion, None)
        entries.append(entry_of(conf, lake, f"{request}/0", first, champion, None, judged))
    challenger = challenger_of(conf, validation, trained)
    if champion is None or challenger.version != champion.version:
        guards = guards_of(conf, registry, test, challenger, champion)
        decision = gate(conf, test, challenger, champion, guards)
        decision = beside_predecessor(conf, test, decision, challenger, standing)
        entries.append(entry_of(conf, lake, f"{request}/1", decision, challenger, champion, judged))
        registry.set_alias(challenger, CHALLENGER)
    decided = record(lake, registry, entries, told)
    for version in everyone:
        registry.describe(version, *lines_of(conf, test, version))
    return said(decided) | in_spite


def request_of(conf: Config, trained: Sequence[Version]) -> str:
    """What the ledger calls this request: the night's, for the versions that are `trained` by now or the one that is named.

    `/0` and `/1` behind it are its decisions.
    """
    asked = conf.promote.challenger
    about = f"v{asked}" if asked else f"up-to-v{max(version.version for version in trained)}"
    return f"{night_of(conf)}/{about}"


def night_of(conf: Config) -> str:
    """What all requests for the models of a night begin with."""
    return f"{conf.task.name}/{conf.ds}/{conf.set_id or set_id_of(conf)}"


def check_cut(conf: Config, lake: Lake, set_id: str) -> None:
    """Refuses to judge on other days than those that the night's example set has held out."""
    as_of = spec_of_set(lake, set_id)["as_of"]
    if datetime.fromisoformat(as_of) != Cut.of(conf).as_of:
        raise InputError(
            f"{set_id} is made as of {as_of}, and would be judged on days from {Cut.of(conf).as_of.isoformat()}: "
            "give the ds and promote.holdout_days that it was made with"
        )


def standing_versions(conf: Config, registry: Registry) -> list[Version]:
    """The champion and the challenger before this night's, judged along with it where they have not seen its days."""
    as_of = Cut.of(conf).as_of
    found = []
    for alias in (CHAMPION, CHALLENGER):
        version = registry.by_alias(conf.task.name, alias)
        if version and datetime.fromisoformat(version.tags["as_of"]) <= as_of:
            found.append(version)
        elif version and alias == CHAMPION:
            raise InputError(
                f"the champion {name_of(version)} was trained on what lies before {version.tags['as_of']}, and would be "
                f"judged on days from {as_of.isoformat()}: set ds later or promote.holdout_days lower"
            )
    return found


def beside_predecessor(
    conf: Config, test: Judgement, decision: Decision, challenger: Version, standing: Sequence[Version]
) -> Decision:
    """The decision, with a sentence on how the challenger stands to the one before it, which decides nothing."""
    before = [
        version
        for version in standing
        if CHALLENGER in version.aliases and version.version != challenger.version
    ]
    if not before:
        return decision
    to_it = gate(conf, test, challenger, before[0]).difference
    assert to_it is not None
    told = f"; to the challenger before it, {name_of(before[0])}: {to_it.mean:+.4f} ({to_it.low:+.4f} to {to_it.high:+.4f})"
    return replace(decision, reason=decision.reason + told)


def challenger_of(conf: Config, validation: Judgement, trained: Sequence[Version]) -> Version:
    """The version that is named; else the best encoder, or where there is none, baseline.

    Second stages have learnt from the validation days, which cannot choose them: they are named.
    """
    if number := conf.promote.challenger:
        named = [version for version in trained if version.version == number]
        if not named:
            known = ", ".join(name_of(version) for version in trained)
            raise InputError(
                f"promote.challenger is {number}, expected a version of {conf.set_id}: one of {known}"
            )
        return named[0]
    return chosen(conf, validation, of_kind(trained, "encoder") or of_kind(trained, "baseline"))


def chosen(conf: Config, validation: Judgement, versions: Sequence[Version]) -> Version:
    """The version that is best on the validation days."""
    by_name, metric = {name_of(v): v for v in versions}, metric_of(conf)
    values = {name: validation.metrics[name][metric].value for name in by_name}
    return by_name[best(values, metric in LEAST_IS_BEST)]


def gate(
    conf: Config, test: Judgement, challenger: Version, champion: Version | None, guards: Sequence[Guard] = ()
) -> Decision:
    metric, limits = metric_of(conf), conf.promote
    return decide(
        metric,
        test.metrics[name_of(challenger)][metric],
        test.metrics[name_of(champion)][metric] if champion else None,
        confidence=limits.confidence,
        least_is_best=metric in LEAST_IS_BEST,
        margin=limits.margin if champion and is_refresh(challenger, champion) else None,
        guards=guards,
    )


def is_refresh(challenger: Version, champion: Version) -> bool:
    """Whether it is the champion's own configuration, trained on newer data."""
    ours, theirs = (version.tags.get("recipe") for version in (challenger, champion))
    return ours is not None and ours == theirs  # of an earlier release there is none


def guards_of(
    conf: Config, registry: Registry, test: Judgement, challenger: Version, champion: Version | None
) -> list[Guard]:
    """What the challenger may not lose; against a champion what it may not lose to that one."""
    limits, name = conf.promote.guards, name_of(challenger)
    size = sum(path.stat().st_size for path in Path(registry.saved_model_path(challenger)).rglob("*"))
    return [
        *(test.guards(conf, name, name_of(champion)) if champion else []),
        latency_guard(test.seconds[name], most=limits.seconds_a_user, **how(conf)),
        size_guard(size, limits.megabytes),
    ]


def lines_of(conf: Config, test: Judgement, version: Version) -> tuple[list[Line], list[Line]]:
    """What the version's card says of the held-out days: every metric of everybody, and the gate's by group of users."""
    name, confidence = name_of(version), conf.promote.confidence
    of_all = [
        Line(metric, each.users, *each.interval(confidence)) for metric, each in test.metrics[name].items()
    ]
    return of_all, test.groups(conf, name)


def judged_rows(conf: Config, versions: dict[str, Version], judgement: Judgement) -> list[tuple[Any, ...]]:
    """Every metric of every model with its interval; encoders also against the question's best baseline, paired."""
    confidence, rows = conf.promote.confidence, []
    head = (judgement.question, judgement.as_of, judgement.until, len(judgement.users))
    rivals = baselines_of(versions, judgement)
    for name, of_model in judgement.metrics.items():
        tags, number = versions[name].tags, versions[name].version
        for metric, each in of_model.items():
            against: tuple[float | None, ...] = (None, None, None)
            if rivals and tags["kind"] != "baseline":
                of_rivals = {rival: judgement.metrics[rival][metric] for rival in rivals}
                values = {rival: of_rival.value for rival, of_rival in of_rivals.items()}
                against = (each - of_rivals[best(values, metric in LEAST_IS_BEST)]).interval(confidence)
            of_metric = (metric, *each.interval(confidence))
            rows.append((*head, tags["model"], tags["kind"], number, *of_metric, *against))
    return rows


def against_rows(conf: Config, versions: dict[str, Version], judgement: Judgement) -> list[tuple[Any, ...]]:
    """Every metric of every encoder against each of the question's baselines, paired by user."""
    confidence, rows = conf.promote.confidence, []
    head = (judgement.question, judgement.as_of, judgement.until)
    rivals = baselines_of(versions, judgement)
    of_rival = {name: (versions[name].tags["model"], versions[name].version) for name in rivals}
    for name, of_model in judgement.metrics.items():
        tags, number = versions[name].tags, versions[name].version
        if tags["kind"] != "baseline":
            for rival, (metric, each) in product(rivals, of_model.items()):
                apart = (each - judgement.metrics[rival][metric]).interval(confidence)
                rows.append((*head, tags["model"], number, *of_rival[rival], metric, *apart))
    return rows


def baselines_of(versions: dict[str, Version], judgement: Judgement) -> list[str]:
    """Those of the models judged that are baselines."""
    return [name for name in judgement.metrics if versions[name].tags["kind"] == "baseline"]


def group_rows(conf: Config, versions: dict[str, Version], judgement: Judgement) -> list[tuple[Any, ...]]:
    """The metric of the gate of each model by group of users, and the group's gap to everybody else."""
    confidence, rows = conf.promote.confidence, []
    for name, splits in judgement.splits.items():
        head = (versions[name].tags["model"], versions[name].version, metric_of(conf))
        for group, split in splits.items():
            if not isnan(split.gap.value):
                inside, gap = split.inside.interval(confidence), split.gap.interval(confidence)
                rows.append((*head, group, split.users, *inside, *gap))
    return rows


def entry_of(
    conf: Config,
    lake: Lake,
    request_id: str,
    decision: Decision,
    challenger: Version,
    champion: Version | None,
    judged: dict[str, list[tuple[Any, ...]]],
) -> Entry:
    """One decision as the ledger has it; `judged`: its columns `judged`, `groups` and `against`."""
    interval = decision.difference
    return {
        "request_id": request_id,
        "decided_at": datetime.now(UTC),
        "ds": date.fromisoformat(conf.ds),
        "task": conf.task.name,
        "challenger": challenger.tags["model"],
        "challenger_version": challenger.version,
        "champion": champion.tags["model"] if champion else None,
        "champion_version": champion.version if champion else None,
        "promoted": decision.promote,
        "metric": decision.metric,
        "challenger_value": decision.challenger,
        "champion_value": decision.champion,
        "difference": interval and interval.mean,
        "low": interval and interval.low,
        "high": interval and interval.high,
        "users": decision.users,
        "reason": decision.reason,
        **judged,
        "tables": {table.name: lake.version(table) for table in (SESSIONS, ITEMS)},
        "git_commit": git_commit(),
        "requested_by": conf.promote.requested_by,
        "kind": PROMOTION,
        "guards": [
            {
                name: getattr(guard, name)
                for name in ("name", "value", "low", "high", "least", "most", "passed")
            }
            for guard in decision.guards
        ],
    }


def said(decided: Sequence[Entry]) -> dict[str, Any]:
    promoted = [entry for entry in decided if entry["promoted"]]
    champion = promoted[-1]["challenger"] if promoted else decided[-1]["champion"] if decided else None
    return {
        "decisions": len(decided),
        "champion": champion,
        "reasons": " | ".join(entry["reason"] for entry in decided),
    }


def of_kind(versions: Sequence[Version], kind: str) -> list[Version]:
    return [version for version in versions if version.tags["kind"] == kind]


if __name__ == "__main__":
    run(promote)
