"""Reads the configuration of a job: YAML groups, then the command's `key=value`, checked against `conf.schema`."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from itertools import chain
from typing import Any, cast, get_type_hints
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf import expectations, hosts, models, pretraining, search_space, simulation, sources, tasks
from conf.schema import CLASSICAL, ENCODERS, Config, Source

CHOICES = {
    "source.identical_rows": ("duplicate", "distinct"),
    "model.name": (
        *("popularity", "frequency", "frequency_decay", "tifu_knn", "up_cf", "linear", "naive", "bg_nbd"),
        *CLASSICAL,
        *ENCODERS,
    ),
    "model.loss": ("sampled_softmax", "softmax"),
    "model.norm": ("pre", "post"),
    "model.places": ("back", "relative"),
    "model.start": ("mean", "normal"),
    "model.targets": ("all", "last"),
    "model.sampling": ("popularity", "uniform", "batch"),
    "train.rate_by_ranks": ("none", "sqrt", "linear"),
    "train.wire": ("none", "fp16"),
    "train.item_vectors": ("float32", "float16", "int8"),
    "train.launcher": ("local", "hosts", "spark"),
    "train.device": ("cpu", "gpu"),
    "train.wandb": ("off", "offline", "online"),
    "selection.target": ("buys", "spend", "returns"),
    "privacy.ids": ("keyed", "plain"),
    "step": ("train", "pretrain", "finetune"),
    "finetune.mode": ("full", "frozen", "adapters"),
}
ABOVE_ZERO = (
    "lease_seconds",
    "features.session_gap_minutes",
    "features.max_events_per_user_day",
    "features.max_length",
    "features.user_buckets",
    "spark.shuffle_partitions",
    "model.width",
    "model.members",
    "model.blocks",
    "model.heads",
    "model.negatives",
    "model.forward",
    "model.filter_frequencies",
    "model.mask_share",
    "model.neighbours",
    "model.linear_items",
    "model.linear_neighbours",
    "model.most_neighbours",
    "model.groups",
    "model.recent_sessions",
    "model.locality",
    "task.validation_days",
    "task.k",
    "train.ranks",
    "train.batch_size",
    "train.epochs",
    "train.patience",
    "train.learning_rate",
    "train.clip_norm",
    "train.parts",
    "train.window_files",
    "train.checkpoint_steps",
    "train.stall_seconds",
    "train.log_steps",
    "search.trials",
    "pretrain.temperature",
    "finetune.rank",
    "few_labels.seeds",
    "promote.holdout_days",
    "promote.resamples",
    "score.neighbours",
    "explained.users",
    "explained.events",
    "explained.steps",
    "rerank.candidates",
    "rerank.events",
    "rerank.batch_size",
    "rerank.epochs",
    "rerank.patience",
    "rerank.learning_rate",
    "groups.sampled",
    "groups.horizon_days",
    "demand.items",
    "demand.first_weeks",
    "demand.most_pieces",
    "publish.keep",
    "simulate.events",
    "simulate.days",
    "simulate.items",
    "simulate.categories",
    "simulate.lines_per_file",
    "simulate.bot_views_per_day",
    "simulate.campaign_every_days",
    "simulate.campaign_days",
    "selection.horizon_days",
    "selection.snapshots",
    "selection.max_users",
    "selection.trees",
    "quality.trailing_days",
    "quality.drift_days",
    "quality.reference_days",
    "quality.least_rows",
    "quality.feature_upper",
    "serve.poll_seconds",
    "serve.batch",
    "serve.queue",
    "serve.timeout_seconds",
    "serve.max_bytes",
    "serve.max_events",
    "serve.explained",
    "serve.threads",
    "monitor.page_nights",
    "monitor.days",
    "monitor.reference_days",
    "monitor.least_rows",
    "monitor.weeks",
    "monitor.horizon_days",
    "monitor.least_users",
    "monitor.least_nights",
    "monitor.new_days",
    "monitor.shadow_nights",
)
WARM_STARTS = re.compile(r"none|champion|pretrained|([\w.-]+/)?\d+")
SHARES = (
    "selection.correlation",
    "selection.variance",
    "model.within_decay",
    "model.group_decay",
    "model.own_share",
    "model.linear_decay",
    "pretrain.view_share",
    "finetune.share",
    "rerank.share",
)
EXCLUDABLE = ("bought", "out_of_stock", "embargoed")
BELOW_ONE = (
    "model.dropout",
    "model.dropout_attention",
    "model.dropout_events",
    "model.stochastic_depth",
    "model.filter_share",
    "model.mask_share",
    "model.label_smoothing",
    "model.content_share",
    "train.average",
)
STAGES = ("view_types", "cart_types", "purchase_types")
AT_LEAST = {
    "held_back": 0,
    "features.late_days": 0,
    "explained.permutations": 0,
    "privacy.unread_days": 0,
    "serve.port": 0,
    "privacy.retention_hours": 0,
    "train.restarts": 0,
    "search.startup": 0,
    "search.least_epochs": 0,
    "model.consistency": 0,
    "train.weight_decay": 0,
    "model.repeat": 0,
    "model.linear": 0,
    "model.earlier_share": 0,
    "model.by_session": 0,
    "model.by_gap": 0,
    "groups.least": 2,
    "groups.most": 2,
    "few_labels.stretch": 1,
    "task.length": 2,
    "task.positions": 2,
}  # an example: a context and a target
OWN_SOURCE = "own_file"
FIRST_NIGHT, LAST_NIGHT = date(1970, 1, 1), date(2200, 1, 1)


class ConfigurationError(ValueError):
    """A key or a value that the configuration does not allow; the text names it and what was expected."""


def load(overrides: Sequence[str], needs: Sequence[str] = ()) -> Config:
    """The configuration for the command line `overrides`, in which the keys `needs` must have been given.

    `source=PATH.yaml` takes a source from a file of one's own.
    Raises `ConfigurationError` for an unknown key, a wrong type, a value out of range or a key that is missing.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    try:
        own, overrides = sources.own_file(overrides)
    except sources.SourceFileError as error:
        raise ConfigurationError(str(error)) from None
    if own is not None:
        store.store(group="source", name=OWN_SOURCE, node=own)
        overrides = [f"source={OWN_SOURCE}", *overrides]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("conf", version_base="1.3"):
            composed = compose("config", overrides=[quoted(override) for override in overrides])
        config = cast(Config, OmegaConf.to_object(composed))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigurationError(_explain(error)) from None
    for key in needs:
        if not _get(config, key):
            raise ConfigurationError(f"{key} is missing: give {key}=… on the command line")
    check(config)
    return config


