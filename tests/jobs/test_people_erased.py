"""A user who was a visitor first is erased: what she did under other ids goes too, and nothing of anybody else's."""

import json

import pytest

from features.events import EVENTS
from features.identities import IDENTITIES
from features.items import ITEMS
from features.keyed_ids import keyed_id
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from features.users import USERS
from jobs.erase import erase
from jobs.job import InputError
from jobs.keys import keys_of
from tests.jobs.nights import contents, holding, night, shop
from tests.jobs.test_people import write_logins
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY = "2026-11-02", "2026-11-03"
ANN, BOB, TAB, DEN = "annabel-17", "robert-18", "tablet-19", "shared-20"
KEYED = "privacy.ids=keyed"


def bought(user: str, clock: str, event_id: str, item: str, event_type: str = "purchase") -> dict:
    return line(user, f"{MONDAY}T{clock}Z", event_id, event_type, item_id=item, amount=1.0)


def login(anonymous: str, user: str, clock: str) -> dict:
    return {"anonymous_id": anonymous, "user_id": user, "valid_from": f"{MONDAY}T{clock}Z"}


# The items that Ann buys come later in the file: an index is never given away again.
OF_BOB = [bought(BOB, "08:00:00", "b1", "milk"), bought(DEN, "13:00:00", "d3", "jam")]
OF_ANN = [
    bought(TAB, "09:00:00", "t1", "milk"),
    bought(TAB, "09:01:00", "t2", "jam", "mail"),
    bought(ANN, "09:10:00", "a1", "milk"),
    bought(DEN, "11:00:00", "d1", "jam"),
]
BOBS_LOGIN = login(DEN, BOB, "12:00:00")
ANNS_LOGINS = [login(TAB, ANN, "09:05:00"), login(DEN, ANN, "10:00:00"), login(ANN, TAB, "11:00:00")]


def known(lake: Lake, folder) -> dict:
    found = contents(lake, SESSIONS, SEQUENCES, ITEMS, USERS)
    return json.loads(json.dumps(found, default=str).replace(f"{folder}/raw", "raw"))


@pytest.mark.long
def test_what_she_did_as_a_visitor_goes_with_her_and_the_others_are_as_if_she_had_not_been(
    spark, tmp_path, bare
):
    write_log(tmp_path / "raw", MONDAY, *OF_BOB, *OF_ANN)
    write_logins(tmp_path / "raw", MONDAY, BOBS_LOGIN, *ANNS_LOGINS)
    conf = shop(tmp_path, MONDAY, KEYED, f"users={tmp_path / 'users'}")
    lake = Lake(spark, conf.lake)
    said = night(spark, conf)
    assert said["ingest"]["identities"] == 3
    ann, bob, tab, den = (keyed_id(each, keys_of(conf, lake)) for each in (ANN, BOB, TAB, DEN))
    refused = rows_of(lake.read(QUARANTINE), "reason", "user_id", "text")
    text = json.dumps(login("<anonymous_id>", tab, "11:00:00"))
    assert refused == [("cycle", tab, text)]
    assert all(holding(tmp_path / "lake", each) for each in (ann, bob, tab, den))
    assert not any(holding(tmp_path / "lake", each) for each in (ANN, BOB, TAB, DEN))
    assert rows_of(lake.read(USERS), "user_id") == sorted([(ann,), (bob,)])

    (tmp_path / "users").write_text(TAB)
    with pytest.raises(
        InputError, match="number 1 of its ids, sorted, logged in as a user who is not among them"
    ):
        erase(conf, lake)
    (tmp_path / "users").write_text(ANN)
    counts = erase(conf, lake)
    assert [counts[name] for name in ("events", "identities", "quarantine", "sessions")] == [4, 2, 1, 2]
    assert not any(holding(tmp_path / "lake", each) for each in (ann, tab))
    assert rows_of(lake.read(IDENTITIES), "anonymous_id", "user_id") == [(den, bob)]
    assert rows_of(lake.read(EVENTS), "event_id") == [("b1",), ("d3",)]

    write_log(tmp_path / "raw", TUESDAY, *OF_ANN[2:3])
    write_logins(tmp_path / "raw", TUESDAY, *ANNS_LOGINS[:2], BOBS_LOGIN)
    night(spark, shop(tmp_path, TUESDAY, KEYED))
    assert rows_of(lake.read(QUARANTINE), "reason", "user_id", "text") == [("erased", None, "")] * 3

    without = tmp_path / "without"
    write_log(without / "raw", MONDAY, *OF_BOB)
    write_logins(without / "raw", MONDAY, BOBS_LOGIN)
    other = shop(without, MONDAY, KEYED, f"privacy.key_file={tmp_path / 'lake.key'}")
    night(spark, other)
    assert known(lake, tmp_path) == known(Lake(spark, other.lake), without)
