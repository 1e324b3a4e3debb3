"""What a task with labels asks of users as of a moment (docs/tasks.md): for examples, a judgement, a night."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from typing import Any, NamedTuple

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Label
from features.examples import Cut, rows_table, set_id_of
from features.feature import Numeric, UnknownFeature
from features.history import history
from features.identities import IDENTITIES
from features.items import FIRST_INDEX, ITEMS
from features.labelled import (
    Question,
    Snapshots,
    Told,
    beside,
    labelled_spec,
    model_inputs,
    names_of,
    numbered,
    packed,
    with_inputs,
)
from features.labels import LabelError, labels, naive, views
from features.lake import Lake
from features.moments import as_of, at_each, moment_of, told_apart
from features.normalise import columns_of, fit, inputs, normalised, of_record
from features.questions import candidates, histories, histories_at
from features.sessions import SESSIONS
from features.user_features import ACTIVITY, USER_FEATURES, activity_features, user_features
from jobs.example_sets import write_set
from jobs.job import InputError
from jobs.people import passive_as_of, sessions_as_of


def labelled_examples(
    conf: Config,
    lake: Lake,
    in_spite: dict[str, Any],
    people: "People | None" = None,
    parts: Sequence[Config] = (),
) -> dict[str, Any]:
    """Writes the vocabulary, then, in one commit, the rows: see jobs/examples.py.

    people  of `people_of`, made for several tasks
    parts   the tasks whose questions are asked together; none: the task asks one of its own
    """
    set_id, label, moments, cut = set_id_of(conf), conf.task.label, Snapshots.of(conf), Cut.of(conf)
    assert label is not None
    check_horizon(conf, label)
    check_parts(conf, parts)
    names = features_of(label)
    numbers, _ = columns_of(USER_FEATURES, names)
    everyone = people or people_of([conf], lake)
    seen = everyone.seen
    words = everyone.candidates(conf, cut.as_of, moments.train[0])
    size = words.agg(f.max("item_index")).first()[0]  # type: ignore[index]
    if size is None:
        raise InputError(
            f"no sessions before {cut.as_of:%Y-%m-%d}: ingest more, or set promote.holdout_days lower"
        )
    of_train = moment_of().isin(*moments.train)
    statistics = fit(everyone.features.where(of_train), USER_FEATURES, names)
    told, questions = [], []
    for part in parts or [conf]:
        task = part.task.name if parts else ""
        answers, known = answers_at(part, moments, seen)
        told.append(Told(answers.persist(StorageLevel.DISK_ONLY), known, task))
        questions.append(question_of(part, told[-1].answers.where(of_train), moments, task))
    tables = {source.name: lake.version(source) for source in (SESSIONS, ITEMS)}
    spec = labelled_spec(conf, size + 1, questions, numbers, statistics, tables)
    for question, part in zip(spec["label"].get("questions", ()), parts, strict=True):
        question["set_id"] = set_id_of(part)
    asked = beside(everyone.histories, scaled(everyone.features, spec), *told)
    rows_by_split = numbered(in_splits(asked, moments), questions, numbers)
    made = packed(rows_by_split, spec).persist(StorageLevel.DISK_ONLY)
    counts = write_set(conf, lake, spec, words, made, in_spite)
    for frame in (made, *(each.answers for each in told)):
        frame.unpersist()
    if people is None:
        everyone.unpersist()
    targets = len(spec["label"]["names"])
    return {"set_id": set_id, "items": size + 1 - FIRST_INDEX, "targets": targets} | counts


def question_of(conf: Config, answers: DataFrame, moments: Snapshots, task: str) -> Question:
    """The task's question with the targets or classes that the training rows have."""
    label = conf.task.label
    assert label is not None
    names = names_of(answers, label)
    if not names:
        raise InputError(
            f"no user has a label of {conf.task.name} from {moments.train[-1]:%Y-%m-%d} to {moments.validation:%Y-%m-%d}, "
            "expected some to train on: set ds later, or look at task.label.sql"
        )
    return Question(label, names, task)