def check(config: Config) -> None:
    """Refuses values of the right type that make no sense."""
    for key in ABOVE_ZERO:
        if (value := _get(config, key)) <= 0:
            raise ConfigurationError(f"{key} must be > 0, got {value}: set {key}")
    for key, least in AT_LEAST.items():
        if (value := _get(config, key)) < least:
            raise ConfigurationError(f"{key} must be >= {least}, got {value}: set {key}")
    for key, allowed in CHOICES.items():
        if (value := _get(config, key)) not in allowed:
            raise ConfigurationError(f"{key} must be one of {', '.join(allowed)}, got {value!r}: set {key}")
    if not 0 < config.promote.confidence < 1:
        raise ConfigurationError(
            f"promote.confidence must lie between 0 and 1, got {config.promote.confidence}"
        )
    for key in BELOW_ONE:
        if not 0 <= (value := _get(config, key) or 0) < 1:
            raise ConfigurationError(f"{key} must lie in [0, 1), got {value}: set {key}")
    warm_start = config.train.warm_start
    if not WARM_STARTS.fullmatch(warm_start):
        raise ConfigurationError(
            "train.warm_start must be none, champion, pretrained, the number of a version, or MODEL/NUMBER of another "
            f"registered model, got {warm_start!r}"
        )
    if config.train.batch_size % config.train.parts:
        raise ConfigurationError(
            f"train.batch_size must be a multiple of train.parts, got {config.train.batch_size} and {config.train.parts}"
        )
    if config.groups.least > config.groups.most:
        raise ConfigurationError(
            f"groups.least must be at most groups.most, got {config.groups.least} and {config.groups.most}: set one of them"
        )
    for name in config.score.exclude:
        if name not in EXCLUDABLE:
            raise ConfigurationError(
                f"score.exclude must be among {', '.join(EXCLUDABLE)}, got {name!r}: set score.exclude=[bought]"
            )
    for key in SHARES:
        if not 0 < (value := _get(config, key)) <= 1:
            raise ConfigurationError(f"{key} must lie in (0, 1], got {value}: set {key}")
    check_shop(config.source)
    for problem in chain(
        sources.problems(config.source),
        models.problems(config),
        hosts.problems(config.train),
        pretraining.problems(config),
        simulation.problems(config.simulate),
        expectations.problems(config.quality),
        expectations.problems_of_nights(config.monitor),
        search_space.problems(config.search.space, known_keys()),
        tasks.problems(config.task),
    ):
        raise ConfigurationError(problem)
    for key in ("ds", "start", "end"):
        if day := _get(config, key):
            check_day(key, day)
    if config.start and config.end and config.start >= config.end:
        raise ConfigurationError(
            f"start must lie before end, which is not looked at any more, got {config.start} and {config.end}: set end"
        )


