"""Judge who is worth a campaign: models that tell its effect on each user, beside no effect and a class transformation.

Reads `examples/<set_id>`, of a task whose targets are the outcomes of each arm of a lot (`task.label.arms`), and every model
that is registered for it. Writes into `report`, of the rows `test`, days that no model has seen, `<task>.json`: of each
outcome and model the Qini coefficient, the effect on the tenth with the highest predictions and, where `raw` is of a
simulated shop, the error against the true effects, with intervals of a bootstrap over users and the differences to each
baseline; and `<task>.png`, the Qini curves.

    spark-submit jobs/uplift.py ds=2026-03-26 promote.holdout_days=14 task=uplift source=simulated raw=var/sim/raw
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pyspark.sql import functions as f

from conf.schema import Config
from features.examples import set_id_of
from features.lake import Lake
from jobs.files import put_json
from jobs.job import InputError, reader, run
from jobs.judge_labels import TEST, newest_by_model
from jobs.train import NAIVE
from jobs.true_effects import true_effects
from models.answers import answers, read_columns
from models.example_set import TRAIN, ExampleSet, open_example_set
from models.judging_labels import exported, said_of
from models.metrics.intervals import Sampled
from models.metrics.uplift import LEAST_IS_BEST, qini_curve, sampled_uplift
from models.registry import connect
from models.uplift import Arms, Trial, class_transformation, inputs_of, outcomes_of, trial_of
from reports.effect_charts import qini_curves

NO_EFFECT, TRANSFORMED = "no_effect", "class_transformation"
BASELINES = (NO_EFFECT, TRANSFORMED, NAIVE)
"""The last one, where it is registered, says of each arm its mean: one effect for all."""
TRUTH = "truth"
"""What a model would come to that knew the true effects: no model's rival."""


class Judged(NamedTuple):
    """One outcome of the test rows, and what is said of each user's effect; (users,) each."""

    trial: Trial
    scores: dict[str, np.ndarray]
    truth: np.ndarray | None


def uplift(conf: Config, lake: Lake) -> dict[str, Any]:
    label = conf.task.label
    if label is None or not label.arms:
        raise InputError(
            f"{conf.task.name} has no task.label.arms, expected a task of an effect, such as task=uplift"
        )
    set_id, registry = conf.set_id or set_id_of(conf), connect(conf.registry, conf.artifacts)
    examples = open_example_set(f"{conf.lake}/examples/{set_id}")
    versions = newest_by_model(registry.versions(conf.task.name, set_id))
    if not versions:
        raise InputError(f"no model of {conf.task.name} is registered for {set_id}: run jobs/train.py first")
    said = {
        model: said_of(exported(registry.saved_model_path(version)), examples, TEST)[0]
        for model, version in versions.items()
    }
    truth, places = truth_of(conf, lake, examples), outcomes_of(examples.spec["label"]["names"], label.arms)
    judged = {
        outcome: judged_of(examples, arms, said, truth.get(outcome)) for outcome, arms in places.items()
    }
    sampled = {outcome: sampled_of(conf, each) for outcome, each in judged.items()}
    told = {
        "task": conf.task.name,
        "ds": conf.ds,
        "set_id": set_id,
        "as_of": examples.spec["as_of"],
        "horizon_days": label.horizon_days,
        "users": len(next(iter(judged.values())).trial.rows),
        "treated": int(next(iter(judged.values())).trial.treated.sum()),
        "versions": {model: version.version for model, version in versions.items()},
        "average": {outcome: average_of(conf, judged[outcome], sampled[outcome]) for outcome in judged},
        "models": told_of(conf, sampled),
    }
    path = put_json(Path(conf.report) / f"{conf.task.name}.json", told)
    qini_curves({outcome: curves_of(each) for outcome, each in judged.items()}, path.with_suffix(".png"))
    shown = {
        f"{model}.{outcome}_qini": round(of_model["qini"].value, 5)
        for outcome, models in sampled.items()
        for model, of_model in models.items()
        if model != NO_EFFECT
    }
    return {"users": told["users"], **shown, "file": str(path)}


