"""Examples of a task with labels: users as of several moments, each with what they did in the horizon behind it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from conf.schema import Config, Label
from features.examples import (
    LABELLED,
    Cut,
    Lists,
    arrow_schema,
    packed_schema,
    padded,
    spec_of,
    tail,
)
from features.labels import ALL
from features.normalise import Scaling, as_record

SEVERAL = "several"
"""The head of an example set that asks the questions of several tasks."""

OTHER = "other"
"""The class of labels that are none of the most frequent."""


@dataclass(frozen=True)
class Snapshots:
    """The moments of an example set, a horizon apart, so that no label reaches past the next one: see `of`."""

    train: tuple[datetime, ...]  # the newest first
    validation: datetime
    test: datetime

    @staticmethod
    def of(conf: Config) -> "Snapshots":
        """moments (horizon 28 days, two snapshots, cut at Dec 1)

        train   train   validation   test: labels of held-out days, which no model of this night may see
        Sep 8   Oct 6   Nov 3        Dec 1
        """
        assert conf.task.label is not None
        horizon, as_of = timedelta(days=conf.task.label.horizon_days), Cut.of(conf).as_of
        train = tuple(as_of - horizon * (2 + n) for n in range(conf.task.label.snapshots))
        return Snapshots(train, as_of - horizon, as_of)

    def by_split(self) -> list[tuple[str, datetime]]:
        return [
            *(("train", moment) for moment in self.train),
            ("validation", self.validation),
            ("test", self.test),
        ]


def names_of(answers: DataFrame, label: Label) -> list[str]:
    """The targets, or the classes, of a task by the answers to its training rows, in the order of the alphabet.

    `answers` as `features.labels.labels`. Of targets those that are answered other than `otherwise` the most.
    """
    if label.head == "classes":
        given = answers.where("label is not null").select(f.col("label").alias("name"))
    else:
        usual = f.lit(label.otherwise).cast("double")
        given = answers.where(~f.col("label").eqNullSafe(usual)).select(f.col("target").alias("name"))
    counts = given.groupBy("name").count().orderBy(f.desc("count"), "name").limit(label.limit + 1).collect()
    names = sorted(row.name for row in counts[: label.limit])
    if label.head != "classes":
        return [ALL] if set(names) <= {ALL} else names
    if label.otherwise is not None and label.otherwise not in names:
        names.append(label.otherwise)
    return [*names, OTHER] if len(counts) > label.limit else names


@dataclass(frozen=True)
class Told:
    """What is told of a task's question: the answers, and what its baseline knows. `task` is "" where it is one alone."""

    answers: DataFrame
    known: DataFrame | None
    task: str = ""


@dataclass(frozen=True)
class Question:
    """A task's question, with its targets or classes. `task` as in `Told`: what its columns end in."""

    label: Label
    names: Sequence[str]
    task: str = ""

    @property
    def targets(self) -> int:
        """How many numbers its answers are."""
        return 1 if self.label.head == "classes" else len(self.names)


def beside(histories: DataFrame, features: DataFrame, *told: Told) -> DataFrame:
    """Histories with the features of their users, and maps target -> answer, weight and what the baseline knows.

    Users without features, who have no event in a session, are left out.
    """
    rows = histories.join(features, "user_id", "inner")
    for each in told:
        rows = _with_known(rows, each.known, each.task)
        for value in ("label", "weight"):
            rows = rows.join(_by_target(each.answers, value, value + each.task), "user_id", "left")
    return rows


def with_inputs(histories: DataFrame, features: DataFrame, known: DataFrame | None, how: str) -> DataFrame:
    """Histories with the features of their users, joined `how`, and a map target -> what the baseline knows."""
    return _with_known(histories.join(features, "user_id", how), known, "")


def _with_known(rows: DataFrame, known: DataFrame | None, task: str) -> DataFrame:
    name, kind = f"naive{task}", "map<string,string>"
    if known is None:
        return rows.withColumn(name, f.lit(None).cast(kind))
    of_map = _by_target(known, "naive", name)
    return rows.join(of_map.withColumn(name, f.col(f"`{name}`").cast(kind)), "user_id", "left")


def numbered(rows: DataFrame, questions: Sequence[Question], numbers: Sequence[str]) -> DataFrame:
    """Maps of answers as arrays, a place for each target; users whom nothing is asked are left out.

    before (targets milk, jam; otherwise 0)      after
    user  label        weight      naive         user  labels   label_weights  naive
    ann   {milk: 1.0}  {milk: 2}   {jam: 3}      ann   1.0 0.0  2.0 1.0        0.0 3.0

    A class is the place of its name in `names`. Of several questions one's targets come behind the other's. `numbers` are
    the columns of features.
    """
    labels = (_in_places("label", f.lit(each.label.otherwise), each) for each in questions)
    weights = (_in_places("weight", f.lit("0" if q.label.otherwise is None else "1"), q) for q in questions)
    answers = (
        f.concat(*labels).alias("labels"),
        f.concat(*weights).alias("label_weights"),
        f.array(f.xxhash64("user_id")).alias("users"),
    )
    made = model_inputs(rows, questions, numbers, "split", "moment", *answers)
    return made.where(f.exists("label_weights", lambda weight: weight > 0))


