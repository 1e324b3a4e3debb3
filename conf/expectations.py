"""What an expectation cannot say."""

from collections.abc import Iterator

from conf.schema import Monitor, Quality

TABLES = ("ingested_files", "events", "sessions", "users", "items", "sequences")
OF = ("events", "sessions")
SEVERITIES = ("warn", "stop")
WATCHED = ("events", "sessions", "users", "items", "sequences", "predictions")
AGED = (
    "ingested_files",
    "events",
    "sessions",
    "users",
    "sequences",
    "items",
    "predictions",
    "quality",
    "champion",
)
COUNTED = ("ingested_files", "events", "sessions", "new_users", "new_items", "predictions")


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


def problems_of_nights(monitor: Monitor) -> Iterator[str]:
    """What makes no sense in `monitor`, likewise."""
    for name, watched in monitor.drift.items():
        yield from _among(f"monitor.drift.{name}.of", watched.of, WATCHED)
        if watched.upper <= 0:
            yield f"monitor.drift.{name}.upper must be > 0, got {watched.upper:g}: an index is 0 where nothing has changed"
    for name in monitor.freshness:
        yield from _among("a name in monitor.freshness", name, AGED)
    for name, limits in monitor.volume.items():
        yield from _among("a name in monitor.volume", name, COUNTED)
        if limits.lower > limits.upper:
            yield f"monitor.volume.{name}.lower must be <= upper, got {limits.lower:g} and {limits.upper:g}: set one of them"
    if (
        monitor.activity != sorted(set(monitor.activity))
        or len(monitor.activity) != 2
        or monitor.activity[0] < 2
    ):
        yield f"monitor.activity must be two rising numbers of sessions from 2 on, as [3, 10], got {monitor.activity}"
    if monitor.shadow == "champion":
        yield "monitor.shadow must be another alias than champion, as challenger: the champion is in service"


def _among(key: str, value: str, allowed: tuple[str, ...]) -> Iterator[str]:
    if value not in allowed:
        yield f"{key} must be one of {', '.join(allowed)}, got {value!r}: set {key}"
