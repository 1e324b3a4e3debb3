"""Train the model of a night, and register it.

Reads `examples/<set_id>`, writes one MLflow run and one version of the registered model `task.name`. A model
that is registered already, from the same examples and configuration, is left as it is. Baselines are fitted
here; encoders are trained by `train.ranks` processes (jobs/train_rank.py), on this machine, on
`train.hosts` or on the executors of Spark, which is started for that alone. Nothing is trained after a check
(jobs/quality.py) that found what must not be. Safe to run again after a kill: it goes on from its last checkpoint, with the
weights that it would have had, or with another number of ranks with the rows that were left. With `train.warm_start` an
encoder begins from the weights of a registered version, such as the champion.

    spark-submit jobs/train.py ds=2017-12-27 model=gru train.ranks=2
    spark-submit jobs/train.py ds=2017-12-28 model=gru train.warm_start=champion
    python jobs/train.py set_id=next_item-2017-12-01-1f3a5c7e model=popularity
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from conf.schema import CLASSICAL, ENCODERS, Config, Model, Train
from jobs.job import UNTRUSTED, InputError, Untrusted, configure, stop
from jobs.launch import RanksFailed
from jobs.launchers import run_until_done
from jobs.rank import Task
from jobs.trust import trusted
from models.commits import newest_facts
from models.content import ContentError, digest_of
from models.example_set import TRAIN, VALIDATION, ExampleSet, ExampleSetError, open_example_set
from models.guard import KerasError, guard
from models.label_metrics import choosing
from models.pretrained import NEWEST
from models.registry import Registry, Version, configuration_hash, connect
from models.registry_down import RegistryDown, RegistryElsewhere
from models.shards import plan
from models.warm_start import NONE, WarmStartError, encoders_of, fitting, resolve

NAIVE = "naive"
"""The model that is the baseline which a task with labels names."""
BG_NBD = "bg_nbd"
"""One of its further baselines."""
TOGETHER = "_together"
"""Behind the name of a model that answers its task by what it learnt with others."""

KEEPING = (
    "checkpoints",
    "checkpoint_steps",
    "log_steps",
    "memory_gib",
    "restarts",
    "stall_seconds",
    "tensorboard",
    "wandb",
)
COUNTS = ("train_users", "train_rows", "train_positives")
"""Of a task with labels, what it was fine-tuned on."""

LAUNCHING = ("launcher", "hosts", "min_ranks", "ssh_port", "ssh_key", "interface")
"""How a training is kept and started, which does not change what comes of it."""


def train(conf: Config) -> dict[str, Any]:
    """Trains and registers what `conf` says. Returns the version, and of encoders the rows of an epoch."""
    conf = replace(conf, set_id=conf.set_id or set_id_of(conf))
    if conf.model.name in CLASSICAL:
        raise InputError(f"model is {conf.model.name}, which jobs/benchmark.py alone has: expected another")
    registry = connect(conf.registry, conf.artifacts)
    return trained(with_version_to_begin_from(conf, registry), registry)


def trained(conf: Config, registry: Registry) -> dict[str, Any]:
    """What `conf` says for its step: found, or trained and registered. It names the example set, and what it begins from."""
    began, lost = time.monotonic(), list[str]()
    if version := find(registry, conf):
        return facts_of(version) | {"note": "registered already, nothing to do"}
    in_spite = in_spite_of(conf)
    examples = open_example_set(f"{conf.lake}/examples/{conf.set_id}")
    if conf.model.name in ENCODERS:
        plan(
            examples.files(TRAIN), rank=0, ranks=conf.train.ranks
        )  # a plan that cannot be: before the ranks start
        examples.files(VALIDATION)
        if conf.train.warm_start != NONE:
            fitting(registry, conf.task.name, conf.train.warm_start, conf.model, examples)
        print(f"{conf.step}: {conf.model.name}, starting {conf.train.ranks} ranks", flush=True)
        configuration = OmegaConf.to_yaml(OmegaConf.structured(conf))
        lost = run_until_done(conf, Task("jobs.train_rank", [str(examples.version)], configuration))
    else:
        guard()
        (fit_label_baseline if conf.task.label else fit_baseline)(conf, registry, examples)
    version = find(registry, conf)
    assert version is not None, "the ranks ended well, and registered nothing"
    restarts = {"restarts": len(lost), "lost": "; ".join(lost)} if lost else {}
    return facts_of(version) | restarts | {"seconds": round(time.monotonic() - began, 1)} | in_spite


def with_version_to_begin_from(conf: Config, registry: Registry) -> Config:
    """The configuration with the version that `train.warm_start` means today, or none."""
    if conf.model.name not in ENCODERS or conf.train.warm_start == NONE:
        return replace(conf, train=replace(conf.train, warm_start=NONE))
    assert conf.set_id is not None
    begun = conf.train.warm_start
    version, said = resolve(registry, conf.task.name, begun, conf.set_id, conf.model.name)
    if said:
        print(f"train: {said}", flush=True)
    return replace(conf, train=replace(conf.train, warm_start=version))


def in_spite_of(conf: Config) -> dict[str, Any]:
    """What the newest check of the lake found and was overridden; refuses to train where it was not."""
    return trusted(conf, newest_facts(f"{conf.lake}/quality"))


def set_id_of(conf: Config) -> str:
    """The example set of `ds`, `task` and the rest of the configuration."""
    if not conf.ds:
        raise InputError("ds is missing: give ds=… or set_id=… on the command line")
    from features.examples import set_id_of  # imports Spark, without starting it: only where it is needed

    return set_id_of(conf)


def find(registry: Registry, conf: Config) -> Version | None:
    assert conf.set_id is not None
    return registry.find(registered_as(conf), conf.set_id, hash_of(conf))


def registered_as(conf: Config) -> str:
    """The registered model of what is trained; what learnt from a share of the labels is never a candidate to serve."""
    if conf.step == "pretrain":
        return encoders_of(conf.task.name)
    if conf.step == "finetune" and (conf.finetune.apart or conf.finetune.share < 1):
        return f"{conf.task.name}.few"
    return conf.task.name


def hash_of(conf: Config) -> str:
    """What of the configuration decides the weights, given the examples.

    What is as it is by default is left out, so that a release with one more key knows the models of the one before. To
    change a default is to make other models under the same name, which must not be: the key gets another name, too.
    """
    model = unlike_default(conf.model, Model(name=""))
    if conf.model.content:
        model["content"] = digest_of(conf.model.content)
    if conf.model.name not in ENCODERS:
        baseline = {"baseline": conf.task.label.baseline} if conf.task.label else {}
        return configuration_hash({"model": model} | baseline)
    train = {
        name: value
        for name, value in unlike_default(conf.train, Train()).items()
        if name not in KEEPING + LAUNCHING
    }
    label = conf.task.label
    asked: dict[str, Any] = {"metric": choosing(label.metrics) if label else conf.promote.metric}
    asked |= {"label": asdict(label)} if label else {}
    of_step = {conf.step: asdict(getattr(conf, conf.step))} if conf.step != "train" else {}
    return configuration_hash({"model": model, "train": train} | asked | of_step)


def unlike_default(given: Model | Train, default: Model | Train) -> dict[str, Any]:
    """The keys of one with another value than by default."""
    usual = asdict(default)
    return {name: value for name, value in asdict(given).items() if value != usual[name]}


def recipe_of(conf: Config) -> str:
    """What is trained, but for data, seed, ranks and the weights that it begins from: a refresh has the same."""
    begun = NONE if conf.finetune.encoder == NONE else NEWEST
    tuned = replace(conf.finetune, encoder=begun, positions=None)
    return hash_of(replace(conf, train=replace(conf.train, seed=0, ranks=0, warm_start=NONE), finetune=tuned))


def facts_of(version: Version) -> dict[str, Any]:
    names = (
        "model",
        "set_id",
        "ranks",
        "ranks_asked",
        "rows_per_epoch_expected",
        "rows_per_epoch_seen",
        *COUNTS,
    )
    return {"version": version.version} | {n: version.tags[n] for n in names if n in version.tags}


def tags_of(conf: Config, examples: ExampleSet) -> dict[str, Any]:
    """What every version says of itself."""
    return {
        "model": conf.model.name,
        "kind": "encoder" if conf.model.name in ENCODERS else "baseline",
        "configuration": hash_of(conf),
        "recipe": recipe_of(conf),
        **({"content": digest_of(conf.model.content)} if conf.model.content else {}),
        "example_version": examples.version,
        **{name: examples.spec[name] for name in ("set_id", "as_of", "validation_from")},
        **{name: "; ".join(said) for name, said in in_spite_of(conf).items()},
    }


def fit_baseline(conf: Config, registry: Registry, examples: ExampleSet) -> None:
    """Fits a baseline as of `as_of`, which is registered, and as of `validation_from`, which is judged."""
    from models.export import export
    from models.recording import recorded

    began = time.monotonic()
    words = examples.vocabulary
    with tempfile.TemporaryDirectory() as folder, recorded(registry, conf, examples) as run:
        fitted = baseline_of(conf.model, examples)
        for column in ("validation_sessions", "sessions"):
            counts = words[column].to_numpy()
            export(fitted(column), words.filter(counts > 0), Path(folder, column), conf.task.k)
        run.log_artifacts(Path(folder, "validation_sessions"), "as_of_validation")
        seconds = round(time.monotonic() - began, 1)
        tags = tags_of(conf, examples) | {"seconds": seconds}
        registry.register(run, conf.task.name, Path(folder, "sessions"), tags)


def baseline_of(model: Model, examples: ExampleSet) -> Callable[[str], Any]:
    """Gives the ranker `model.name` as of a moment, before which a column of the vocabulary counts sessions."""
    from models import baselines, linear, neighbours
    from models.inputs import rows_of_split

    # Training rows are as they were before the validation days: what an encoder has learned from.
    if model.name in neighbours.NAMES:
        return lambda column: neighbours.fit(model, examples.counts(column), rows_of_split(examples, TRAIN))
    if model.name == linear.NAME:
        fitted = linear.fit(model, examples.counts("validation_sessions"), rows_of_split(examples, TRAIN))
        return lambda column: linear.LinearBaseline(fitted, examples.counts(column))
    words = examples.vocabulary
    index = words["item_index"].to_numpy()
    return lambda column: baselines.fit(
        model.name, examples.vocabulary_size, index, words[column].to_numpy(), model.half_life_days
    )


def fit_label_baseline(conf: Config, registry: Registry, examples: ExampleSet) -> None:
    """Fits a baseline that the task names on the training rows, and registers it."""
    from models import bg_nbd, label_baselines
    from models.answers import answers, read_columns
    from models.export_labelled import Predictor, export_labelled
    from models.recording import recorded

    label, began = conf.task.label, time.monotonic()
    if conf.task.together:
        raise InputError(
            f"{conf.task.name} is several tasks, each of which has its baseline, expected an encoder: set model=sasrec"
        )
    known = [NAIVE, *(label.beside if label else [])]
    if label is None or conf.model.name not in known:
        raise InputError(
            f"model is {conf.model.name}, which is no baseline of {conf.task.name}, expected one of {', '.join(known)}: set "
            "model, or task.label.beside"
        )
    with tempfile.TemporaryDirectory() as folder, recorded(registry, conf, examples) as run:
        size, names = examples.vocabulary_size, len(examples.spec["label"]["names"])
        try:
            if conf.model.name == BG_NBD:
                (features,) = read_columns(examples, TRAIN, ["features"])
                baseline: Predictor = bg_nbd.fit(examples.spec, features, size)
            else:
                told = answers(examples, TRAIN)
                baseline = label_baselines.fit(label.baseline, label.head, size, told, names)
        except ValueError as error:
            raise InputError(str(error)) from None
        export_labelled(baseline, examples.vocabulary, dict(examples.spec), Path(folder, "model"))
        seconds = round(time.monotonic() - began, 1)
        tags = tags_of(conf, examples) | {"seconds": seconds}
        registry.register(run, conf.task.name, Path(folder, "model"), tags, numbers_of(examples))


def numbers_of(examples: ExampleSet) -> dict[str, int]:
    """How many numbers a model of a task with labels takes of a user, beside the history."""
    return {name: examples.spec["columns"][name]["length"] for name in ("features", "naive")}


TO_PUT_RIGHT = (
    InputError,
    ExampleSetError,
    WarmStartError,
    ContentError,
    KerasError,
    RanksFailed,
    RegistryDown,
    RegistryElsewhere,
)
"""What a user can put right: the text says how."""


def attempt(step: Callable[[Config], dict[str, Any]], conf: Config, name: str = "") -> None:
    """Runs a step that needs no Spark and prints its facts; ends with a plain message where the user can help."""
    try:
        facts = step(conf)
    except TO_PUT_RIGHT as error:
        stop(str(error))
    except Untrusted as error:
        stop(str(error), UNTRUSTED)
    tell(name or conf.step, facts)


def tell(step: str, facts: Mapping[str, Any]) -> None:
    """Prints the line of facts of a step that needs no Spark."""
    print(f"{step}: " + ", ".join(f"{fact}={value}" for fact, value in facts.items()), flush=True)


if __name__ == "__main__":
    attempt(train, configure())