def model_inputs(
    rows: DataFrame, questions: Sequence[Question], numbers: Sequence[str], *more: str | Expression
) -> DataFrame:
    """What a model is given of each user: histories, `features` and `naive` as arrays, see `numbered`; and `more`."""
    return rows.select(
        "user_id", "items", "sessions", "ages", *more,
        f.array(*(f.col(name).cast("float") for name in numbers)).alias("features"),
        f.concat(*(_in_places("naive", f.lit(q.label.naive_otherwise), q) for q in questions)).alias("naive"),
    )  # fmt: skip


def _by_target(frame: DataFrame, value: str, name: str) -> DataFrame:
    """`user_id` and the map `name`, target -> `value`."""
    entries = f.map_from_entries(f.collect_list(f.struct("target", value)))
    return frame.groupBy("user_id").agg(entries.alias(name))


def _in_places(column: str, absent: Expression, question: Question) -> Expression:
    """The values of a map as an array, a place for each target; of classes their places, the last one for all others."""
    names, is_classes = question.names, question.label.head == "classes"
    targets = [ALL] if is_classes else list(names)

    def place(value: Expression) -> Expression:
        found = f.array_position(f.array(*map(f.lit, names)), value)
        return f.when(value.isNotNull(), f.when(found > 0, found - 1).otherwise(len(names) - 1))

    def number(name: Expression) -> Expression:
        told = f.try_element_at(f.col(f"`{column}{question.task}`"), name).cast("string")
        value = f.coalesce(told, absent)
        value = place(value) if is_classes and column != "weight" else value
        return f.coalesce(value.cast("float"), f.lit(0.0).cast("float"))

    return f.transform(f.array(*map(f.lit, targets)), number)


def packed(rows: DataFrame, spec: dict[str, Any]) -> DataFrame:
    """Rows of `numbered` as examples of fixed length: of each history the newest events that fit, see `examples.tail`."""
    lengths = {name: column["length"] for name, column in spec["columns"].items()}
    positions = spec["positions"]

    def pack(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pack_batch(batch, lengths, positions)

    example = f.concat_ws("/", "user_id", f.col("moment").cast("string")).alias("example")
    return rows.select("split", example, *LABELLED).mapInArrow(pack, packed_schema(LABELLED))


def pack_batch(batch: pa.RecordBatch, lengths: dict[str, int], positions: int) -> pa.RecordBatch:
    """The examples of a batch of rows, one each."""
    arrays = {name: Lists(batch.column(name), dtype) for name, dtype in LABELLED.items()}
    columns: dict[str, list[Any]] = {name: batch.column(name).to_pylist() for name in ("split", "example")}
    columns |= {name: [] for name in LABELLED}
    for row in range(len(batch)):
        start, end = tail(arrays["sessions"][row], lengths["items"], positions)
        for name, of_rows in arrays.items():
            values = of_rows[row][start:end] if name in ("items", "sessions", "ages") else of_rows[row]
            columns[name].append(padded(values, lengths[name]))
    return pa.RecordBatch.from_pydict(columns, schema=arrow_schema(LABELLED))


def labelled_spec(
    conf: Config,
    vocabulary_size: int,
    questions: Sequence[Question],
    numbers: Sequence[str],
    statistics: dict[str, Scaling],
    tables: dict[str, int | None],
) -> dict[str, Any]:
    """What an example set of a task with labels says of itself; of several questions each by its task, under `questions`."""
    label, others = conf.task.label, len(questions) > 1
    assert label is not None
    targets = sum(question.targets for question in questions)
    lengths = {name: targets for name in ("labels", "label_weights", "naive")}
    lengths |= {"features": len(numbers), "users": 1}
    columns = {n: {"dtype": LABELLED[n], "length": lengths.get(n, conf.task.length)} for n in LABELLED}
    asked = {
        "head": SEVERAL if others else label.head,
        "names": [f"{each.task}: {name}" if others else name for each in questions for name in each.names],
        "horizon_days": label.horizon_days,
        "features": list(numbers),
        "statistics": as_record(statistics),
        "snapshots": [moment.isoformat() for moment in Snapshots.of(conf).train],
    }
    if others:
        asked["questions"] = [
            {"task": each.task, "label": asdict(each.label), "names": list(each.names)} for each in questions
        ]
    return spec_of(conf, vocabulary_size, 1, tables) | {"columns": columns, "label": asked}
