"""Ids in a lake are keyed hashes: what a person may rely on, and which key is refused."""

import re
import stat
from pathlib import Path

import pytest

from features.events import EVENTS
from features.ingested_files import INGESTED_FILES
from features.keyed_ids import fingerprint, keyed_id
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sessions import SESSIONS
from jobs.ingest import ingest
from jobs.job import InputError
from jobs.keys import keys_of, parsed
from tests.jobs.nights import holding, night, shop
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY = "2026-11-02", "2026-11-03"
ANN, BOB = "annabel-17", "robert-18"
KEY, OTHER = "1f" * 32, "2e" * 32
LINES = (
    line(ANN, f"{MONDAY}T10:00:00Z", "a1", item_id="milk"),
    line(ANN, f"{MONDAY}T10:10:00Z", "a2", item_id="jam"),
    line(BOB, f"{MONDAY}T10:20:00Z", "b1", item_id="milk"),
    line(BOB, f"{MONDAY}T10:20:00Z", "b2", "odd"),
)


def keyed_shop(folder: Path, ds: str, *more: str):
    return shop(folder, ds, "privacy.ids=keyed", *more)


def test_no_byte_of_the_lake_holds_an_id_unless_ids_are_plain(spark, tmp_path, bare):
    write_log(tmp_path / "raw", MONDAY, *LINES)
    night(spark, keyed_shop(tmp_path, MONDAY))
    night(spark, shop(tmp_path, MONDAY, lake="plain"))
    for user in (ANN, BOB):
        assert holding(tmp_path / "lake", user) == []
        assert holding(tmp_path / "plain", user), "the search finds what is there"
        hashed = keyed_id(user, parsed((tmp_path / "lake.key").read_text(), ""))
        assert not [name for name in holding(tmp_path / "lake", hashed) if name.endswith(".json")]
    assert not holding(tmp_path / "lake", (tmp_path / "lake.key").read_text().strip())


def test_a_user_is_one_user_under_its_hash_on_every_night(spark, tmp_path):
    write_log(tmp_path / "raw", MONDAY, *LINES)
    write_log(tmp_path / "raw", TUESDAY, line(ANN, f"{TUESDAY}T10:00:00Z", "a3"), LINES[0])
    for ds in (MONDAY, TUESDAY):
        said = night(spark, keyed_shop(tmp_path, ds))
    assert said["ingest"]["duplicates"] == 1
    keys = keys_of(keyed_shop(tmp_path, MONDAY), lake := Lake(spark, str(tmp_path / "lake")))
    ann, bob = keyed_id(ANN, keys), keyed_id(BOB, keys)
    assert rows_of(lake.read(SESSIONS), "user_id", "event_count") == sorted([(ann, 2), (ann, 1), (bob, 1)])
    (refused,) = rows_of(lake.read(QUARANTINE), "user_id", "reason", "text")
    assert refused[:2] == (bob, "unknown_type")
    assert f'"user_id": "{bob}"' in refused[2]


def test_the_key_is_made_once_beside_the_lake_for_its_owner_alone(spark, tmp_path, capsys):
    write_log(tmp_path / "raw", MONDAY, *LINES)
    lake = Lake(spark, str(tmp_path / "lake"))
    ingest(keyed_shop(tmp_path, MONDAY), lake)
    said, file = capsys.readouterr().out, tmp_path / "lake.key"
    assert f"made the key of the users' ids, {file}" in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = file.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", key)
    assert key.strip() not in said
    assert lake.properties(EVENTS)["footfall.key"] == fingerprint(parsed(key, ""))
    ingest(keyed_shop(tmp_path, TUESDAY), lake)
    assert file.read_text() == key
    assert capsys.readouterr().out == ""


def test_another_key_and_none_at_all_are_refused_before_anything_is_written(spark, tmp_path, monkeypatch):
    write_log(tmp_path / "raw", MONDAY, *LINES)
    lake = Lake(spark, str(tmp_path / "lake"))
    monkeypatch.setenv("SHOP_KEY", KEY)
    ingest(keyed_shop(tmp_path, MONDAY, "privacy.key_variable=SHOP_KEY"), lake)
    write_log(tmp_path / "raw", TUESDAY, line(ANN, f"{TUESDAY}T10:00:00Z", "a3"))
    versions = [lake.version(table) for table in (EVENTS, QUARANTINE, INGESTED_FILES)]
    held = fingerprint((bytes.fromhex(KEY),))
    (tmp_path / "other.key").write_text(OTHER)
    for more, words in (
        ((), rf"there is no .*lake\.key, expected the key with the fingerprint {held}"),
        ((f"privacy.key_file={tmp_path / 'other.key'}",), rf"other\.key holds the key .*, expected {held}"),
        (("privacy.ids=plain",), "holds keyed ids, and privacy.ids is plain"),
    ):
        with pytest.raises(InputError, match=words):
            ingest(keyed_shop(tmp_path, TUESDAY, *more), lake)
    assert not (tmp_path / "lake.key").exists()
    assert versions == [lake.version(table) for table in (EVENTS, QUARANTINE, INGESTED_FILES)]


def test_a_lake_with_plain_ids_takes_no_keyed_ones(spark, tmp_path):
    write_log(tmp_path / "raw", MONDAY, *LINES)
    lake = Lake(spark, str(tmp_path / "lake"))
    ingest(shop(tmp_path, MONDAY), lake)
    with pytest.raises(InputError, match=r"holds plain ids, and privacy\.ids is keyed"):
        ingest(keyed_shop(tmp_path, TUESDAY), lake)


def test_a_key_that_is_none_or_lies_inside_the_lake_is_refused(spark, tmp_path, monkeypatch):
    lake = Lake(spark, str(tmp_path / "lake"))
    (tmp_path / "short.key").write_text("1f1f\n")
    for more, words in (
        (f"privacy.key_file={tmp_path / 'short.key'}", "holds no key, expected 64 hexadecimal digits"),
        (f"privacy.key_file={tmp_path / 'lake' / 'id.key'}", "inside of the lake"),
        ("privacy.key_variable=SHOP_KEY", "the environment has no SHOP_KEY"),
        ("lake=s3a://shop/lake", "cannot be kept beside it"),
    ):
        with pytest.raises(InputError, match=words):
            keys_of(keyed_shop(tmp_path, MONDAY, more), lake)
