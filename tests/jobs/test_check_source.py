"""What a person is told of their own files before anything is taken in."""

import gzip
import json
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest

from conf.load import load
from features.findings import OK, UNUSABLE, WITH_REFUSALS, Findings, Refusal, advice, login_advice, notes
from features.formats import SourceError
from jobs.check_source import check_logins, check_source, exit_code, read_sample
from jobs.job import InputError
from reports.source_check import show, show_logins
from tests.conftest import SPARK
from tests.jobs.test_job import NO_JAVA, ROOT, command
from tests.shop import line, write_log

TODAY = date(2026, 11, 3)
LINES = [
    line("ann", "2026-11-02T10:00:00Z", "a", item_id="milk", amount=1.5),
    line("ann", "2026-11-02T10:30:00Z", "b", "mail"),
    line("ann", "2026-11-02T10:30:00Z", "c", item_id="milk"),
    line("ann", "2026-11-02T11:00:01Z", "d", item_id="jam"),
    line("bob", "2026-11-01T10:00:00Z", "e", "view"),
    line("bob", "2026-11-01T10:00:00Z", "e", "view"),
    "{[red]not json[/red]",
    line("bob", "2026-11-01T10:00:00Z", "f", "return"),
    line("bob", "2026-11-01T10:00:00Z", "g", "return"),
]
FOUND = Findings(
    records=9, events=5, duplicates=1, refusals=(), types={}, unknown_types={"return": 2, None: 1},
    first=datetime(2026, 11, 1, 10), last=datetime(2026, 11, 2, 11), users=2, items=2, sessions=3,
    without={"item_id": 0.4, "quantity": 1.0, "amount": 0.8, "channel": 1.0, "attributes": 1.0}, shown=(),
)  # fmt: skip


def conf_of(path: Path, *more: str):
    return load([*SPARK, "source=plain", f"path={path}", *more])


def test_a_sample_is_counted_and_judged_as_an_ingest_would(spark, tmp_path, capsys):
    conf = conf_of(write_log(tmp_path, "2026-11-02", *LINES))
    found = check_source(conf, spark)
    assert (found.records, found.events, found.duplicates, found.verdict) == (9, 5, 1, WITH_REFUSALS)
    assert [(refusal.reason, refusal.count, refusal.place) for refusal in found.refusals] == [
        ("unknown_type", 2, 7),
        ("not_a_record", 1, 6),
    ]
    assert found.types == {"purchase": 3, "mail": 1, "view": 1}
    assert (found.users, found.items, found.sessions) == (2, 2, 3)
    assert (found.first, found.last) == (datetime(2026, 11, 1, 10), datetime(2026, 11, 2, 11, 0, 1))
    assert found.without == FOUND.without
    assert [row.event_id for row in found.shown] == ["a", "b", "c", "d", "e"]
    capsys.readouterr()

    show(found, conf.source, TODAY, 30, 30)
    said = capsys.readouterr().out
    for words in (
        "milk",
        "{[red]not json[/red]",
        "return (2)",
        "passive",
        "sessions, with a gap of 30 minutes",
    ):
        assert words in said, said
    assert said.splitlines()[-1] == (
        "verdict: ok with refusals (9 records = 5 events + 1 duplicates + 3 refused)"
    )


def test_of_a_folder_the_files_of_the_source_are_read_and_of_each_a_part(spark, tmp_path):
    for day in ("2026-11-02", "2026-11-03"):
        write_log(tmp_path, day, *(line("ann", f"{day}T10:00:00Z", f"{day} {n}") for n in range(50)))
    write_log(tmp_path, "2026-11-04", line("ann", "2026-09-01T10:00:00Z", "late"))
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "items.json").write_text('{"item_id": "milk"}\n')
    found = check_source(conf_of(tmp_path, "sample=30"), spark)
    assert (found.records, found.events) == (21, 20)
    assert [refusal.reason for refusal in found.refusals] == ["too_late"], "by the date in its path"


def test_a_file_without_a_date_is_too_late_only_where_its_day_is_given(spark, tmp_path):
    path = tmp_path / "log.json"
    path.write_text(json.dumps(line("ann", "2019-11-02T10:00:00Z", "a")))
    [undated] = read_sample(conf_of(path), spark, {str(path): None}).collect()
    [dated] = read_sample(conf_of(path, "ds=2026-11-02"), spark, {str(path): None}).collect()
    assert (undated.reason, dated.reason) == (None, "too_late")


