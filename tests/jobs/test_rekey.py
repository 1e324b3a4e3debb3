"""A lake under a new key: as if it had been made with it, and nothing is left of the old hashes."""

import pytest

from features.batches import covered
from features.erased_users import ERASED_USERS
from features.events import EVENTS
from features.identities import IDENTITIES
from features.keyed_ids import derived, keyed_id
from features.lake import Lake
from features.quarantine import QUARANTINE
from features.sequences import SEQUENCES
from features.sessions import SESSIONS
from jobs.erase import erase
from jobs.ingest import ingest
from jobs.job import InputError
from jobs.keys import keys_of
from jobs.rekey import rekey
from tests.jobs.nights import DERIVED, contents, holding, night, shop
from tests.jobs.test_people import write_logins
from tests.shop import line, rows_of, write_log

MONDAY, TUESDAY, WEDNESDAY = "2026-11-02", "2026-11-03", "2026-11-04"
ANN, BOB, CID = "annabel-17", "robert-18", "cidney-19"
OWN_HASHES = ("privacy.ids=keyed", "source.event_id=null", "source.identical_rows=distinct")


def logged(user: str, ds: str, clock: str, event_type: str = "purchase") -> dict:
    return line(user, f"{ds}T{clock}Z", "", event_type, item_id="milk", amount=1.0)


def login(anonymous: str, user: str) -> dict:
    return {"anonymous_id": anonymous, "user_id": user, "valid_from": f"{TUESDAY}T10:00:00Z"}


class Killed(Lake):
    """A lake whose writer is stopped just before it overwrites `stop_at`."""

    stop_at = None

    def overwrite(self, table, rows, facts, rows_per_file=None):
        if table is self.stop_at:
            raise KeyboardInterrupt
        super().overwrite(table, rows, facts, rows_per_file)


@pytest.mark.long
def test_a_rotated_lake_is_as_if_it_had_been_made_with_the_new_key(spark, tmp_path, bare):
    twice = logged(ANN, MONDAY, "10:00:00")
    write_log(
        tmp_path / "raw",
        MONDAY,
        twice,
        twice,
        logged(BOB, MONDAY, "10:00:00"),
        logged(CID, MONDAY, "11:00:00"),
    )
    write_log(
        tmp_path / "raw",
        TUESDAY,
        logged(ANN, TUESDAY, "10:00:00", "mail"),
        logged(BOB, TUESDAY, "09:00:00", "odd"),
        logged(BOB, TUESDAY, "09:30:00"),
    )
    write_log(
        tmp_path / "raw",
        WEDNESDAY,
        twice,
        twice,
        logged(ANN, WEDNESDAY, "10:00:00"),
        logged(CID, WEDNESDAY, "10:00:00"),
    )
    write_logins(tmp_path / "raw", TUESDAY, login("tablet-20", BOB), login(BOB, "tablet-20"))
    write_logins(tmp_path / "raw", WEDNESDAY, login(BOB, ANN), login("tablet-20", BOB))
    for ds in (MONDAY, TUESDAY):
        night(spark, shop(tmp_path, ds, *OWN_HASHES))
    conf, lake = shop(tmp_path, TUESDAY, *OWN_HASHES), Killed(spark, str(tmp_path / "lake"))
    (tmp_path / "users").write_text(CID)
    erase(shop(tmp_path, TUESDAY, *OWN_HASHES, f"users={tmp_path / 'users'}"), lake)
    old = keys_of(conf, lake)
    was = [keyed_id(user, old) for user in (ANN, BOB, "tablet-20")]
    assert all(holding(tmp_path / "lake", user) for user in was)

    lake.stop_at = SEQUENCES
    with pytest.raises(KeyboardInterrupt):
        rekey(conf, lake)
    with pytest.raises(InputError, match=r"expected .*, when jobs/rekey\.py is done"):
        ingest(shop(tmp_path, WEDNESDAY, *OWN_HASHES), lake)
    lake.stop_at = None
    said = rekey(conf, lake)

    new = keys_of(conf, lake)
    assert new[:-1] == old
    assert said["keys"] == len(new) == 2
    assert not any(holding(tmp_path / "lake", user) for user in was)
    assert keyed_id(CID, derived(new, "erased")) in [row.user for row in lake.read(ERASED_USERS).collect()]
    assert covered(lake, SESSIONS) == 2
    night_of = night(spark, shop(tmp_path, WEDNESDAY, *OWN_HASHES))
    assert [night_of["ingest"][name] for name in ("events", "duplicates", "quarantined")] == [1, 2, 1]

    other = f"privacy.key_file={tmp_path / 'lake.key'}"
    rebuilt = Lake(spark, str(tmp_path / "rebuilt"))
    erase(shop(tmp_path, MONDAY, *OWN_HASHES, other, f"users={tmp_path / 'users'}", lake="rebuilt"), rebuilt)
    night(spark, shop(tmp_path, WEDNESDAY, *OWN_HASHES, other, lake="rebuilt"))
    assert contents(rebuilt, *DERIVED) == contents(lake, *DERIVED)
    for table in (EVENTS, IDENTITIES):
        assert rows_of(rebuilt.read(table).drop("batch")) == rows_of(lake.read(table).drop("batch"))
    refused = ("user_id", "text", "reason")
    assert rows_of(rebuilt.read(QUARANTINE).where("reason = 'unknown_type'"), *refused) == rows_of(
        lake.read(QUARANTINE).where("reason = 'unknown_type'"), *refused
    )


def test_a_lake_without_keyed_ids_has_nothing_to_rotate(spark, tmp_path):
    lake = Lake(spark, str(tmp_path / "lake"))
    for more, words in (("privacy.ids=keyed", "no keyed ids"), ("privacy.ids=plain", "put into a file")):
        with pytest.raises(InputError, match=words):
            rekey(shop(tmp_path, MONDAY, more), lake)
