"""What pretraining and fine-tuning cannot be told."""

from collections.abc import Iterator
from dataclasses import asdict

from conf import models
from conf.schema import ARMS, Config

VIEWS = ("dropout", "crop", "mask", "reorder")
RANKING = ("next_item", "masked_item")
LOOKING_BACK = ("next_item", "next_gap", "next_type", "next_category")
WITH_PROJECTIONS = ("sasrec", "bsarec", "bert4rec")
NONE = "none"


def problems(conf: Config) -> Iterator[str]:
    """Each value that makes no sense whatever else is asked, in words that name its key."""
    for name, weight in asdict(conf.pretrain.objectives).items():
        if weight < 0:
            key = f"pretrain.objectives.{name}"
            yield f"{key} must be >= 0, got {weight}: set {key}"
    for key, given, known in (
        ("pretrain.views", conf.pretrain.views, VIEWS),
        ("few_labels.arms", conf.few_labels.arms, ARMS),
    ):
        if not given or set(given) - set(known):
            yield f"{key} must be some of {', '.join(known)}, got {given}: set {key}"
    shares = conf.few_labels.shares
    if not shares or not all(0 < share <= 1 for share in shares):
        yield f"few_labels.shares must lie in (0, 1], got {shares}: set few_labels.shares"
    if conf.finetune.encoder == NONE and conf.finetune.mode != "full":
        yield (
            f"finetune.mode={conf.finetune.mode} wants an encoder, got finetune.encoder=none: set finetune.mode=full, "
            "or finetune.encoder=newest"
        )


def unfit_to_pretrain(conf: Config) -> Iterator[str]:
    """Why this model cannot be pretrained by these objectives."""
    asked = [name for name, weight in asdict(conf.pretrain.objectives).items() if weight]
    yield from _unfit(conf)
    yield from models.problems(conf)
    for key, given, wanted in (
        ("model.consistency", conf.model.consistency, 0),
        ("model.by_session", conf.model.by_session, 0),
        ("model.by_gap", conf.model.by_gap, 0),
        ("model.targets", conf.model.targets, "all"),
    ):
        if given != wanted:
            yield f"{key} is of tasks that rank, in jobs/train.py, got {given}: set {key}={wanted}"
    if not set(asked) & set(RANKING):
        yield (
            "epochs are chosen by how items are ranked, which none of the objectives learns: set "
            "pretrain.objectives.next_item or pretrain.objectives.masked_item above 0"
        )
    if conf.model.name == "bert4rec" and (ahead := [name for name in asked if name in LOOKING_BACK]):
        keys = ", ".join(f"pretrain.objectives.{name}=0" for name in ahead)
        yield f"model=bert4rec sees what comes next, and would be asked for it: set {keys}, or another model"
    if "contrast" in asked and conf.train.parts > 1:
        yield (
            f"train.parts is {conf.train.parts}, and contrast wants all rows of a step at once: set train.parts=1, or "
            "pretrain.objectives.contrast=0"
        )


def unfit_to_tune(conf: Config) -> Iterator[str]:
    """Why this model cannot be fine-tuned in this way."""
    if conf.finetune.encoder != NONE:
        yield from _unfit(conf)
    if conf.finetune.mode == "adapters" and conf.model.name not in WITH_PROJECTIONS:
        yield (
            f"finetune.mode=adapters wants an encoder with projections ({', '.join(WITH_PROJECTIONS)}), got "
            f"model={conf.model.name}: set finetune.mode=full or frozen"
        )


def _unfit(conf: Config) -> Iterator[str]:
    if conf.model.name == "hstu" or conf.model.gaps:
        told = "model=hstu" if conf.model.name == "hstu" else "model.gaps=true"
        yield f"{told} wants the times of baskets, at which tasks with labels do not look: set another"
