"""Warm start: which registered version of its task a new model begins from, and whether it can.

How the weights go over is in models/warm_weights.py.
"""

from collections.abc import Mapping
from datetime import datetime

from conf.schema import Model
from models.example_set import ExampleSet
from models.registry import CHAMPION, Registry, Version

NONE, PRETRAINED = "none", "pretrained"
ANYWAY = f"or begin without: train.warm_start={NONE}"
FROM_SCRATCH = f"or begin without: finetune.encoder={NONE}"


class WarmStartError(ValueError):
    """Weights that a training cannot begin from; the text says which, what was expected and what to do."""


def encoders_of(task: str) -> str:
    """The registered model of the encoders that are pretrained on the examples of this task."""
    return f"{task}.encoder"


def resolve(registry: Registry, task: str, asked: str, set_id: str, model: str) -> tuple[str, str]:
    """What `train.warm_start` comes to now: a version, as 7 or next_item.encoder/7, or `none`; and what is to be said of it.

    `pretrained` is the newest encoder of this `model` that jobs/pretrain.py registered.

    Without a champion, or with a baseline as champion, it is a cold start: so is the first of any shop. A champion of the
    same examples stands for what it began from itself: a training that is asked for again is found, and not made from its
    own result.
    """
    if asked == PRETRAINED:
        encoders = registry.versions(encoders_of(task))
        numbers = [version.version for version in encoders if version.tags["model"] == model]
        if not numbers:
            raise WarmStartError(
                f"train.warm_start is {PRETRAINED}, and {encoders_of(task)} has no version of model={model}: "
                f"pretrain one (jobs/pretrain.py task={task} model={model}), {ANYWAY}"
            )
        return f"{encoders_of(task)}/{numbers[-1]}", ""
    if asked != CHAMPION:
        return asked, ""
    champion = registry.by_alias(task, CHAMPION)
    if champion is None:
        return NONE, f"{task} has no champion yet to begin from: a cold start"
    if not _is_encoder(champion):
        return (
            NONE,
            f"the champion {_called(champion)} is a baseline, without weights to begin from: a cold start",
        )
    if champion.tags["set_id"] == set_id:
        return champion.tags.get("warm_start", NONE), ""
    return str(champion.version), ""


def fitting(registry: Registry, task: str, given: str, model: Model, examples: ExampleSet) -> Version:
    """The version that is given, as `resolve` says it; raises `WarmStartError` where `model` cannot begin from it."""
    of_another, _, number = given.rpartition("/")
    name = of_another or task
    versions = {str(version.version): version for version in registry.versions(name)}
    if number not in versions:
        known = ", ".join(versions) or "none"
        raise WarmStartError(
            f"train.warm_start is {given}, and {name} has no such version (there are: {known})"
        )
    version = versions[number]
    if not _is_encoder(version):
        raise WarmStartError(
            f"{_called(version)} is no encoder, expected one to begin from: give another, {ANYWAY}"
        )
    ours = {
        f"model.{name}": str(getattr(model, name)) for name in ("name", "width", "members", "blocks", "heads")
    }
    check_alike(registry, version, ours | {"task.positions": str(examples.spec["positions"])}, ANYWAY)
    check_moments(version, examples, ANYWAY)
    return version


def check_alike(registry: Registry, version: Version, ours: Mapping[str, str], anyway: str) -> None:
    """Raises `WarmStartError` where parameters of the version's run are others than `ours`.

    One that the run does not tell, since its release had no such key, is left to the weights to tell.
    """
    theirs = registry.client.get_run(version.run_id).data.params
    unlike = [name for name in ours if theirs.get(name, ours[name]) != ours[name]]
    if unlike:
        has, have = (", ".join(f"{name}={of.get(name)}" for name in unlike) for of in (theirs, ours))
        raise WarmStartError(f"{_called(version)} has {has}, and this training {have}: give {has}, {anyway}")


def check_moments(version: Version, examples: ExampleSet, anyway: str) -> None:
    """Raises `WarmStartError` where the version has seen days by which the examples judge."""
    for moment in ("validation_from", "as_of"):
        seen, cut = version.tags[moment], str(examples.spec[moment])
        if datetime.fromisoformat(seen) > datetime.fromisoformat(cut):
            raise WarmStartError(
                f"{_called(version)} has {moment} {seen}, and {examples.set_id} {cut}: it has seen days on which this "
                f"training is judged; give an earlier version, {anyway}"
            )


def _is_encoder(version: Version) -> bool:
    return version.tags.get("kind") == "encoder"


def _called(version: Version) -> str:
    return f"{version.task} v{version.version} ({version.tags.get('model')})"
