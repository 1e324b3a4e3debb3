"""Train a second stage that ranks anew the best items of a model, and register both as one version.

Reads `examples/<set_id>` of the night and a version `rerank.first` that was trained on it, and learns from the validation
days, of which that version has learnt nothing (models/rerank_training.py). What is registered ranks as any model does; the
gate judges it where it is named, since the days by which it chooses among others are what this has learnt. A version that
is registered already is left as it is.

    python jobs/rerank.py ds=2017-12-27 promote.holdout_days=27
    spark-submit jobs/promote.py ds=2017-12-27 promote.holdout_days=27 promote.challenger=8
"""

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from conf.schema import Config
from jobs.job import InputError, configure
from jobs.train import attempt, facts_of, in_spite_of, set_id_of, tags_of
from models.example_set import ExampleSet, open_example_set
from models.guard import guard
from models.registry import CHALLENGER, CHAMPION, Registry, Version, configuration_hash, connect
from models.warm_start import encoders_of

RERANKED = "_reranked"
"""Behind the name of the first stage's model."""


def rerank(conf: Config) -> dict[str, Any]:
    """Trains and registers what `conf` says. Returns the version, and what it came to beside its first stage."""
    began = time.monotonic()
    if conf.task.label:
        raise InputError(f"{conf.task.name} has labels, expected a task that ranks items: set task=next_item")
    conf = replace(conf, set_id=conf.set_id or set_id_of(conf))
    registry = connect(conf.registry, conf.artifacts)
    first = first_stage(conf, registry)
    examples = open_example_set(f"{conf.lake}/examples/{conf.set_id}")
    made = configuration_hash({"rerank": asdict(conf.rerank), "first": first.version})
    if known := registry.find(conf.task.name, examples.set_id, made):
        return facts_of(known) | {"note": "registered already, nothing to do"}
    in_spite = in_spite_of(conf)
    guard()
    from models.export import export
    from models.recording import recorded
    from models.rerank_training import Epoch, RerankError, train
    from models.reranker import Reranker
    from models.scoring import opened

    words, name = examples.vocabulary, first.tags["model"] + RERANKED
    # As it was before the validation days, where it is a baseline; an encoder has not seen them anyway.
    then = registry.run_artifact_path(first, "as_of_validation") or registry.saved_model_path(first)
    conf = replace(conf, model=replace(conf.model, name=first.tags["model"]))
    asked = opened(then, threads=0)
    if "contexts" in asked.signatures["scores"].structured_input_signature[1]:
        raise InputError(
            f"{first.task} v{first.version} is told of events beside their items (model.inputs), which a second stage does "
            "not hand on, expected a first stage that is not: set rerank.first"
        )
    with tempfile.TemporaryDirectory() as folder, recorded(registry, conf, examples) as run:
        model = Reranker(
            asked,
            vectors_of(conf, registry, first, examples),
            examples.counts("validation_sessions"),
            examples.category_of(),
            conf.rerank.candidates,
            conf.rerank.events,
            conf.rerank.seed,
        )

        def tell(epoch: Epoch) -> None:
            told = "  ".join(f"{n} {epoch.metrics[n]:.4f}" for n in (conf.promote.metric, "recall@10"))
            what = (
                f"epoch {epoch.number}/{conf.rerank.epochs}"
                if epoch.number
                else f"{first.tags['model']} alone"
            )
            print(f"  {what}  {told}  {'best so far' if epoch.best else 'no better'}", flush=True)
            loss = {"loss": epoch.loss} if epoch.number else {}
            run.log_metrics(epoch.metrics | loss, epoch.number)

        try:
            epochs = train(model, examples, conf.rerank, conf.promote.metric, Path(folder), tell)
        except RerankError as error:
            raise InputError(str(error)) from None
        best = [epoch for epoch in epochs if epoch.best][-1]
        model.stand_behind(opened(registry.saved_model_path(first), threads=0))
        export(model, words.filter(words["sessions"].to_numpy() > 0), Path(folder, "model"), conf.task.k)
        tags = tags_of(conf, examples) | {
            "model": name,
            "kind": "reranker",
            "configuration": made,
            "recipe": configuration_hash({"rerank": asdict(conf.rerank), "first": first.tags.get("recipe")}),
            "first": first.version,
            "best_epoch": best.number,
            "seconds": round(time.monotonic() - began, 1),
        }
        version = registry.register(run, conf.task.name, Path(folder, "model"), tags)
    metric = conf.promote.metric
    beside = {f"first.{metric}": epochs[0].metrics[metric], metric: best.metrics[metric]}
    return facts_of(version) | {key: round(value, 4) for key, value in beside.items()} | in_spite


def first_stage(conf: Config, registry: Registry) -> Version:
    """The version that is ranked anew; refuses one of another example set, which may have learnt the validation days."""
    asked, task = conf.rerank.first, conf.task.name
    if asked in (CHALLENGER, CHAMPION):
        found = registry.by_alias(task, asked)
    else:
        found = next((each for each in registry.versions(task) if str(each.version) == asked), None)
    if found is None:
        raise InputError(
            f"rerank.first is {asked}, and {task} has none, expected {CHALLENGER}, {CHAMPION} or a version: run "
            "jobs/promote.py"
        )
    if found.tags["set_id"] != conf.set_id:
        raise InputError(
            f"{task} v{found.version} was trained on {found.tags['set_id']}, expected {conf.set_id}, whose validation days "
            "it has not learnt: give the ds and promote.holdout_days that it was trained with"
        )
    if found.tags["kind"] == "reranker":
        raise InputError(
            f"{task} v{found.version} has a second stage already, expected a first one: set rerank.first"
        )
    return found


def vectors_of(conf: Config, registry: Registry, first: Version, examples: ExampleSet) -> np.ndarray:
    """The vector of each item, (V, width) float32: the first stage's own, else the newest pretrained encoder's; 0: none."""
    from models.scoring import opened
    from models.scoring import vectors_of as kept_in

    encoders = registry.versions(encoders_of(conf.task.name))
    for version in (first, *encoders[::-1]):
        loaded = opened(registry.saved_model_path(version), threads=0)
        if not hasattr(loaded, "item_vectors"):
            continue
        vectors, known = kept_in(loaded), loaded.is_known.numpy()
        place = {item: index for index, item in enumerate(loaded.item_ids.numpy()) if item and known[index]}
        found = np.zeros((examples.vocabulary_size, vectors.shape[1]), np.float32)
        words = examples.vocabulary
        for index, item in zip(words["item_index"].to_numpy(), words["item_id"].to_pylist(), strict=True):
            if (at := place.get(item.encode())) is not None:
                found[index] = vectors[at]
        return found
    raise InputError(
        f"{first.task} v{first.version} has no vectors of items, and {encoders_of(conf.task.name)} no version, expected "
        "some to attend by: run jobs/pretrain.py"
    )


if __name__ == "__main__":
    attempt(rerank, configure(("ds",)), "rerank")
