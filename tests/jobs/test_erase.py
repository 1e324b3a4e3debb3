"""A user who was erased: nothing of her is left, others are as if she had not been there, and she does not come back."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.batches import covered
from features.erased_users import ERASED_USERS
from features.events import EVENTS
from features.items import ITEMS
from features.keyed_ids import keyed_id
from features.lake import Lake
from features.predictions import PREDICTIONS, to_predictions
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.users import USERS
from jobs.erase import erase
from jobs.job import InputError
from jobs.keys import keys_of
from models.registry import connect
from tests.jobs.nights import DERIVED, contents, holding, night, shop
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY, WEDNESDAY = "2026-11-02", "2026-11-03", "2026-11-04"
ANN, BOB = "annabel-17", "robert-18"


def bought(user: str, ds: str, clock: str, event_id: str, item: str, event_type: str = "purchase", **more):
    return line(user, f"{ds}T{clock}Z", event_id, event_type, item_id=item, amount=1.0, **more)


OF_BOB = {
    MONDAY: [
        bought(BOB, MONDAY, f"09:0{n}:00", f"b{n}", item) for n, item in enumerate(("milk", "jam", "tea"))
    ],
    TUESDAY: [
        bought(BOB, TUESDAY, "09:00:00", "b4", "tea"),
        bought(BOB, TUESDAY, "09:01:00", "b5", "tea", "odd"),
    ],
    WEDNESDAY: [bought(BOB, WEDNESDAY, "09:00:00", "b6", "jam")],
}
OF_ANN = {
    MONDAY: [
        bought(ANN, MONDAY, "08:00:00", "a1", "milk", attributes={"login": "ann@shop"}),
        bought(ANN, MONDAY, "10:00:00", "a2", "jam", "mail"),
    ],
    TUESDAY: [
        bought(ANN, TUESDAY, "10:00:00", "a3", "tea"),
        bought(ANN, TUESDAY, "10:00:00", "a4", "tea", "odd"),
        '{"user_id": "annabel-17", "event_t',
        bought("device-9", TUESDAY, "11:00:00", "d1", "tea", attributes={"login": ANN}),
    ],
    WEDNESDAY: [bought(ANN, WEDNESDAY, "10:00:00", "a5", "milk"), '{"event_id": "a9'],
}
ASKED = ("source.id_attributes=[login]",)


def predicted(lake: Lake, *users: str) -> None:
    """A night's predictions of the users: milk for each."""
    scored = lake.spark.createDataFrame([(user,) for user in users], "user_id string").selectExpr(
        "user_id",
        "array('milk') as ids",
        "array(cast(1 as float)) as scores",
        "cast(null as string) as reason",
    )
    rows = to_predictions(scored, "2026-11-03", "next_item", "frequency", 1, 1)
    lake.replace_where(PREDICTIONS, rows, "ds = '2026-11-03'", {"predictions": len(users)})


@pytest.fixture(params=["keyed", pytest.param("plain", marks=pytest.mark.long)])
def erased(request, spark, tmp_path, bare):
    """A lake of two nights from which Ann was erased, and what was said of it."""
    for ds in (MONDAY, TUESDAY):
        write_log(tmp_path / "raw", ds, *OF_BOB[ds], *OF_ANN[ds])
    rules = (f"privacy.ids={request.param}", *ASKED)
    for ds in (MONDAY, TUESDAY):
        night(spark, shop(tmp_path, ds, *rules))
    lake, conf = Lake(spark, str(tmp_path / "lake")), shop(tmp_path, TUESDAY, *rules)
    keys = keys_of(conf, lake)
    ann, bob = keyed_id(ANN, keys), keyed_id(BOB, keys)
    predicted(lake, ann, bob)
    before = {table.name: lake.facts(table) for table in (EVENTS, QUARANTINE, *DERIVED)}
    assert holding(tmp_path / "lake", ann)
    assert holding(tmp_path / "lake", bob)
    (tmp_path / "users").write_text(ANN + "\n")
    said = erase(shop(tmp_path, TUESDAY, *rules, f"users={tmp_path / 'users'}"), lake)
    return SimpleNamespace(**locals())


