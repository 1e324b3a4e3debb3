"""What a lease promises: one holder at a time, and nothing written by one that was overtaken."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import functions as f

from features import leases
from features.lake import Lake
from features.leases import WRITER, Held, Holder, LeaseHeld, LeaseLost, holding, newest, scoring, take
from features.predictions import PREDICTIONS
from features.table import Column, Table
from tests.shop import rows_of

NIGHT, OTHER = Holder("nightly", "ds=2026-11-02", 60), Holder("sessionize", "ds=2026-11-02", 60)
SLEEPER = Holder("nightly", "ds=2026-11-02", 1)
SHELF = Table(
    name="shelf",
    meaning="One thing on a shelf.",
    columns=(Column("thing", "string", "what"), Column("shelf", "int", "on which")),
    key=("thing",),
    partition_by=("shelf",),
)
OWN = scoring("2026-11-02", "next_item")


def things(spark, *names: str):
    return spark.createDataFrame([(name, 1) for name in names], "thing string, shelf int")


def stored(lake: Lake) -> list[str]:
    return [thing for (thing,) in rows_of(lake.read(SHELF), "thing")]


def test_a_lease_is_taken_by_one_and_free_again_when_it_ends(lake):
    lease = take(lake, [WRITER], NIGHT)
    with (
        holding(lease),
        pytest.raises(LeaseHeld, match=r"^the lease writer is held by nightly ds=2026-11-02 \(p"),
    ):
        take(lake, [WRITER], OTHER)
    take(lake, [WRITER], OTHER)
    held = newest(lake, WRITER)
    assert (held.token, held.job) == (2, "sessionize")


def test_a_lease_is_free_again_when_its_holder_fails_and_its_work_is_not_done(lake):
    lease = take(lake, [WRITER], NIGHT)
    held = newest(lake, WRITER)
    with pytest.raises(KeyError), holding(lease):
        raise KeyError
    assert not leases.is_done(lake, held)
    with holding(take(lake, [WRITER], NIGHT)):
        held = newest(lake, WRITER)
    assert leases.is_done(lake, held)


def test_partitions_are_leased_one_by_one_and_all_names_or_none(lake):
    with holding(take(lake, [OWN], NIGHT)):
        take(lake, [scoring("2026-11-03", "next_item")], OTHER)
        with pytest.raises(LeaseHeld, match=OWN):
            take(lake, [WRITER, OWN], OTHER)
        with holding(take(lake, [WRITER], OTHER)):
            pass


def test_of_several_who_reach_for_one_number_one_gets_it(lake):
    def reach(number: int) -> None:
        leases.put(lake, Held(WRITER, 1, f"claim {number}", *NIGHT, "host", 1, "now"))

    with ThreadPoolExecutor() as beside:
        list(beside.map(reach, range(8)))
    first = newest(lake, WRITER)
    reach(9)
    assert newest(lake, WRITER) == first, "given is given"


def test_a_number_that_comes_late_is_no_lease(lake, monkeypatch):
    """Who was slow between looking and reaching finds that others were there, and may not believe the one it got."""
    for _ in range(leases.KEPT + 3):
        with holding(take(lake, [WRITER], NIGHT)):
            pass
    oldest = Held(WRITER, 1, "claim", *NIGHT, "host", 1, "then")
    looks = iter([oldest])
    monkeypatch.setattr(leases, "newest", lambda lake, name: next(looks, None) or newest(lake, name))
    with pytest.raises(LeaseHeld):
        take(lake, [WRITER], OTHER)


def test_a_holder_is_alive_while_its_thread_gives_signs_and_whatever_spark_does(lake):
    with holding(take(lake, [WRITER], SLEEPER)):
        time.sleep(2)
        with pytest.raises(LeaseHeld):
            take(lake, [WRITER], NIGHT)


def test_a_holder_of_this_machine_whose_process_is_gone_is_overtaken_at_once(lake, monkeypatch):
    monkeypatch.setattr(leases, "is_running", lambda process: False)
    take(lake, [WRITER], NIGHT)
    take(lake, [WRITER], OTHER)
    assert newest(lake, WRITER).job == "sessionize"
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    with pytest.raises(LeaseHeld, match="sessionize"):
        take(lake, [WRITER], NIGHT)


WRITES = {
    "append": lambda lake, rows: lake.append(SHELF, rows, {}),
    "insert_new": lambda lake, rows: lake.insert_new(SHELF, rows, {}),
    "replace": lambda lake, rows: lake.replace(SHELF, lake.read(SHELF), rows, {}),
    "replace_where": lambda lake, rows: lake.replace_where(SHELF, rows, "shelf = 1", {}),
    "overwrite": lambda lake, rows: lake.overwrite(SHELF, rows, {}),
    "delete": lambda lake, rows: lake.delete(SHELF, "shelf = 1", {}),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_who_slept_and_was_overtaken_writes_nothing_and_is_told(spark, lake, write):
    lake.append(SHELF, things(spark, "cup"), {})
    sleeper = take(lake, [WRITER], SLEEPER)
    time.sleep(1.1)
    take(lake, [WRITER], OTHER)
    with (
        lake.guarded(sleeper.guard),
        pytest.raises(LeaseLost, match=r"the lease writer was taken by sessionize ds=2026"),
    ):
        write(lake, things(spark, "pot"))
    assert stored(lake) == ["cup"]


@pytest.mark.parametrize("write", [each for name, each in WRITES.items() if name != "delete"])
def test_who_falls_asleep_in_a_commit_and_is_overtaken_does_not_make_it(spark, lake, write, tmp_path):
    lake.append(SHELF, things(spark, "cup"), {})
    both = [OWN, WRITER]
    sleeper = take(lake, both, SLEEPER)
    begun, over = str(tmp_path / "begun"), str(tmp_path / "over")

    def sleep(thing: str) -> str:
        Path(begun).touch()
        while not Path(over).exists():
            time.sleep(0.05)
        return thing

    def overtake() -> None:
        while not Path(begun).exists():
            time.sleep(0.05)
        time.sleep(1.1)
        take(Lake(spark.newSession(), lake.root), both, OTHER)
        Path(over).touch()

    rows = things(spark, "pot").withColumn("thing", f.udf(sleep, "string")("thing"))
    with ThreadPoolExecutor() as beside, lake.guarded(sleeper.guard):
        other = beside.submit(overtake)
        with pytest.raises(LeaseLost, match="the lease writer was taken by sessionize"):
            write(lake, rows)
        other.result()
    assert stored(lake) == ["cup"]


def test_who_slept_and_was_not_overtaken_goes_on(spark, lake):
    sleeper = take(lake, [WRITER], SLEEPER)
    time.sleep(1.1)
    with lake.guarded(sleeper.guard):
        lake.append(SHELF, things(spark, "cup"), {})
    assert stored(lake) == ["cup"]


def test_who_comes_after_an_overtaken_holder_writes_as_before(spark, lake):
    with lake.guarded(take(lake, [WRITER], SLEEPER).guard):
        lake.append(SHELF, things(spark, "cup"), {"job": "first"})
    time.sleep(1.1)
    with holding(take(lake, [WRITER], NIGHT)):
        assert lake.facts(SHELF) == {"job": "first"}
        lake.append(SHELF, things(spark, "pot"), {})
        lake.append(SHELF, things(spark, "pan"), {})
    assert stored(lake) == ["cup", "pan", "pot"]


def test_who_scores_bars_the_way_to_predictions_alone(spark, lake):
    for table in (SHELF, PREDICTIONS):
        lake.append(table, spark.createDataFrame([], table.schema), {})
    for names, barred in ([OWN], [PREDICTIONS]), ([WRITER], [SHELF, PREDICTIONS]):
        take(lake, names, SLEEPER)
        time.sleep(1.1)
        before = {table.name: lake.properties(table) for table in (SHELF, PREDICTIONS)}
        take(lake, names, SLEEPER)
        after = {table.name: lake.properties(table) for table in (SHELF, PREDICTIONS)}
        assert [name for name in after if after[name] != before[name]] == [table.name for table in barred]


def test_who_scores_may_write_nothing_else(spark, lake):
    lease = take(lake, [OWN], NIGHT)
    lease.guard(PREDICTIONS)
    with (
        lake.guarded(lease.guard),
        pytest.raises(AssertionError, match="to write shelf takes the lease writer"),
    ):
        lake.append(SHELF, things(spark, "cup"), {})
    assert stored(lake) == []