def check_parts(conf: Config, parts: Sequence[Config]) -> None:
    """Refuses tasks that are not asked of the same users as of the same moments."""
    assert conf.task.label is not None
    for part in parts:
        if part.task.label is None or part.task.label.arms:
            raise InputError(
                f"task.together has {part.task.name}, expected tasks with labels and without arms: leave it out"
            )
        ours, theirs = conf.task.label.horizon_days, part.task.label.horizon_days
        if ours != theirs:
            raise InputError(
                f"task.label.horizon_days is {ours}, and that of {part.task.name} {theirs}, which is asked as of other "
                "moments: leave it out of task.together"
            )


class Seen(NamedTuple):
    """What happened, before a moment and after it, to people as they were known then."""

    sessions: DataFrame
    passive: DataFrame
    items: DataFrame


def seen_as_of(conf: Config, lake: Lake, moment: datetime) -> Seen:
    return Seen(sessions_as_of(conf, lake, moment), passive_as_of(lake, moment), lake.read(ITEMS))


class People(NamedTuple):
    """The users as of each of several moments (features/moments.py): what a model may see of them, whatever is asked."""

    seen: Seen
    histories: DataFrame
    features: DataFrame
    words: dict[tuple[Any, ...], DataFrame]  # the candidates of these users so far, see `candidates`

    def candidates(self, conf: Config, as_of: datetime, earlier: datetime) -> DataFrame:
        """Those of `features.questions`, which tasks with the same moments share."""
        asked = (tuple(conf.task.event_types), as_of, earlier)
        if asked not in self.words:
            found = candidates(self.seen.sessions, self.seen.items, as_of, earlier, conf)
            self.words[asked] = found.persist(StorageLevel.DISK_ONLY)
        return self.words[asked]

    def unpersist(self) -> None:
        for frame in (self.histories, self.features, *self.words.values()):
            frame.unpersist()


def people_of(confs: Sequence[Config], lake: Lake) -> People:
    """The users as of all snapshots of tasks that are `alike`. Histories and features of all are made in one pass, once."""
    conf, *_ = confs
    assert conf.task.label is not None
    snapshots = [Snapshots.of(each) for each in confs]
    seen = seen_as_of(conf, lake, min(each.train[-1] for each in snapshots))
    moments = sorted({moment for each in snapshots for _, moment in each.by_split()})
    sessions = at_each(seen.sessions, moments)
    features = features_from(history(sessions, moment_of(), conf.source), seen.items, conf.task.label)
    length = max(each.task.length for each in confs)
    known = histories_at(seen.sessions, seen.items, moments, conf, length)
    known, features = (frame.persist(StorageLevel.DISK_ONLY) for frame in (known, features))
    return People(seen, known, features, {})


def alike(conf: Config, lake: Lake) -> tuple[Any, ...]:
    """What tasks must have in common for the same `people_of`."""
    assert conf.task.label is not None
    # Who people were known to be depends on the first moment that a task looks back from, where there are logins.
    first = Snapshots.of(conf).train[-1] if lake.exists(IDENTITIES) else None
    return first, tuple(features_of(conf.task.label)), tuple(conf.task.event_types)


def answers_at(conf: Config, moments: Snapshots, seen: Seen) -> tuple[DataFrame, DataFrame | None]:
    """What the task's SQL says of users as of each snapshot: the labels, and what the baseline knows."""
    told = [(answers_of(conf, moment, seen), moment) for _, moment in moments.by_split()]
    answers = (as_of(each, moment) for (each, _), moment in told)
    known = [as_of(each, moment) for (_, each), moment in told if each is not None]
    return reduce(DataFrame.unionAll, answers), reduce(DataFrame.unionAll, known) if known else None


def in_splits(rows: DataFrame, moments: Snapshots) -> DataFrame:
    """The users as of the snapshots, as these users, with their `moment` and its `split`."""
    split = f.coalesce(*(f.when(f.col("moment") == f.lit(at), name) for name, at in moments.by_split()))
    return told_apart(rows).withColumn("split", split).where("split is not null")


class Asked(NamedTuple):
    """One snapshot: the features of its users, their answers, and what a baseline knows of them."""

    split: str
    moment: datetime
    features: DataFrame
    answers: DataFrame
    naive: DataFrame | None

    def unpersist(self) -> None:
        self.features.unpersist()
        self.answers.unpersist()