def truth_of(conf: Config, lake: Lake, examples: ExampleSet) -> dict[str, np.ndarray]:
    """outcome -> the true effect on each of the test rows, (rows,); nothing where it is not known."""
    as_of, days = datetime.fromisoformat(examples.spec["as_of"]), examples.spec["label"]["horizon_days"]
    effects = true_effects(conf, as_of, days)
    if effects is None:
        return {}
    users = lake.spark.createDataFrame(effects[["user_id"]]).select(f.xxhash64("user_id").alias("hash"))
    effects = effects.drop(columns="user_id").set_index(users.toArrow()["hash"].to_pandas())
    found = effects.reindex(read_columns(examples, TEST, ["users"])[0][:, 0])
    if found.isna().all(axis=None):
        print("uplift: the lake does not have the users' ids as the truth has them, privacy.ids=plain does")
        return {}
    if found.isna().any(axis=None):
        raise InputError(
            f"{conf.raw} does not know all users of the lake, expected the shop that the lake was made from"
        )
    return {outcome: found[outcome].to_numpy() for outcome in found}


def judged_of(
    examples: ExampleSet, arms: Arms, said: Mapping[str, np.ndarray], truth: np.ndarray | None
) -> Judged:
    """What models say of one outcome, and both baselines; the class transformation is fitted on the training rows."""
    known, asked = answers(examples, TRAIN), answers(examples, TEST)
    trial = trial_of(asked.labels, asked.weights, arms)
    of_known, of_asked = (
        inputs_of(read_columns(examples, split, ["features"])[0], each)
        for split, each in ((TRAIN, known), (TEST, asked))
    )
    scores = {
        NO_EFFECT: np.zeros(len(trial.rows)),
        TRANSFORMED: class_transformation(
            of_known, trial_of(known.labels, known.weights, arms), of_asked[trial.rows]
        ),
        **{
            model: (values[:, arms.treated] - values[:, arms.held_out])[trial.rows].astype(np.float64)
            for model, values in said.items()
        },
    }
    return Judged(trial, scores, None if truth is None else truth[trial.rows])


def sampled_of(conf: Config, judged: Judged) -> dict[str, dict[str, Sampled]]:
    limits, trial = conf.promote, judged.trial
    scores = judged.scores if judged.truth is None else judged.scores | {TRUTH: judged.truth}
    return sampled_uplift(scores, trial.treated, trial.outcome, judged.truth, limits.resamples, limits.seed)


def average_of(conf: Config, judged: Judged, sampled: Mapping[str, Mapping[str, Sampled]]) -> dict[str, Any]:
    """The mean effect: as the arms differ, which they do in a tenth that no score has chosen; in truth; and as said."""
    return {
        "observed": sampled[NO_EFFECT]["uplift_at_10"].interval(conf.promote.confidence)._asdict(),
        "truth": None if judged.truth is None else float(judged.truth.mean()),
        "said": {model: float(score.mean()) for model, score in judged.scores.items()},
    }


def told_of(
    conf: Config, sampled: Mapping[str, Mapping[str, Mapping[str, Sampled]]]
) -> dict[str, dict[str, Any]]:
    """Of each model and metric the `value`; of encoders also the `differences` to each baseline, and to the best one."""
    confidence, found = conf.promote.confidence, dict[str, dict[str, Any]]()
    for outcome, models in sampled.items():
        baselines = [name for name in BASELINES if name in models]
        for model, metrics in models.items():
            for metric, each in metrics.items():
                told: dict[str, Any] = {"value": each.interval(confidence)._asdict()}
                if model not in (*BASELINES, TRUTH):
                    theirs = {baseline: models[baseline][metric] for baseline in baselines}
                    apart = {b: (each - other).interval(confidence)._asdict() for b, other in theirs.items()}
                    first = min if metric in LEAST_IS_BEST else max
                    best = first(theirs, key=lambda baseline: theirs[baseline].value)
                    told |= {"baseline": best, "difference": apart[best], "differences": apart}
                found.setdefault(model, {})[f"{outcome}_{metric}"] = told
    return found


def curves_of(judged: Judged) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """model -> share and gain of its Qini curve; that of no effect is the straight line."""
    found = {}
    for model, score in judged.scores.items():
        if model != NO_EFFECT:
            curve = qini_curve(score, judged.trial.treated, judged.trial.outcome)
            found[model] = (curve.share, curve.gain)
    return found


if __name__ == "__main__":
    run(uplift, leases=reader)