def test_rows_alike_are_counted_as_the_source_says(spark, tmp_path):
    path = tmp_path / "log.json"
    path.write_text(2 * (json.dumps(line("ann", "2026-11-02T10:00:00Z", "a")) + "\n"))
    for identical, duplicates in (("duplicate", [False, True]), ("distinct", [False, False])):
        conf = conf_of(path, "source.event_id=null", f"source.identical_rows={identical}")
        rows = read_sample(conf, spark, {str(path): None}).orderBy("ingest_seq").collect()
        assert [row.is_duplicate for row in rows] == duplicates


def test_what_cannot_be_read_at_all_is_said_in_a_sentence(spark, tmp_path):
    empty, broken, folder = tmp_path / "empty.json", tmp_path / "broken.json.gz", tmp_path / "folder"
    empty.touch()
    broken.write_bytes(gzip.compress(b"{}\n" * 1000)[:-9])
    folder.mkdir()
    for conf, words in (
        (conf_of(empty), r"there is no record in .*empty\.json: expected json_lines"),
        (conf_of(folder), r"there is no file at .*folder: set path="),
        (conf_of(tmp_path / "none"), r"there is no file at .*none: set path="),
        (conf_of(broken), r"broken\.json\.gz would be refused as a whole, as broken_file: broken off"),
        (conf_of(broken, "source.format=parquet"), r"gz would be refused .*: not a whole Parquet file"),
    ):
        with pytest.raises(InputError, match=words):
            check_source(conf, spark)
    with pytest.raises(SourceError, match=r"source\.user_id: .*usr"):
        write_log(folder, "2026-11-02", *LINES)
        check_source(conf_of(folder, "source.user_id=usr"), spark)


def test_less_than_half_of_the_records_is_unusable():
    assert replace(FOUND, records=6).verdict == OK
    assert replace(FOUND, records=7).verdict == WITH_REFUSALS
    assert replace(FOUND, records=12).verdict == WITH_REFUSALS
    assert replace(FOUND, records=13).verdict == UNUSABLE
    assert replace(FOUND, records=0, events=0, duplicates=0).verdict == UNUSABLE
    assert [exit_code(verdict) for verdict in (OK, WITH_REFUSALS, UNUSABLE)] == [0, 0, 2]


REASONS = [
    ("plain", "not_a_record", "no JSON object of source.schema"),
    ("rees46", "not_a_record", "another number of columns"),
    ("access_log", "not_a_record", "source.pattern does not match"),
    ("online_retail", "not_text", "no ISO-8859-1: set source.encoding"),
    ("otto", "no_events", "if(size(x) > 0, x, array(null))"),
    ("plain", "no_id", "source.event_id"),
    ("plain", "no_user", "source.user_id"),
    ("plain", "no_time", "source.time_format"),
    ("plain", "unknown_type", "source.event_types, or add them there: return (2), null (1)"),
    ("plain", "too_late", "features.late_days"),
    ("plain", "from_future", "source.timezone"),
]


def write_logins(folder: Path, day: str, *logins: tuple[str | None, str | None, str]) -> Path:
    """(anonymous_id, user_id, valid_from) a line, where the plain source looks for its identity map."""
    path = folder / "identities" / day / "map.json"
    path.parent.mkdir(parents=True)
    records = (dict(zip(("anonymous_id", "user_id", "valid_from"), login, strict=True)) for login in logins)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


LOGINS = [
    ("tab", "ann", "2026-11-02T10:00:00Z"),
    ("tab", "ann", "2026-11-02T10:00:00Z"),
    ("phone", "ann", "2026-11-02T09:00:00Z"),
    (None, "bob", "2026-11-02T10:00:00Z"),
    ("x", "y", "2026-11-02T10:00:00Z"),
    ("y", "x", "2026-11-02T10:00:00Z"),
    ("z", "ann", "2026-11-09T10:00:00Z"),
]


