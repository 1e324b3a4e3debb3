"""What makes a record a login, and which logins are refused."""

import pytest
from pyspark.sql import functions as f

from conf.load import ConfigurationError, load
from features.formats import SourceError
from features.identities import IDENTITIES, between, closing, mark_known, parse_logins
from tests.shop import DAY, at, rows_of

SOURCE = load(["source=plain", "source.identities.timezone=Europe/Berlin"]).source.identities
PARSED = "anonymous_id string, user_id string, valid_from timestamp, arrival_date date, source_file string, "
PARSED += "ingest_seq bigint"


def parsed(spark, *fields: tuple[str | None, str | None, str | None], fault: str | None = None):
    rows = [("file", DAY, place, "text", each, fault) for place, each in enumerate(fields)]
    kind = "struct<anonymous_id: string, user_id: string, valid_from: string>"
    schema = (
        f"source_file string, arrival_date date, ingest_seq bigint, text string, fields {kind}, fault string"
    )
    return parse_logins(spark.createDataFrame(rows, schema), SOURCE)


def logins(spark, *rows: tuple[str, str, str, int]):
    given = [(anonymous, user, at(clock), DAY, "file", place) for anonymous, user, clock, place in rows]
    return spark.createDataFrame(given, PARSED).withColumns(
        {"reason": f.lit(None).cast("string"), "batch": f.lit(1).cast("bigint")}
    )


def test_a_record_is_a_login_or_refused_with_a_reason(spark):
    found = parsed(
        spark,
        ("tab", "ann", "2026-11-02T10:00:00"),
        ("tab", "ann", "2026-11-02T10:00:00Z"),
        (" ", "ann", "2026-11-02T10:00:00Z"),
        ("tab", None, "2026-11-02T10:00:00Z"),
        ("tab", "ann", "soon"),
        ("tab", "ann", "2026-11-03T01:00:00Z"),
        ("tab", "ann", "2026-11-03T01:00:01Z"),
        ("tab", "ann", "2019-01-01T00:00:00Z"),
        ("ann", "ann", "2026-11-02T10:00:00Z"),
    )
    told = [(row.valid_from, row.reason) for row in found.orderBy("ingest_seq").collect()]
    assert told[:2] == [(at("09:00:00"), None), (at("10:00:00"), None)], (
        "a time without an offset is Berlin's"
    )
    assert [reason for _, reason in told[2:]] == [
        "no_id", "no_user", "no_time", None, "from_future", None, "cycle",
    ]  # fmt: skip


def test_a_record_that_is_none_is_refused_with_what_is_wrong_with_it(spark):
    assert rows_of(parsed(spark, (None, None, None), fault="not_a_record"), "reason") == [("not_a_record",)]


def test_a_login_that_was_there_already_or_comes_twice_is_a_duplicate(spark):
    new = logins(
        spark, ("tab", "ann", "10:00:00", 1), ("tab", "ann", "10:00:00", 2), ("tab", "ann", "11:00:00", 3)
    )
    stored = logins(spark, ("tab", "ann", "11:00:00", 0)).select(*(c.name for c in IDENTITIES.columns))
    assert rows_of(mark_known(new, stored), "ingest_seq", "is_duplicate") == [
        (1, False),
        (2, True),
        (3, True),
    ]


@pytest.mark.parametrize(
    ("in_order", "refused"),
    [
        ([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")], {("c", "a")}),
        ([("a", "b"), ("b", "a"), ("a", "b")], {("b", "a")}),
        ([("b", "a"), ("a", "b")], {("a", "b")}),
        ([("a", "b"), ("a", "c"), ("b", "d"), ("d", "a"), ("c", "d")], {("d", "a")}),
        ([("a", "b"), ("c", "b")], set()),
    ],
)
def test_the_login_that_would_make_an_id_its_own_user_is_refused(in_order, refused):
    assert closing(in_order) == refused


def test_only_logins_between_others_can_be_part_of_a_cycle(spark):
    every = logins(spark, ("a", "b", "10:00:00", 1), ("b", "c", "10:00:00", 2), ("c", "d", "10:00:00", 3))
    assert rows_of(between(every, every), "anonymous_id", "user_id") == [("b", "c")]


def test_an_expression_that_does_not_fit_is_said_with_its_key(spark):
    wrong = load(["source=plain", "source.identities.user_id=uid"]).source.identities
    schema = "source_file string, arrival_date date, ingest_seq bigint, text string, fields struct<anonymous_id: string>"
    with pytest.raises(SourceError, match=r"^source\.identities\.user_id: .*uid"):
        parse_logins(spark.createDataFrame([], f"{schema}, fault string"), wrong)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("source.identities.format=xml", "source.identities.format must be one of"),
        ("source.identities.timezone=Mars", "source.identities.timezone must be a zone"),
        ("source.identities.time_unit=h", "source.identities.time_unit must be one of s, ms, us, ns"),
    ],
)
def test_what_makes_no_sense_in_an_identity_map_is_said_before_spark_starts(key, words):
    with pytest.raises(ConfigurationError, match=words):
        load(["source=plain", key])
