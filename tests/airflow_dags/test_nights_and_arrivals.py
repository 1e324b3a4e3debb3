"""What a run is about, what it waits for, and what it hears: the parts of the DAGs that need no Airflow."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_dags.arrivals import arrived, path_of
from airflow_dags.facts import Heard, facts_of
from airflow_dags.nights import nights_of, ranges, training_of
from airflow_dags.settings import FOLDER, SettingsError, load

PATTERN = "events/{ds}/*.json.gz"
END = datetime(2026, 11, 3, 2, tzinfo=UTC)


def event(ds):
    return SimpleNamespace(extra={"ds": ds, "tables": "events@3"})


def test_a_run_answers_for_every_night_of_the_events_that_started_it():
    events = {"night": [event("2026-11-03"), event("2026-11-02")], "champion": [event("2026-11-02")]}
    assert nights_of("", events, None) == ["2026-11-02", "2026-11-03"]


def test_a_night_that_is_given_comes_before_events_and_interval():
    assert nights_of("2026-11-01", {"night": [event("2026-11-02")]}, END) == ["2026-11-01"]
    assert nights_of("2026-11-02, 2026-11-01", None, None) == ["2026-11-01", "2026-11-02"]


def test_a_run_by_the_clock_is_about_the_last_whole_day_of_its_interval():
    assert nights_of("", {}, END) == ["2026-11-02"]


def test_a_run_by_hand_without_a_night_is_told_what_to_give():
    with pytest.raises(ValueError, match="give ds=YYYY-MM-DD"):
        nights_of("", {}, None)


def test_a_range_is_cut_into_half_open_ones_that_meet():
    assert ranges("2026-11-01", "2026-11-06", 2) == [
        {"start": "2026-11-01", "end": "2026-11-03"},
        {"start": "2026-11-03", "end": "2026-11-05"},
        {"start": "2026-11-05", "end": "2026-11-06"},
    ]


@pytest.mark.parametrize("end", ["2026-11-01", "2026-10-31"])
def test_an_empty_range_is_refused(end):
    with pytest.raises(ValueError, match="start must lie before end"):
        ranges("2026-11-01", end, 31)


@pytest.mark.parametrize(
    ("wanted", "run_type", "expected"),
    [
        ("auto", "asset_triggered", "finetune"),
        ("auto", "scheduled", "pretrain"),
        ("auto", "manual", "pretrain"),
        ("pretrain", "asset_triggered", "pretrain"),
        ("finetune", "manual", "finetune"),
    ],
)
def test_a_night_fine_tunes_and_the_clock_pretrains(wanted, run_type, expected):
    assert training_of(wanted, run_type) == expected


def land(raw, *names):
    for name in names:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).touch()


def test_logs_that_are_there_are_counted(tmp_path):
    land(tmp_path, "events/2026-11-02/a.json.gz", "events/2026-11-02/b.json.gz", "events/2026-11-02/_SUCCESS")
    assert arrived(tmp_path, PATTERN, "2026-11-02") == {"files": 2}


def test_logs_that_are_late_are_waited_for(tmp_path):
    assert arrived(tmp_path, PATTERN, "2026-11-02") is None, "nothing has ever arrived"
    land(tmp_path, "events/2026-11-01/a.json.gz")
    assert arrived(tmp_path, PATTERN, "2026-11-02") is None, "an earlier day says nothing of this one"


def test_a_folder_without_logs_is_a_night_of_no_data(tmp_path):
    land(tmp_path, "events/2026-11-02/_SUCCESS")
    found = arrived(tmp_path, PATTERN, "2026-11-02")
    assert found["files"] == 0 and "a night of no data" in found["note"]


def test_a_day_that_later_ones_have_overtaken_is_a_night_of_no_data(tmp_path):
    land(tmp_path, "events/2026-11-03/a.json.gz")
    assert "logs of 2026-11-03 are there" in arrived(tmp_path, PATTERN, "2026-11-02")["note"]


def test_files_of_a_day_without_a_folder_of_its_own_are_found_too(tmp_path):
    land(tmp_path, "events-2026-11-02.json")
    assert arrived(tmp_path, "events-{ds}.json", "2026-11-02") == {"files": 1}
    assert arrived(tmp_path, "events-{ds}.json", "2026-11-03") is None


def test_a_format_without_days_is_not_waited_for(tmp_path):
    assert arrived(tmp_path, "*.csv", "2026-11-02")["files"] == 0


def test_the_pattern_is_that_of_the_log_format(tmp_path):
    assert path_of("simulated") == PATTERN
    (tmp_path / "own.yaml").write_text("path: logs/{ds}.csv\n")
    assert path_of(str(tmp_path / "own.yaml")) == "logs/{ds}.csv"


def test_the_last_line_of_facts_is_what_is_kept():
    said = [
        "ingest: started\n",
        "  ingest: 5 s  planning\n",
        "ingest: files=3, note=late, as told, seconds=4.1\n",
        "bye\n",
    ]
    heard = Heard()
    assert list(heard.listen(said)) == said, "every line goes on to the log"
    assert heard.facts == {"files": "3", "note": "late, as told", "seconds": "4.1"}
    assert heard.words[-1] == "bye"


def test_a_twin_that_did_the_work_is_told():
    heard = Heard()
    list(heard.listen(["ingest: done meanwhile by ingest of host 3"]))
    assert heard.facts == {"note": "done meanwhile by ingest of host 3"}


def test_a_value_may_hold_an_equals_sign():
    assert facts_of("reasons=0.2 <= 0.3, champion=sasrec") == {"reasons": "0.2 <= 0.3", "champion": "sasrec"}


@pytest.mark.parametrize("name", sorted(file.stem for file in FOLDER.glob("*.yaml")))
def test_every_choice_of_conf_airflow_can_be_read(name):
    assert load(name).sources


def test_an_unknown_choice_is_told_which_there_are():
    with pytest.raises(SettingsError, match=r"set FOOTFALL_AIRFLOW to one of default, demo"):
        load("demonstration")


def test_an_unknown_key_of_a_file_of_one_s_own_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("retires: 5\n")
    with pytest.raises(SettingsError, match=r"mine\.yaml has retires"):
        load(str(tmp_path / "mine.yaml"))
