"""Logs of other formats taken into a lake: nothing is lost, doubled or taken for something else."""

import json
from pathlib import Path

import pytest

from features.events import EVENTS
from features.lake import Lake
from features.quarantine import QUARANTINE
from jobs.ingest import ingest
from jobs.job import InputError
from tests.jobs.nights import shop
from tests.shop import rows_of

MONDAY, TUESDAY = "2022-08-01", "2022-08-02"
CLICK, CART, RETURN = (
    {"aid": 7, "ts": 1659340800000, "type": "clicks"},
    {"aid": 7, "ts": 1659340800001, "type": "carts"},
    {"aid": 7, "ts": 1659340800002, "type": "returns"},
)


def land(folder: Path, ds: str, *lines: str | dict, name: str = "log.jsonl") -> None:
    path = folder / "raw" / "events" / ds / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))


def test_records_inside_records_are_counted_each_and_sent_again_are_known(spark, tmp_path):
    lake = Lake(spark, str(tmp_path / "lake"))
    land(tmp_path, MONDAY, {"session": 1, "events": [CLICK, CART]}, {"session": 2, "events": []}, "{")
    said = ingest(shop(tmp_path, MONDAY, "source=otto"), lake)
    assert (said["records"], said["events"], said["duplicates"], said["quarantined"]) == (4, 2, 0, 2)

    land(
        tmp_path,
        TUESDAY,
        {"session": 3, "events": [CLICK]},
        {"session": 1, "events": [CLICK, CART, RETURN, CLICK | {"aid": 8}]},
    )
    land(tmp_path, TUESDAY, name="empty.jsonl")
    said = ingest(shop(tmp_path, TUESDAY, "source=otto"), lake)
    assert (said["files"], said["records"], said["events"], said["duplicates"], said["quarantined"]) == (
        1,
        5,
        2,
        2,
        1,
    )
    assert rows_of(lake.read(EVENTS), "user_id", "item_id", "event_type", "ingest_seq") == [
        ("1", "7", "cart", 1),
        ("1", "7", "view", 0),
        ("1", "8", "view", (1 << 24) + 3),
        ("3", "7", "view", 0),
    ]
    assert rows_of(lake.read(QUARANTINE), "reason", "position", "text") == [
        ("no_events", 1 << 24, '{"session": 2, "events": []}'),
        ("not_a_record", 2 << 24, "{"),
        (
            "unknown_type",
            (1 << 24) + 2,
            json.dumps({"session": "1", "element": RETURN | {"aid": "7"}}, separators=(",", ":")),
        ),
    ]


def test_a_source_that_does_not_fit_stops_the_ingest_with_a_sentence(spark, tmp_path):
    land(tmp_path, MONDAY, {"session": 1, "events": [CLICK]})
    for changed, words in (
        ("source.user_id=usr", r"source\.user_id: .*usr"),
        ("source.explode=evnts", r"source\.explode: "),
    ):
        with pytest.raises(InputError, match=words):
            ingest(shop(tmp_path, MONDAY, "source=otto", changed), Lake(spark, str(tmp_path / "lake")))
    assert not (tmp_path / "lake").exists()
