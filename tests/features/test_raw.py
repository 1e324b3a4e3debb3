"""Which files have arrived, and whether they are whole."""

import gzip
import hashlib
from datetime import date
from pathlib import Path

import pytest

from conf.load import load
from features.raw import checked, files_up_to

NIGHT = date(2026, 11, 2)
PLAIN = load(["source=plain"]).source


def put(path: Path, content: bytes = b"{}\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(spark, raw: Path, pattern: str, ds: date = NIGHT) -> list[tuple[str, date]]:
    root = raw.as_uri().replace("file://", "file:")
    return [
        (file.path.removeprefix(root + "/"), file.arrival_date)
        for file in files_up_to(spark, str(raw), pattern, ds)
    ]


def test_a_file_arrives_on_the_date_in_its_path_and_none_from_after_the_night(spark, tmp_path):
    for name in (
        "events/2026-11-02/b.json",
        "events/2026-11-02/a.json",
        "events/2026-10-31/c.json",
        "events/2026-11-03/tomorrow.json",
        "events/2026-11-02/notes.txt",
        "events/2026-11-02/.a.json.unfinished",
        "events/2026-11-02/.a.json",
        "events/2026-11-02/_a.json",
        "events/2026-11-02/deeper/a.json",
        "events/today/a.json",
    ):
        put(tmp_path / name)
    assert found(spark, tmp_path, "events/{ds}/*.json") == [
        ("events/2026-10-31/c.json", date(2026, 10, 31)),
        ("events/2026-11-02/a.json", NIGHT),
        ("events/2026-11-02/b.json", NIGHT),
    ]


def test_without_a_date_in_the_path_a_file_arrives_when_it_is_first_looked_at(spark, tmp_path):
    put(tmp_path / "items" / "items.json")
    assert found(spark, tmp_path, "items/*.json") == [("items/items.json", NIGHT)]


def test_the_date_may_stand_twice_in_the_path_and_is_the_same(spark, tmp_path):
    for folder, name in (("2026-11-02", "2026-11-02"), ("2026-11-02", "2026-11-01")):
        put(tmp_path / folder / f"log-{name}.json")
    assert found(spark, tmp_path, "{ds}/log-{ds}.json") == [("2026-11-02/log-2026-11-02.json", NIGHT)]


def test_a_folder_that_is_missing_or_has_no_day_for_its_date_is_said(spark, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the raw folder .*nowhere does not exist"):
        files_up_to(spark, str(tmp_path / "nowhere"), "{ds}/*.json", NIGHT)
    put(tmp_path / "2026-02-30" / "a.json")
    with pytest.raises(ValueError, match=r"a\.json has 2026-02-30 as its arrival date, expected a day"):
        files_up_to(spark, str(tmp_path), "{ds}/*.json", NIGHT)
    assert found(spark, tmp_path, "events/{ds}/*.json") == [], "an empty night is no error"


def test_a_gzip_file_that_does_not_decompress_to_its_end_is_broken(spark, tmp_path):
    whole, long = gzip.compress(b"{}\n" * 1000), gzip.compress(bytes(40 << 20))  # 40 MiB in 40 KiB
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # in the checksum
    files = {
        "whole.gz": (whole, None),
        "long.gz": (long, None),
        "two members.gz": (whole + gzip.compress(b"more\n"), None),
        "cut.gz": (whole[:-9], "broken off before the end"),
        "cut in the second.gz": (whole + whole[:-1], "broken off before the end"),
        "flipped.gz": (bytes(flipped), "not a whole gzip file"),
        "no gzip.gz": (b"{}\n", "not a whole gzip file"),
        "plain.json": (b"{", None),
    }
    paths = [str(put(tmp_path / name, content)) for name, (content, _) in files.items()]
    rows = {Path(row.path).name: row for row in checked(spark, paths, PLAIN).collect()}
    for name, (content, problem) in files.items():
        assert rows[name].checksum == hashlib.sha256(content).hexdigest()
        assert problem in rows[name].problem if problem else rows[name].problem is None, name
