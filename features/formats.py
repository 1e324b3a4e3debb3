"""What a record says: the text of a line as the fields of its source, and the elements of an array as records."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyspark.errors import AnalysisException, ParseException, PySparkException
from pyspark.logger import PySparkLogger
from pyspark.sql import Column as Expression
from pyspark.sql import DataFrame
from pyspark.sql import functions as f
from pyspark.sql.types import ArrayType, DataType, StringType, StructType

from conf.schema import IdentitySource, ItemSource, Records
from conf.sources import groups_of

SEPARATORS = {"csv": (",", '"'), "tsv": ("\t", "")}
"""What stands between columns and what around them, where the source does not say."""

PLACE_BITS = 24
"""Of `ingest_seq`, for the place in an array: 16,777,216 elements a record, in files of up to 549,755,813,888 records."""

MALFORMED = "_not_a_record"
SPARKS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": MALFORMED}
CUT = "\x01"  # between the groups of a matched line
AS_JSON = {
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}
# Spark passes over what follows a record. After the only closing brace of a text, at its end, follows nothing; a text
# with several is read once more, as the first of two values in an object, whose second has a key that is not in the text.
LAST = "footfall:last"
ALONE = rf"""(text rlike '^[^}}]*+\\}}\\s*+$' or coalesce(not contains(text, '{LAST}') and
    json_object_keys(concat('{{"0":', text, ',"{LAST}":0}}')) = array('0', '{LAST}'), false))"""


class SourceError(ValueError):
    """A source that does not fit Spark or its records: the text names the key, what arrived and what was expected."""


def with_fields(records: DataFrame, source: Records, header: Sequence[str] = ()) -> DataFrame:
    """Adds `fields`, a struct of the source's schema, and `fault`: why a record has none, if so.

    before                       after
    text                         fields         fault
    {"user":"ann","item":"7"}    {ann, 7}       null
    {"user":"ann","item":        {null, null}   not_a_record
    {"user":"ann<byte FF>"}      {…}            not_text       a byte that UTF-8 does not have

    `header` is the first line of a CSV file whose source has one, as its columns. Rows of Parquet come with `fields`, and
    get a `text`. Then `derived` and `exploded`, where the source says so.
    """
    if source.format == "parquet":
        read = records.withColumns(
            {"text": f.to_json("fields", AS_JSON), "fault": f.lit(None).cast("string")}
        )
    else:
        fault = f.when(~f.is_valid_utf8("text"), "not_text").when(f.col("_broken"), "not_a_record")
        read = (
            READERS[source.format](records, source, header)
            .withColumns({"fault": fault, "text": f.make_valid_utf8("text")})
            .drop("_broken")
        )
    read = derived(read, source) if source.derived else read
    return exploded(read, source) if source.explode else read


def derived(records: DataFrame, source: Records) -> DataFrame:
    """The fields with those that the source derives from them, one after the other.

    before (derived: {price: cents / 100})    after
    fields: {item: 7, cents: 120}             {item: 7, cents: 120, price: 1.2}
    """
    own = [name for name in records.columns if name != "fields"]
    held = records.select(f.struct(*own).alias("_record"), "fields.*")
    for name, sql in source.derived.items():
        held = held.withColumn(name, column(held, key_of(source, f"derived.{name}"), sql))
    fields = [quoted(name) for name in held.columns if name not in ("_record", MALFORMED)]
    return held.select("_record.*", f.struct(*fields).alias("fields"))


def exploded(records: DataFrame, source: Records) -> DataFrame:
    """One record an element of the array `source.explode`, with the other fields of the record that it stood in.

    before (explode: events)                      after
    ingest_seq  text                              ingest_seq  text                          fault
    0           {"user":"ann","events":[x, y]}    0           {"user":"ann","element":x}    null
                                                  1           {"user":"ann","element":y}    null
    1           {"user":"bob","events":[]}        16777216    {"user":"bob","events":[]}    no_events
    2           {                                 33554432    {                             not_a_record

    The fields get `element` and its `place`, from 0, and lose the arrays that `source.explode` names: each element would
    carry them along. A record with more elements than `ingest_seq` has room for is refused as a whole, as `no_events`.
    The text is that of the schema's fields, without the derived ones.
    """
    names = [field.name for field in records.schema["fields"].dataType]  # type: ignore[attr-defined]
    if taken := {"element", "place"} & {name.lower() for name in names}:
        raise SourceError(
            f"{key_of(source, 'schema')} has a field {min(taken)!r}, which explode makes: leave it out of the schema"
        )
    own = [name for name in records.columns if name not in ("fields", "text", "ingest_seq", "fault")]
    held = records.select(f.struct(*own, "text", "ingest_seq", "fault").alias("_record"), "fields.*")
    array = column(held, key_of(source, "explode"), source.explode or "")
    kind = held.select(array.alias("_array")).schema["_array"].dataType
    if not isinstance(kind, ArrayType):
        raise SourceError(
            f"{key_of(source, 'explode')} must give an array, got {kind.simpleString()}: {source.explode}"
        )
    kept = [
        name for name in names if name != MALFORMED and not _left_behind(held, name, source.explode or "")
    ]
    full = f.col("_record.fault").isNull() & f.coalesce(f.size("_array"), f.lit(0)).between(
        1, 1 << PLACE_BITS
    )
    fault = f.coalesce("_record.fault", f.when(~full, "no_events"))
    nothing = f.array(f.lit(None).cast(kind.elementType))
    elements = held.withColumn("_array", array).select(
        *(f.col(f"_record.{name}").alias(f"_own_{name}") for name in (*own, "ingest_seq")),
        fault.alias("_fault"),
        f.when(fault.isNotNull(), f.col("_record.text")).alias("_text"),
        f.struct(*(quoted(name) for name in kept)).alias("_kept"),
        f.posexplode(f.when(full, f.col("_array")).otherwise(nothing)).alias("place", "element"),
    )
    said = [f"_kept.{quoted(name)}" for name in kept if name not in source.derived]
    as_text = f.to_json(f.struct(*said, "element"), AS_JSON)
    return elements.select(
        *(f.col(f"_own_{name}").alias(name) for name in own),
        (f.shiftleft("_own_ingest_seq", PLACE_BITS) + f.col("place")).alias("ingest_seq"),
        f.coalesce("_text", as_text).alias("text"),
        f.struct("_kept.*", "element", "place").alias("fields"),
        f.col("_fault").alias("fault"),
    )


def selected(
    frame: DataFrame, kept: Sequence[Expression], source: Records, sql: Mapping[str, str]
) -> DataFrame:
    """`kept`, and a column for each key of the source in `sql`, by its expression over `frame`.

    Raises `SourceError` with the key of the first that Spark cannot make sense of.
    """
    texts = (
        (key_of(source, name), said)
        for name, text in sql.items()
        for said in (getattr(source, name) or text, text)  # as it stands there, then with its cast
    )
    with first_named(texts, lambda text: frame.select(f.expr(text))):
        return frame.select(*kept, *(f.expr(text).alias(name) for name, text in sql.items()))


def column(frame: DataFrame, key: str, sql: str) -> Expression:
    """What the configuration has under `key` as an expression over `frame`; raises `SourceError` where it is none."""
    with understood(key, sql):
        expression = f.expr(sql)
        frame.select(expression)  # only the plan
    return expression


def fields_of(source: Records) -> StructType:
    """The source's schema; raises `SourceError` where it is none."""
    with understood(key_of(source, "schema"), source.schema):
        return StructType.fromDDL(source.schema)  # type: ignore[return-value]


@contextmanager
def understood(key: str, text: str) -> Iterator[None]:
    """Within it, what Spark says against a text of the configuration is raised as `SourceError`, with its key."""
    try:
        with _unlogged():
            yield
    except PySparkException as error:
        said = str(error).strip().splitlines()[0].split(" SQLSTATE")[0]
        raise SourceError(f"{key}: {said} It is: {text}") from None


@contextmanager
def first_named(texts: Iterable[tuple[str, str]], plan: Callable[[str], object]) -> Iterator[None]:
    """Within it a query is planned of many texts; where that fails, the first that fails alone is raised as `SourceError`.

    texts   key and SQL of each; they are looked at one by one only then
    plan    plans one of them alone
    """
    try:
        with _unlogged():
            yield
    except (AnalysisException, ParseException):
        for key, text in texts:
            with understood(key, text):
                plan(text)
        raise


@contextmanager
def _unlogged() -> Iterator[None]:
    """PySpark 4.0 logs every error of a query, with the whole trace, also those that are caught."""
    log = PySparkLogger.getLogger("SQLQueryContextLogger")
    silent, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = silent


def _json(records: DataFrame, source: Records, header: Sequence[str]) -> DataFrame:
    fields_of(source)
    parsed = f.from_json("text", f"{source.schema}, {MALFORMED} string", SPARKS)
    broken = f.col(f"fields.{MALFORMED}").isNotNull() | ~f.expr(ALONE)
    return records.withColumn("fields", parsed).withColumn("_broken", broken)


def _csv(records: DataFrame, source: Records, header: Sequence[str]) -> DataFrame:
    delimiter, quote = separators(source)
    options = SPARKS | {"sep": delimiter, "quote": quote, "escape": source.escape or quote}
    wanted = {field.name: field.dataType for field in fields_of(source)}
    columns = in_file(wanted, header) if source.header else wanted
    typed = [f"{quoted(name)} {kind.simpleString()}" for name, kind in columns.items()]
    parsed = f.from_csv("text", ", ".join([*typed, f"{MALFORMED} string"]), options)
    read = records.withColumn("fields", parsed)
    unreadable = f.col(f"fields.{MALFORMED}").isNotNull() | (f.trim("text") == "")
    broken = unreadable | _quote_left_open(quote, source.escape)
    in_order = [
        (f.col(f"fields.{quoted(name)}") if name in columns else f.lit(None).cast(kind)).alias(name)
        for name, kind in wanted.items()
    ]
    return read.withColumn("_broken", broken).withColumn("fields", f.struct(*in_order))


def in_file(wanted: dict[str, DataType], header: Sequence[str]) -> dict[str, DataType]:
    """The columns of a file in their order: those that the schema wants with its types, the others as text.

    wanted                   header             after
    {item: string, n: int}   N, colour, item    {n: int, _column_1: string, item: string}
    """
    left = {name.casefold(): name for name in wanted}
    names = [left.pop(said.strip().casefold(), f"_column_{place}") for place, said in enumerate(header)]
    return {name: wanted.get(name, StringType()) for name in names}


def _quote_left_open(quote: str, escape: str | None) -> Expression:
    """An odd number of quotes: the column goes on in the next line, or a quote that is meant was not escaped."""
    if not quote:
        return f.lit(False)
    text = f.col("text")
    if escape and escape != quote:
        text = f.regexp_replace(text, re.escape(escape) + ".", "")
    quotes = f.length(text) - f.length(f.replace(text, f.lit(quote), f.lit("")))
    return quotes % 2 == 1


def _pattern(records: DataFrame, source: Records, header: Sequence[str]) -> DataFrame:
    """Each field from its group of the pattern, which is matched once; a group without text is null."""
    with understood(key_of(source, "pattern"), source.pattern or ""):
        records.sparkSession._jvm.java.util.regex.Pattern.compile(source.pattern)  # type: ignore[union-attr]
    number, places = groups_of(source.pattern or "")
    marked = "".join(f"${group}{CUT}" for group in range(1, number + 1))
    parts = f.split(f.regexp_replace("text", rf"\A(?:{source.pattern})\z", marked), CUT)
    fields, wrong = [], (f.size("_parts") != number + 1) | f.contains("text", f.lit(CUT))
    for field in fields_of(source):
        if field.name not in places:
            known = ", ".join(places)
            raise SourceError(
                f"source.schema names {field.name!r}, expected groups of source.pattern: {known}"
            )
        said = f.nullif(f.get("_parts", f.lit(places[field.name] - 1)), f.lit(""))
        value = said.cast(field.dataType)
        fields.append(value.alias(field.name))
        if not isinstance(field.dataType, StringType):
            wrong = wrong | (said.isNotNull() & value.isNull())
    read = records.withColumn("_parts", parts)
    return read.withColumns({"fields": f.struct(*fields), "_broken": wrong}).drop("_parts")


READERS = {"json_lines": _json, "json": _json, "csv": _csv, "tsv": _csv, "regex": _pattern}


def separators(source: Records) -> tuple[str, str]:
    """What stands between columns, and what around them; nothing: an empty text."""
    delimiter, quote = SEPARATORS[source.format]
    return source.delimiter or delimiter, quote if source.quote is None else source.quote


def key_of(source: Records, name: str) -> str:
    """The dotted key of a field of a source, of its items or of its identity map."""
    part = {ItemSource: "items.", IdentitySource: "identities."}.get(type(source), "")
    return f"source.{part}{name}"


def quoted(name: str) -> str:
    """A column's name as Spark SQL takes any."""
    return "`" + name.replace("`", "``") + "`"


def _left_behind(held: DataFrame, name: str, sql: str) -> bool:
    said = re.search(rf"(?i)(?<!\w){re.escape(name)}(?!\w)", sql)
    return bool(said) and isinstance(held.schema[name].dataType, ArrayType)
