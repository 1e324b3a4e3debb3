"""Pretrained encoders in the registry: `TASK.encoder`, and which of them a task with labels begins from."""

from conf.schema import Model
from models.example_set import ExampleSet
from models.registry import Registry, Version
from models.warm_start import FROM_SCRATCH, WarmStartError, check_alike, check_moments, encoders_of

NEWEST = "newest"
SHAPED_BY = (
    "name",
    "width",
    "members",
    "blocks",
    "heads",
    "norm",
    "forward",
    "places",
    "filter_share",
    "filter_frequencies",
)
"""Keys of `model` that an encoder and what begins from it have alike."""


def encoder_of(registry: Registry, pretext: str, asked: str, model: Model, examples: ExampleSet) -> Version:
    """The version that `asked` names: `newest` of this model's name, a number, or the id of its run.

    Raises `WarmStartError` where there is none, or where `model` on `examples` cannot begin from it.
    """
    name = encoders_of(pretext)
    versions = registry.versions(name)
    if asked == NEWEST:
        found = [version for version in versions if version.tags["model"] == model.name]
    else:
        found = [version for version in versions if asked in (str(version.version), version.run_id)]
    if not found:
        known = ", ".join(f"{each.version} ({each.tags['model']})" for each in versions) or "none"
        raise WarmStartError(
            f"finetune.encoder is {asked}, and {name} has no such version of model={model.name} (there are: {known}): "
            f"pretrain one (jobs/pretrain.py task={pretext} model={model.name}), {FROM_SCRATCH}"
        )
    check_alike(
        registry, found[-1], {f"model.{key}": str(getattr(model, key)) for key in SHAPED_BY}, FROM_SCRATCH
    )
    check_moments(found[-1], examples, FROM_SCRATCH)
    return found[-1]


def room_of(registry: Registry, version: Version) -> int:
    """The sessions that the encoder was pretrained with."""
    return int(registry.client.get_run(version.run_id).data.params["task.positions"])
