"""What jobs/check_source.py says of a sample, as tables for a terminal."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import Row
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conf.schema import IdentitySource, Records, Source
from features.findings import Findings, LoginFindings, Refusal, advice, login_advice, notes
from features.formats import PLACE_BITS
from reports.words import share

WIDTH = 140  # where the output is no terminal
LONGEST, SHORT = 300, 60  # characters of an example, and of a value in a table
COLUMNS = ("event_ts", "user_id", "event_type", "item_id", "quantity", "amount", "attributes", "event_id")
LOGIN_COLUMNS = ("valid_from", "anonymous_id", "user_id")


def show(found: Findings, source: Source, today: date, late_days: int, gap_minutes: int) -> None:
    """Prints events, refusals and counts; the last line is the verdict."""
    refused = _refusals(found.refusals, source, lambda refusal: advice(refusal, found, source))
    console = _print(
        _first("The first events", COLUMNS, found.shown),
        refused,
        _types(found, source),
        _counts(found, gap_minutes),
    )
    for note in notes(found, today, late_days):
        console.print(f"Note: {note}.", soft_wrap=True, markup=False)
    said = _conserved(found.records, "events", found.events, found.duplicates)
    console.print(f"verdict: {found.verdict} {said}", soft_wrap=True)


def show_logins(found: LoginFindings, source: IdentitySource) -> None:
    """Prints the logins, refusals and counts of an identity map; the last line is the verdict."""
    refused = _refusals(found.refusals, source, lambda refusal: login_advice(refusal, source))
    console = _print(_first("The first logins", LOGIN_COLUMNS, found.shown), refused, _login_counts(found))
    said = _conserved(found.records, "logins", found.logins, found.duplicates)
    console.print(f"verdict on the logins: {found.verdict} {said}", soft_wrap=True)


def _print(*tables: Table) -> Console:
    """Prints the tables that have a row, and returns where."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for table in tables:
        if table.row_count:
            console.print(table)
    return console


def _conserved(records: int, name: str, taken: int, duplicates: int) -> str:
    refused = records - taken - duplicates
    return f"({records:,} records = {taken:,} {name} + {duplicates:,} duplicates + {refused:,} refused)"


def _first(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_cell(row[name]) for name in columns))
    return table


def _refusals(refusals: Sequence[Refusal], source: Records, advised: Callable[[Refusal], str]) -> Table:
    table = Table(
        "reason", "records", "the first of them", "what to do", title="Refused", title_justify="left"
    )
    for refusal in refusals:
        where = f"{refusal.file.rsplit('/', 1)[-1]}, {_place(refusal.place, source)}: "
        example = escape(where + _short(refusal.text, LONGEST))
        table.add_row(refusal.reason, f"{refusal.count:,}", example, escape(advised(refusal)))
    return table


def _types(found: Findings, source: Source) -> Table:
    table = Table("event type", "events", "sessions", title="Types of events", title_justify="left")
    for name, count in found.types.items():
        table.add_row(
            escape(str(name)), f"{count:,}", "makes them" if source.event_types[str(name)] else "passive"
        )
    return table


def _counts(found: Findings, gap_minutes: int) -> Table:
    table = Table("of these events", "", title="In all", title_justify="left")
    if not found.events:
        return table
    rows: Mapping[str, Any] = {
        "first": found.first,
        "last": found.last,
        "users": f"{found.users:,}",
        "items": f"{found.items:,}",
        f"sessions, with a gap of {gap_minutes} minutes": f"{found.sessions:,}",
        **{f"without {name}": share(lacking, 1) for name, lacking in found.without.items()},
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _login_counts(found: LoginFindings) -> Table:
    table = Table("of these logins", "", title="In all", title_justify="left")
    if found.logins:
        table.add_row("first", str(found.first))
        table.add_row("last", str(found.last))
        table.add_row("anonymous ids", f"{found.anonymous_ids:,}")
        table.add_row("users", f"{found.users:,}")
    return table


def _place(place: int, source: Records) -> str:
    if not source.explode:
        return f"place {place}"
    return f"place {place >> PLACE_BITS}, element {place & ((1 << PLACE_BITS) - 1)}"


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(f"{name}={said}" for name, said in value.items())
    return "" if value is None else escape(_short(str(value), SHORT))


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}…"
