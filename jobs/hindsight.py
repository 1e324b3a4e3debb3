"""What predictions came to, in hindsight: those of a past night beside what users have done since."""

from datetime import date, timedelta

from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import end_of
from features.items import ITEMS
from features.lake import Lake
from features.monitoring import ALL, MONITORING, REALISED, SHADOW, Measure, usual
from features.predictions import task_of
from features.watching import by_segment, calibration_error, came, reliability
from jobs.job import settled
from jobs.label_hindsight import answers_realised
from jobs.past_predictions import predicted
from jobs.people import sessions_as_of
from models.label_metrics import LEAST_IS_BEST
from models.realised import METRICS, REALISED_SCHEMA, SEGMENTS, realised
from models.registry import CHAMPION

MEANINGS = {
    "hr@10": "share of the users who came that took one of their first 10",
    "ndcg@10": "NDCG of the first 10, over the users who came",
    "predicted": "share of the users who came for whom there was a prediction",
    "calibration": "mean distance between the probabilities that were told and the shares that came true",
}


def outcomes(conf: Config, lake: Lake) -> list[Measure]:
    """What the predictions of the night before came to, of the champion and, where one is asked for, of its shadow."""
    champion = realised_of(conf, lake, conf.task.name, REALISED)
    before = usual_values(conf, lake)
    found = [held(conf, each, before.get((each.name, each.segment), [])) for each in champion]
    return found + (shadows(conf, lake, champion) if conf.monitor.shadow else [])


def held(conf: Config, measure: Measure, before: list[float]) -> Measure:
    """A realised measure beside its nights before; calibration beside a limit of its own."""
    asked, is_enough = conf.monitor, measure.rows >= conf.monitor.least_users
    metric = measure.name.partition("_")[2]
    if metric in ("calibration", "calibration_error"):
        return measure.held(upper=asked.calibration_upper, is_enough=is_enough)
    past = usual(before, asked.least_nights)
    measure = measure._replace(expected=past)
    if past is None:
        return measure.held(is_enough=is_enough)
    if metric in LEAST_IS_BEST:
        return measure.held(upper=past / asked.realised_lower, is_enough=is_enough)
    return measure.held(asked.realised_lower * past, is_enough=is_enough)


def shadows(conf: Config, lake: Lake, champion: list[Measure]) -> list[Measure]:
    """The same of the challenger, with the champion's beside it, and for how many nights that has been scored."""
    ds, task = date.fromisoformat(conf.ds), task_of(conf.task.name, conf.monitor.shadow, CHAMPION)
    beside = {(each.name.partition("_")[2], each.segment): each.value for each in champion}
    found = [
        each._replace(expected=beside.get((each.name.partition("_")[2], each.segment)))
        for each in realised_of(conf, lake, task, SHADOW)
    ]
    answers, author = predicted(conf, lake, task, ds)
    nights = answers.select("ds").distinct().count()
    meaning = f"nights with predictions of the {conf.monitor.shadow}"
    told = Measure(
        ds, conf.task.name, "shadow_nights", ALL, SHADOW, meaning, float(nights), rows=nights, **author
    )
    return [*found, told._replace(expected=float(conf.monitor.shadow_nights))]


def realised_of(conf: Config, lake: Lake, task: str, kind: str) -> list[Measure]:
    """How the predictions of a past night, `horizon_days` ago, stand beside what users have done since, by segment."""
    if conf.task.label:
        return answers_realised(conf, lake, task, kind)
    asked, ds = conf.monitor, date.fromisoformat(conf.ds)
    asked_on = ds - timedelta(days=asked.horizon_days)
    start = end_of(asked_on.isoformat())
    answers, author = predicted(conf, lake, task, asked_on)
    if not author:
        return []
    sessions, items = sessions_as_of(conf, lake, start), lake.read(ITEMS)
    tonight = answers.where(f.col("ds") == f.lit(asked_on))
    users = settled(
        came(
            sessions,
            items,
            tonight,
            conf.task.event_types,
            start,
            end_of(conf.ds),
            asked.activity,
            asked.new_days,
        )
    )
    spread = users.repartition(conf.spark.shuffle_partitions, "entity")
    judged = settled(spread.mapInArrow(realised, REALISED_SCHEMA))
    found = []

    def tell(name: str, segment: str, value: float | None, rows: int) -> None:
        found.append(
            Measure(
                ds,
                conf.task.name,
                f"{kind}_{name}",
                segment,
                kind,
                MEANINGS[name],
                value,
                rows=rows,
                **author,
            )
        )

    for row in sorted(by_segment(judged, METRICS, SEGMENTS).collect(), key=lambda row: row.segment):
        for name in METRICS:
            tell(name, row.segment, row[name], row.judged)
        tell("predicted", row.segment, row.judged / row.users, row.users)
    if asked.probabilities:
        bins = [row.asDict() for row in reliability(users).collect()]
        error = calibration_error(sorted(bins, key=lambda each: (each["told"], each["pairs"])))
        tell("calibration", ALL, error, users.where("ids is not null").count())
    return found


def usual_values(conf: Config, lake: Lake) -> dict[tuple[str, str], list[float]]:
    """(measure, segment) -> what it came to on the nights before that had enough users, oldest first."""
    asked, ds = conf.monitor, date.fromisoformat(conf.ds)
    first = ds - timedelta(days=asked.reference_days)
    before = lake.read(MONITORING).where(
        (f.col("task") == conf.task.name)
        & (f.col("kind") == REALISED)
        & (f.col("ds") >= f.lit(first))
        & (f.col("ds") < f.lit(ds))
        & (f.col("rows") >= asked.least_users)
        & f.col("value").isNotNull()
    )
    found: dict[tuple[str, str], list[float]] = {}
    for row in before.orderBy("ds").collect():
        found.setdefault((row.name, row.segment), []).append(row.value)
    return found
