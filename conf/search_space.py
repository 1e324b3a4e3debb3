"""The space of a search over hyperparameters: `search.space` as keys with what each may be."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

GROUPS = ("model", "train")
SPAN = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Span:
    """Numbers between two, both included; whole ones where both are whole."""

    low: float
    high: float
    log: bool = False  # drawn by their logarithm
    step: float | None = None  # from one to the next

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


Choices = list[Any]


def leaves(space: Mapping[str, Any], prefix: str = "") -> dict[str, Choices | Span]:
    """`{model: {width: [32, 64]}}` -> `{"model.width": [32, 64]}`; raises `TypeError` where a leaf is neither."""
    found: dict[str, Choices | Span] = {}
    for name, value in space.items():
        key = f"{prefix}{name}"
        if isinstance(value, list):
            found[key] = value
        elif isinstance(value, Mapping) and {"low", "high"} <= value.keys() <= SPAN:
            found[key] = Span(**value)
        elif isinstance(value, Mapping):
            found |= leaves(value, f"{key}.")
        else:
            raise TypeError(key)
    return found


def problems(space: Mapping[str, Any], known: list[str]) -> Iterator[str]:
    """What is wrong with it, in words; `known`: all keys of the configuration."""
    try:
        found = leaves(space)
    except TypeError as error:
        yield f"search.space: expected a list, or low and high (and log, step), got something else: {error}"
        return
    for key, values in found.items():
        where = f"search.space.{key}"
        if key not in known or key.partition(".")[0] not in GROUPS:
            yield f"{where}: there is no key {key!r} of {' or '.join(GROUPS)}"
        elif isinstance(values, list):
            if not values:
                yield f"{where} must have a value to choose, got none"
        elif not values.low < values.high:
            yield f"{where}: low must lie below high, got {values.low} and {values.high}"
        elif values.log and (values.low <= 0 or values.step):
            yield f"{where}: with log, low must be > 0 and there is no step, got {values.low} and {values.step}"
