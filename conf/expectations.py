"""What an expectation cannot say."""

from collections.abc import Iterator

from conf.schema import Quality

TABLES = ("ingested_files", "events", "sessions", "users", "items", "sequences")
OF = ("events", "sessions")
SEVERITIES = ("warn", "stop")


def problems(quality: Quality) -> Iterator[str]:
    """What makes no sense in `quality`, each with its key and what was expected."""
    for name, wanted in quality.expect.items():
        key = f"quality.expect.{name}"
        yield from _among(f"{key}.table", wanted.table, TABLES)
        yield from _among(f"{key}.severity", wanted.severity, SEVERITIES)
        if wanted.lower is None and wanted.upper is None:
            yield f"{key} must have a lower or an upper limit, got none: set {key}.upper"
        elif wanted.lower is not None and wanted.upper is not None and wanted.lower > wanted.upper:
            yield f"{key}.lower must be <= {key}.upper, got {wanted.lower:g} and {wanted.upper:g}"
    for name, drift in quality.drift.items():
        key = f"quality.drift.{name}"
        yield from _among(f"{key}.of", drift.of, OF)
        yield from _among(f"{key}.severity", drift.severity, SEVERITIES)
        if drift.upper <= 0:
            yield f"{key}.upper must be > 0, got {drift.upper:g}: an index is 0 where nothing has changed"


def _among(key: str, value: str, allowed: tuple[str, ...]) -> Iterator[str]:
    if value not in allowed:
        yield f"{key} must be one of {', '.join(allowed)}, got {value!r}: set {key}"
