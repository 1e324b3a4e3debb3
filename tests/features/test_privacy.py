"""What stands in place of an id, and what becomes of the text that the id is in."""

import hashlib
import hmac

import pytest
from pyspark.sql import functions as f

from conf.load import load
from features.events import parse
from features.keyed_ids import derived, fingerprint, keyed_id
from features.privacy import beside, keyed, pseudonymous, replaced
from features.records import one_split_a_task, records
from tests.shop import rows_of
from tools.generate_docs import TABLES

KEY, NEXT = bytes(range(32)), bytes(range(1, 33))
SOURCE = load(["source=plain", "source.id_attributes=[login]", "source.event_id=null"]).source


def of(spark, *ids: str | None):
    return spark.createDataFrame([(each,) for each in ids], "user_id string")


def test_a_keyed_id_is_the_first_128_bits_of_hmac_sha256():
    # RFC 4231, test case 2
    assert keyed_id("what do ya want for nothing?", (b"Jefe",)) == "5bdcc146bf60754e6a042426089575c7"


@pytest.mark.parametrize(
    "keys", [(KEY,), (KEY, NEXT), (bytes(64),)], ids=("one", "two in turn", "a full block")
)
def test_a_column_is_hashed_as_one_id_is(spark, keys):
    ids = ["ann", "", "größe", "a" * 200]
    made = beside(of(spark, *ids, None), keys).withColumn("keyed", keyed(f.col("user_id")))
    assert dict(rows_of(made, "user_id", "keyed")) == {each: keyed_id(each, keys) for each in ids} | {
        None: None
    }


def test_a_second_key_hashes_what_the_first_one_made():
    first = hmac.new(KEY, b"ann", hashlib.sha256).hexdigest()[:32]
    assert keyed_id("ann", (KEY, NEXT)) == keyed_id(first, (NEXT,)) != keyed_id("ann", (NEXT, KEY))


def test_the_key_stands_in_no_plan(spark):
    plan = beside(of(spark, "ann"), (KEY,)).withColumn("user_id", keyed(f.col("user_id")))
    said = plan._jdf.queryExecution().toString()
    padded = bytes(byte ^ 0x36 for byte in KEY)
    assert "sha2" in said
    for secret in (KEY, padded):
        assert secret.hex().upper() not in said.upper().replace(" ", "")
        assert ", ".join(map(str, secret[:8])) not in said


def test_fingerprints_tell_keys_apart_and_other_purposes_have_other_keys():
    assert len({fingerprint(keys) for keys in ((KEY,), (NEXT,), (KEY, NEXT), (NEXT, KEY))}) == 4
    assert keyed_id("ann", derived((KEY,), "one")) != keyed_id("ann", derived((KEY,), "other"))


@pytest.mark.parametrize(
    ("plain", "before", "after"),
    [
        ("annabel", '{"user":"annabel","at":"annabels"}', '{"user":"KEYED","at":"KEYEDs"}'),
        ("7", '{"user":"7","day":17,"more":7}', '{"user":"KEYED","day":17,"more":KEYED}'),
        ("a.c", "a.c abc xa.c", "KEYED abc xa.c"),
        (r"$1\E", r"by $1\E", "by KEYED"),
        ("zoë", "zoë zoës", "KEYED zoës"),
        ("gone", "nobody", "nobody"),
        ("", "nobody", "nobody"),
        (None, "nobody", "nobody"),
    ],
)
def test_an_id_in_a_text_is_replaced_a_short_one_as_a_word_only(spark, plain, before, after):
    row = spark.createDataFrame([(plain, before)], "plain string, text string")
    pairs = f.array(f.struct("plain", f.lit("KEYED").alias("keyed")))
    assert rows_of(row.select(replaced(f.col("text"), pairs).alias("text"))) == [(after,)]


def test_accepted_records_have_no_text_and_refused_ones_the_hash_in_place_of_the_id(spark, tmp_path):
    lines = [
        '{"user_id":"annabel","event_ts":"2026-11-02T10:00:00Z","event_type":"view","attributes":{"login":"a7","page":"a7"}}',
        '{"user_id":"annabel","event_ts":"never","event_type":"view","attributes":{"login":"a7"}}',
        '{"user_id":" ","event_ts":"2026-11-02T10:00:00Z","event_type":"view"}',
        '{"user_id":"annab',
    ]
    (tmp_path / "log.json").write_text("\n".join(lines) + "\n")
    with one_split_a_task(spark):
        plain = parse(
            records(spark, [str(tmp_path / "log.json")], SOURCE).withColumn("arrival_date", f.current_date()),
            SOURCE,
        )
        rows = pseudonymous(plain, SOURCE, (KEY,)).orderBy("ingest_seq").collect()
    ann, a7 = keyed_id("annabel", (KEY,)), keyed_id("a7", (KEY,))
    assert [(row.reason, row.user_id, row.text) for row in rows] == [
        (None, ann, None),
        ("no_time", ann, lines[1].replace("annabel", ann).replace("a7", a7)),
        ("no_user", None, lines[2]),
        ("not_a_record", None, lines[3]),
    ]
    assert rows[0].attributes == {"login": a7, "page": "a7"}
    text_hash = hashlib.sha256(lines[0].encode()).hexdigest()
    assert rows[0].event_id == keyed_id(text_hash, (KEY,)), "else ids could be tried on it"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_says_of_which_columns_its_log_keeps_statistics_and_none_is_of_a_person(table):
    assert table.statistics, "else Delta takes the first 32 columns"
    assert not {"user_id", "entity", "text", "event_id", "session_id", "attributes"} & set(table.statistics)