def ask(conf: Config, split: str, moment: datetime, seen: Seen) -> Asked:
    """Asks the task's question as of a moment; features and answers are kept, as several steps look at them."""
    label = conf.task.label
    assert label is not None
    features = features_from(history(seen.sessions, moment, conf.source), seen.items, label)
    answers, known = answers_of(conf, moment, seen)
    features, answers = (frame.persist(StorageLevel.DISK_ONLY) for frame in (features, answers))
    return Asked(split, moment, features, answers, known)


def features_from(past: DataFrame, items: DataFrame, label: Label) -> DataFrame:
    """The features that a task's models are given, and maybe others, from a `history`."""
    is_told = set(features_of(label)) <= set(ACTIVITY.by_name)
    return activity_features(past) if is_told else user_features(past, items)


def answers_of(conf: Config, moment: datetime, seen: Seen) -> tuple[DataFrame, DataFrame | None]:
    """What the task's SQL says as of a moment: the labels, and what the baseline knows."""
    assert conf.task.label is not None
    of_sql = views(*seen, moment, conf)
    try:
        return labels(of_sql, conf.task.label), naive(of_sql, conf.task.label)
    except LabelError as error:
        raise InputError(str(error)) from None


def rows_of(conf: Config, spec: dict[str, Any], asked: Asked, seen: Seen) -> DataFrame:
    """One snapshot as rows of a set with this spec, see `numbered`: of users who are asked something."""
    assert conf.task.label is not None
    known = histories(seen.sessions, seen.items, asked.moment, conf)
    told = Told(asked.answers, asked.naive)
    rows = beside(known, scaled(asked.features, spec), told).withColumns(
        {"split": f.lit(asked.split), "moment": f.lit(asked.moment)}
    )
    question = Question(conf.task.label, spec["label"]["names"])
    return numbered(rows, [question], spec["label"]["features"])


def inputs_of(conf: Config, spec: dict[str, Any], asked: Asked, users: DataFrame) -> DataFrame:
    """What a model trained on a set with this spec is given of each of `users`, who come with their histories."""
    assert conf.task.label is not None
    rows = with_inputs(users, scaled(asked.features, spec), asked.naive, "left")
    question = Question(conf.task.label, spec["label"]["names"])
    return model_inputs(rows, [question], spec["label"]["features"])


def scaled(features: DataFrame, spec: dict[str, Any]) -> DataFrame:
    """Features by the statistics that a spec has kept."""
    statistics = of_record(spec["label"]["statistics"])
    return normalised(features, USER_FEATURES, statistics, list(statistics))


def spec_of_set(lake: Lake, set_id: str) -> dict[str, Any]:
    """What an example set says of itself."""
    if not lake.exists(rows_table(set_id)):
        raise InputError(f"there is no example set {set_id}: run jobs/examples.py first")
    return json.loads(lake.properties(rows_table(set_id))["footfall.spec"])


def as_trained(conf: Config, spec: dict[str, Any]) -> Config:
    """The configuration with the question as a set with this spec has asked it, whatever is asked by now."""
    known = spec["configuration"]["task"]
    assert conf.task.label is not None
    label = replace(conf.task.label, **known["label"])
    shape = {name: known[name] for name in ("event_types", "length", "positions")}
    return replace(conf, task=replace(conf.task, label=label, **shape))


def features_of(label: Label) -> list[str]:
    """The features of a user that the task's models are given: numbers alone."""
    try:
        names = inputs(USER_FEATURES, label.features or ACTIVITY.by_name)
    except (UnknownFeature, ValueError) as error:
        raise InputError(f"{error}: set task.label.features") from None
    numeric = [
        name
        for name in names
        if name in USER_FEATURES.by_name and isinstance(USER_FEATURES.by_name[name].to_model, Numeric)
    ]
    if label.features and (wrong := sorted(set(names) - set(numeric))):
        raise InputError(f"{', '.join(wrong)} is no number, expected numbers: set task.label.features")
    return numeric


def check_horizon(conf: Config, label: Label) -> None:
    """Refuses to hold out fewer days than a label takes to come true."""
    if conf.promote.holdout_days < label.horizon_days:
        raise InputError(
            f"promote.holdout_days is {conf.promote.holdout_days}, and a label of {conf.task.name} takes "
            f"{label.horizon_days} days: set promote.holdout_days={label.horizon_days}, or more"
        )
