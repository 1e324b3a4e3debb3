"""What is kept, for how long, and what is never taken away."""

import os
import time
from pathlib import Path

from features.events import EVENTS
from features.examples import rows_table, vocabulary_table
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sessions import SESSIONS
from jobs.ingest import ingest
from jobs.retain import drop_checkpoints, retain
from jobs.sessionize import sessionize
from models.registry import connect
from tests.jobs.nights import night, shop
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY = "2026-11-02", "2026-11-03"


def logged(ds: str, event_id: str, event_type: str = "purchase") -> dict:
    return line("ann", f"{ds}T10:00:00Z", event_id, event_type, item_id="milk")


def test_the_text_of_a_record_without_a_user_is_kept_for_thirty_nights(spark, tmp_path):
    lines = [
        logged(MONDAY, "a"),
        logged(MONDAY, "b", "odd"),
        '{"user_id": "ann',
        line(None, f"{MONDAY}T10:00:00Z", "c"),
    ]
    write_log(tmp_path / "raw", MONDAY, *lines)
    lake = Lake(spark, str(tmp_path / "lake"))
    ingest(shop(tmp_path, MONDAY, "privacy.ids=keyed"), lake)
    before = lake.facts(QUARANTINE)
    texts = rows_of(lake.read(QUARANTINE), "reason", "text")
    assert retain(shop(tmp_path, "2026-12-02"), lake)["texts_blanked"] == 0
    assert rows_of(lake.read(QUARANTINE), "reason", "text") == texts
    assert retain(shop(tmp_path, "2026-12-03"), lake)["texts_blanked"] == 2
    kept = dict(rows_of(lake.read(QUARANTINE), "reason", "text"))
    assert kept == {"not_a_record": "", "no_user": "", "unknown_type": dict(texts)["unknown_type"]}
    assert lake.facts(QUARANTINE)["batch"] == before["batch"]
    assert retain(shop(tmp_path, "2026-12-03"), lake)["texts_blanked"] == 0


def data_files(folder: Path) -> int:
    return len(list(folder.rglob("*.parquet")))


def test_older_versions_go_when_they_are_old_enough_and_when_what_follows_them_has_come_up(spark, tmp_path):
    write_log(tmp_path / "raw", MONDAY, logged(MONDAY, "a"))
    write_log(tmp_path / "raw", TUESDAY, line("ann", f"{MONDAY}T10:05:00Z", "b"))
    lake, old = Lake(spark, str(tmp_path / "lake")), "privacy.retention_hours=0"
    night(spark, shop(tmp_path, MONDAY))
    for step in (ingest, sessionize):
        step(shop(tmp_path, TUESDAY), lake)
    sessions = Path(lake.path(SESSIONS).removeprefix("file:"))
    held = data_files(sessions)
    assert held > 1, "the session of Monday was replaced"
    assert "older versions of sessions stay" in retain(shop(tmp_path, TUESDAY, old), lake)["note"]
    assert data_files(sessions) == held
    night(spark, shop(tmp_path, TUESDAY))
    assert "note" not in retain(shop(tmp_path, TUESDAY), lake)
    assert data_files(sessions) == held
    retain(shop(tmp_path, TUESDAY, old), lake)
    assert data_files(sessions) == 1
    assert lake.read(EVENTS).count() == 2


def test_an_example_set_stays_while_a_run_or_a_version_names_it_or_it_is_young(spark, tmp_path):
    lake, conf = Lake(spark, str(tmp_path / "lake")), shop(tmp_path, MONDAY)
    for name in ("named", "unnamed"):
        words = spark.createDataFrame([(3, "milk", 1, 1, None, None)], vocabulary_table(name).schema)
        lake.overwrite(vocabulary_table(name), words, {})
        lake.overwrite(rows_table(name), spark.createDataFrame([], rows_table(name).schema), {})
    now = shop(tmp_path, MONDAY, "privacy.retention_hours=0")
    assert retain(now, lake)["example_sets_removed"] == 0, (
        "a registry that knows none of them is not this lake's"
    )
    with connect(conf.registry, conf.artifacts).run("gru", {"examples": {"set_id": "named"}}):
        assert retain(conf, lake)["example_sets_removed"] == 0
        assert retain(now, lake)["example_sets_removed"] == 1
    assert lake.folders("examples") == ["named"]


def test_checkpoints_go_when_their_training_has_long_not_gone_on(tmp_path):
    week_ago = time.time() - 7 * 86400
    names = {
        "set-v4-gru-0123456789ab": -1,
        "set-v4-sasrec-0123456789ab": 60,
        "holidays": -1,
    }  # seconds younger
    for name, younger in names.items():
        file = tmp_path / "lake.checkpoints" / name / "checkpoint"
        file.parent.mkdir(parents=True)
        file.write_text("")
        os.utime(file, (week_ago + younger, week_ago + younger))
    conf = shop(tmp_path, MONDAY)
    assert drop_checkpoints(conf) == ["set-v4-gru-0123456789ab"]
    assert sorted(os.listdir(tmp_path / "lake.checkpoints")) == ["holidays", "set-v4-sasrec-0123456789ab"]
    assert drop_checkpoints(conf) == []