def check_shop(source: Source) -> None:
    """Refuses a zone that nobody lives in, and a view, cart or purchase of a type that the source does not know."""
    try:
        ZoneInfo(source.shop_timezone)
    except (ValueError, ZoneInfoNotFoundError):
        raise ConfigurationError(
            f"source.shop_timezone must be a zone such as Europe/Berlin, got {source.shop_timezone!r}"
        ) from None
    for key in STAGES:
        for name in getattr(source, key):
            if name not in source.event_types:
                known = ", ".join(source.event_types)
                raise ConfigurationError(
                    f"source.{key} must be among source.event_types ({known}), got {name!r}"
                )


def check_day(key: str, given: str) -> None:
    """Refuses what is no day, or one from which no days can be counted back or on."""
    try:
        day = date.fromisoformat(given)
    except ValueError:
        day = None
    if day is None or day.isoformat() != given:  # Python also reads 20171228 and 2017-W52-4
        raise ConfigurationError(f"{key} must be a day as YYYY-MM-DD, got {given!r}: set {key}=2017-12-28")
    if not FIRST_NIGHT <= day <= LAST_NIGHT:
        raise ConfigurationError(
            f"{key} must lie between {FIRST_NIGHT} and {LAST_NIGHT}, got {given!r}: set {key}"
        )


def quoted(override: str) -> str:
    """`spark.master=local[2]` as Hydra's grammar wants it: a value that it cannot parse is taken as plain text.

    So is one with commas, which the grammar reads as several runs: `spark.master=spark://one:7077,two:7077`.
    """
    try:
        if not OverridesParser.create().parse_override(override).is_sweep_override():
            return override
    except HydraException:
        pass
    key, equals, value = override.partition("=")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'" if equals else override


def known_keys(kind: type = Config, prefix: str = "") -> list[str]:
    """All keys of the configuration, dotted."""
    keys = []
    hints = get_type_hints(kind)
    for item in fields(kind):
        keys.append(prefix + item.name)
        if is_dataclass(hints[item.name]):
            keys += known_keys(cast(type, hints[item.name]), f"{prefix}{item.name}.")
    return keys


def _get(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _explain(error: Exception) -> str:
    text = "\n".join(str(e) for e in (error, error.__cause__) if e)
    full_key = re.search(r"full_key: (\S+)", text)
    if match := re.search(r"(?i)missing mandatory value: (\S+)", text):
        key = full_key[1] if full_key else match[1]
        return f"{key} is missing: give {key}=… on the command line"
    if match := re.search(r"Could not override '([^']+)'", text):
        near = difflib.get_close_matches(match[1], known_keys(), n=1)
        if match[1] not in known_keys():
            return f"there is no key {match[1]!r}" + (f": did you mean {near[0]!r}?" if near else "")
    if full_key:
        return f"{full_key[1]}: {_first_reason(text)}"
    return text.strip()


def _first_reason(text: str) -> str:
    for line in text.splitlines():
        if "could not be converted" in line or "Incompatible" in line or "is not" in line:
            return line.strip()
    return text.strip().splitlines()[0]