def test_nothing_of_an_erased_user_is_left_or_comes_back_and_the_others_are_as_if_she_had_not_been(
    erased, spark
):
    folder, lake, rules = erased.tmp_path, erased.lake, erased.rules
    for name in {ANN, erased.ann}:
        assert holding(folder / "lake", name) == []
    assert holding(folder / "lake", erased.bob)
    kept = ("batch", "batches_upto", "ds")
    for table in (EVENTS, QUARANTINE, SESSIONS):
        now = lake.facts(table)
        assert {name: now.get(name) for name in kept} == {
            name: erased.before[table.name].get(name) for name in kept
        }
    assert rows_of(lake.read(PREDICTIONS), "entity") == [(erased.bob,)]

    counted = ("events", "quarantine", "sessions", "sequences", "users", "predictions")
    assert [erased.said[name] for name in counted] == [4, 2, 3, 2, 2, 1]
    told = json.loads(Path(erased.said["certificate"]).read_text())
    assert told["rows_removed"]["events"] == 4
    assert [Path(path).parent.name for path in told["out_of_reach"]["raw_files"]] == [MONDAY, TUESDAY]
    assert ANN not in Path(erased.said["certificate"]).read_text()

    again = [each for ds in (MONDAY, TUESDAY) for each in OF_ANN[ds] if isinstance(each, dict)]
    write_log(folder / "raw", WEDNESDAY, *OF_BOB[WEDNESDAY], *OF_ANN[WEDNESDAY], *again)
    said = night(spark, shop(folder, WEDNESDAY, *rules))
    assert [said["ingest"][name] for name in ("records", "events", "quarantined")] == [8, 1, 7]
    refused = rows_of(lake.read(QUARANTINE).where("reason = 'erased'"), "user_id", "text")
    assert refused == [(None, "")] * 6
    for name in {ANN, erased.ann}:
        assert holding(folder / "lake", name) == []

    for ds in OF_BOB:
        write_log(folder / "without" / "raw", ds, *OF_BOB[ds])
    other = (f"lake={folder / 'other'}", f"privacy.key_file={folder / 'lake.key'}")
    for ds in OF_BOB:
        night(spark, shop(folder / "without", ds, *rules, *other))

    def known(of: Lake) -> dict:
        found = contents(of, SESSIONS, SEQUENCES, ITEMS, USERS)
        return json.loads(json.dumps(found, default=str).replace(f"{folder}/without/raw", f"{folder}/raw"))

    assert known(lake) == known(Lake(spark, str(folder / "other")))


@pytest.mark.long
def test_an_erasure_that_is_run_again_finds_nothing_more_to_remove(spark, tmp_path):
    write_log(tmp_path / "raw", MONDAY, *OF_BOB[MONDAY], *OF_ANN[MONDAY])
    rules = ("privacy.ids=keyed", *ASKED)
    night(spark, shop(tmp_path, MONDAY, *rules))
    lake, users = Lake(spark, str(tmp_path / "lake")), tmp_path / "users"
    users.write_text(f"{ANN}\n\n")
    for name in ("named", "unnamed"):
        (tmp_path / "lake" / "examples" / name / "rows").mkdir(parents=True)
    conf = shop(tmp_path, MONDAY, *rules, f"users={users}")
    with connect(conf.registry, conf.artifacts).run("gru", {"examples": {"set_id": "named"}}) as run:
        said = erase(conf, lake)
    told = json.loads(Path(said["certificate"]).read_text())
    assert told["example_sets_removed"] == ["unnamed"]
    assert told["out_of_reach"]["example_sets"] == {"named": [f"run {run.id}"]}
    assert lake.folders("examples") == ["named"]
    versions = {table.name: lake.version(table) for table in (EVENTS, *DERIVED)}
    upto = covered(lake, SESSIONS)
    assert erase(conf, lake)["events"] == 0
    assert versions == {table.name: lake.version(table) for table in (EVENTS, *DERIVED)}
    assert upto == covered(lake, SESSIONS) == 1
    assert lake.read(ERASED_USERS).count() == 1


def test_a_file_of_ids_that_is_not_there_or_empty_is_said(spark, tmp_path):
    lake = Lake(spark, str(tmp_path / "lake"))
    (tmp_path / "empty").write_text("\n \n")
    for name, words in (
        ("nowhere", "cannot be read: No such file"),
        ("empty", "has no id, expected one a line"),
    ):
        with pytest.raises(InputError, match=words):
            erase(shop(tmp_path, MONDAY, f"users={tmp_path / name}"), lake)
    assert not lake.exists(ERASED_USERS)
