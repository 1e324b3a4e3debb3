"""Log formats: one's own YAML as `source=PATH`, and what the keys of a source may say to each other."""

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import yaml

from conf.schema import IdentitySource, Records, Source

FORMATS = ("json_lines", "json", "csv", "tsv", "parquet", "regex")
OF_COLUMNS = ("csv", "tsv")
UNITS = ("s", "ms", "us", "ns")
ONLY_OF_COLUMNS = ("header", "delimiter", "quote", "escape", "multi_line")
OFFSET = re.compile(r"[+-]\d\d:\d\d")


class SourceFileError(ValueError):
    """A YAML of one's own that is not there or is none."""


def own_file(overrides: Sequence[str]) -> tuple[dict[str, Any] | None, list[str]]:
    """What the file of `source=PATH.yaml` says, if any is given, and the other overrides.

    A source without a path is one of `conf/source`: `source=plain`. Raises `SourceFileError`.
    """
    own, others = None, []
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "source" and value.endswith((".yaml", ".yml")):
            own = _read(Path(value))
        else:
            others.append(override)
    return own, others


def _read(path: Path) -> dict[str, Any]:
    try:
        said = yaml.safe_load(path.read_text())
    except OSError as error:
        raise SourceFileError(f"source={path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceFileError(f"source={path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(said, dict):
        raise SourceFileError(f"source={path} must have keys as conf/source/plain.yaml has, got {said!r}")
    return {"name": path.stem} | said


def problems(source: Source) -> Iterator[str]:
    """What makes no sense in a source, each with its key."""
    yield from problems_of_records(source, "source")
    if source.items is not None:
        yield from problems_of_records(source.items, "source.items")
    yield from problems_of_times(source, "source")
    if source.identities is not None:
        yield from problems_of_records(source.identities, "source.identities")
        yield from problems_of_times(source.identities, "source.identities")
    if not source.event_types:
        yield "source.event_types must name the types of events, got none"


def problems_of_times(dated: Source | IdentitySource, key: str) -> Iterator[str]:
    """What makes no sense in how times are written."""
    if dated.timezone not in available_timezones() and not OFFSET.fullmatch(dated.timezone):
        yield f"{key}.timezone must be a zone such as Europe/Berlin or an offset, got {dated.timezone!r}"
    if dated.time_unit is not None and dated.time_unit not in UNITS:
        yield f"{key}.time_unit must be one of {', '.join(UNITS)}, got {dated.time_unit!r}"


def problems_of_records(records: Records, key: str) -> Iterator[str]:
    """What makes no sense in how records stand in files."""
    if records.format not in FORMATS:
        yield f"{key}.format must be one of {', '.join(FORMATS)}, got {records.format!r}: set {key}.format"
        return
    default = Records()
    for name in ONLY_OF_COLUMNS:
        if getattr(records, name) != getattr(default, name) and records.format not in OF_COLUMNS:
            yield f"{key}.{name} is for the formats {' and '.join(OF_COLUMNS)}, got it with {records.format}"
    for name, least in (("delimiter", 1), ("quote", 0), ("escape", 1)):
        value = getattr(records, name)
        if value is not None and not least <= len(value) <= 1:
            yield f"{key}.{name} must be a single character, got {value!r}"
    if not _holds_ascii(records.encoding):
        yield f"{key}.encoding must be one in which ASCII is itself, such as ISO-8859-1, got {records.encoding!r}"
    yield from _problems_of_pattern(records, key)


def _problems_of_pattern(records: Records, key: str) -> Iterator[str]:
    if (records.pattern is None) != (records.format != "regex"):
        yield f"{key}.pattern and {key}.format=regex go together, got {records.format} and {records.pattern!r}"
    elif records.pattern is not None:
        try:
            _, names = groups_of(records.pattern)
        except re.error as error:
            yield f"{key}.pattern is no regular expression, {error}: {records.pattern}"
            return
        if not names:
            yield f"{key}.pattern must name its groups as (?<name>…), got {records.pattern}"


def groups_of(pattern: str) -> tuple[int, dict[str, int]]:
    """How many groups a pattern has, and the places of the named ones, from 1.

    `(?<a>x)(y)(?<b>z)?` has 3, with a at 1 and b at 3. Raises `re.error` for what is no pattern.
    """
    compiled = re.compile(re.sub(r"\(\?<(?![=!])", "(?P<", pattern))
    return compiled.groups, dict(compiled.groupindex)


def _holds_ascii(encoding: str) -> bool:
    text = "".join(map(chr, range(128)))
    try:
        codecs.lookup(encoding)
        return text.encode(encoding) == text.encode("ascii")
    except (LookupError, ValueError):
        return False