def test_logins_of_the_same_folder_are_judged_too(spark, tmp_path, capsys):
    write_log(tmp_path, "2026-11-02", *LINES)
    write_logins(tmp_path, "2026-11-02", *LOGINS)
    conf = conf_of(tmp_path)
    assert check_source(conf, spark).records == len(LINES), "the identity map is no log"
    found = check_logins(conf, spark)
    assert found is not None
    assert (found.records, found.logins, found.duplicates, found.verdict) == (7, 3, 1, WITH_REFUSALS)
    assert [(refusal.reason, refusal.place) for refusal in found.refusals] == [
        ("cycle", 5),
        ("from_future", 6),
        ("no_id", 3),
    ]
    assert (found.anonymous_ids, found.users) == (3, 2)
    assert (found.first, found.last) == (datetime(2026, 11, 2, 9), datetime(2026, 11, 2, 10))
    capsys.readouterr()

    show_logins(found, conf.source.identities)
    said = capsys.readouterr().out
    for words in ("tab", "take it out", "source.identities.timezone", "source.identities.anonymous_id"):
        assert words in said, said
    assert said.splitlines()[-1] == (
        "verdict on the logins: ok with refusals (7 records = 3 logins + 1 duplicates + 3 refused)"
    )


def test_logins_are_looked_for_where_it_is_said_and_only_there(spark, tmp_path):
    log = write_log(tmp_path, "2026-11-02", *LINES)
    moved = write_logins(tmp_path, "2026-11-02", *LOGINS).rename(tmp_path / "logins.txt")
    assert check_logins(conf_of(tmp_path), spark) is None
    assert check_logins(conf_of(log), spark) is None
    found = check_logins(conf_of(log, f"logins={moved}"), spark)
    assert found is not None and found.records == 7
    with pytest.raises(InputError, match="there is no file at"):
        check_logins(conf_of(log, f"logins={tmp_path}/nowhere"), spark)
    with pytest.raises(InputError, match="plain has no identities"):
        check_logins(conf_of(log, f"logins={moved}", "source.identities=null"), spark)


@pytest.mark.parametrize(
    "reason", ["not_a_record", "not_text", "no_events", "no_id", "no_user", "no_time", "from_future", "cycle"]
)
def test_every_reason_of_a_login_comes_with_what_to_do(reason):
    source = load(["source=plain"]).source.identities
    assert source is not None
    said = login_advice(Refusal(reason, 1, "file", 0, "text"), source)
    assert "source.identities." in said or reason == "cycle"


def test_unusable_logins_end_it_with_2():
    assert [exit_code(OK, verdict) for verdict in (OK, WITH_REFUSALS, UNUSABLE)] == [0, 0, 2]


@pytest.mark.parametrize(("source", "reason", "words"), REASONS)
def test_every_reason_comes_with_what_to_do(source, reason, words):
    said = advice(Refusal(reason, 1, "file", 0, "text"), FOUND, load([f"source={source}"]).source)
    assert words in said


def test_what_is_odd_is_noted():
    def said(**changed) -> str:
        return " ".join(notes(replace(FOUND, **changed), TODAY, late_days=30))

    assert said() == ""
    assert "source.time_unit" in said(first=datetime(1970, 1, 21))
    assert "source.time_unit" in said(last=datetime(2027, 1, 1))
    assert "features.late_days=32" in said(first=datetime(2026, 10, 3))
    assert said(first=datetime(2026, 10, 4)) == ""
    assert "source.item_id" in said(without=FOUND.without | {"item_id": 1.0})
    assert "source.event_types" in said(sessions=0)
    assert "source.user_id" in said(users=5)
    assert said(first=None, last=None, sessions=0) == ""


def test_help_names_the_arguments_and_a_missing_path_is_said(tmp_path):
    helped = command("jobs/check_source.py", "-h", **NO_JAVA)
    assert helped.returncode == 0
    assert "spark-submit jobs/check_source.py source=rees46 path=" in helped.stdout
    missing = command("jobs/check_source.py", "source=plain", **NO_JAVA)
    assert (missing.returncode, missing.stderr) == (
        2,
        "error: path is missing: give path=… on the command line\n",
    )


def test_an_unusable_source_of_one_s_own_ends_with_2_and_nothing_is_written(tmp_path, monkeypatch):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "today.csv").write_text("time,user_id,value\n1,2,3\n")
    (tmp_path / "mine.yaml").write_text((ROOT / "docs" / "example_source.yaml").read_text())
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    run = command(
        str(ROOT / "jobs" / "check_source.py"),
        "source=mine.yaml",
        "path=logs",
        "lake=lake",
        *SPARK,
        folder=tmp_path,
    )
    assert run.returncode == 2, run.stderr
    assert "no_time" in run.stdout
    assert (
        run.stdout.splitlines()[-1] == "verdict: unusable (1 records = 0 events + 0 duplicates + 1 refused)"
    )
    assert "Traceback" not in run.stderr
    assert sorted(tmp_path.rglob("*")) == before
