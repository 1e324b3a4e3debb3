"""How histories become training examples: every session but a user's first is a target once."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import example, given
from hypothesis import strategies as st

from conf.load import load
from features.examples import (
    PACKED,
    Cut,
    pack_batch,
    packed,
    padded,
    partitions_of,
    rows_per_file,
    rows_table,
    set_id_of,
    shuffled,
    spec_of,
    tail,
    windows,
)

SIZES = st.lists(st.integers(1, 12), min_size=0, max_size=14)


def numbered(sizes: list[int]) -> np.ndarray:
    """[2, 1] -> 1 1 2: the sessions of a history's events."""
    return np.repeat(np.arange(1, len(sizes) + 1, dtype=np.int32), sizes)


@given(SIZES, st.integers(2, 10), st.integers(2, 6))
@example([3, 40], 12, 4)
@example([40, 3, 40, 40, 1], 12, 4)
@example([40, 40], 2, 2)
def test_every_session_but_the_first_is_a_target_exactly_once(sizes, length, positions):
    sessions = numbered(sizes)
    cuts = windows(sessions, length, positions)
    targets = [session for start, end in cuts for session in np.unique(sessions[start:end])[1:].tolist()]
    assert sorted(targets) == list(range(2, len(sizes) + 1))
    for start, end in cuts:
        assert 0 <= start < end <= len(sessions)
        assert end - start <= length
        assert len(np.unique(sessions[start:end])) <= positions


@given(SIZES, st.integers(2, 10), st.integers(2, 6))
def test_where_the_sessions_fit_a_window_has_them_whole(sizes, length, positions):
    sessions = numbered(sizes)
    for start, end in windows(sessions, length, positions):
        inside = np.unique(sessions[start:end])
        if len(inside) > 2 or sum(sizes[number - 1] for number in inside) <= length:
            assert [np.sum(sessions[start:end] == n) for n in inside] == [sizes[n - 1] for n in inside]


@given(SIZES, st.integers(2, 10), st.integers(2, 6))
def test_consecutive_windows_share_one_session_and_are_as_long_as_fits(sizes, length, positions):
    sessions = numbered(sizes)
    cuts = windows(sessions, length, positions)
    for (newer, _), (_, older) in pairwise(cuts):
        assert sessions[newer] == sessions[older - 1]
    for start, end in cuts:
        first, inside = sessions[start], np.unique(sessions[start:end])
        if start > 0 and first > 1 and len(inside) < positions and start == np.argmax(sessions == first):
            assert end - start + sizes[first - 2] > length


@given(SIZES, st.integers(1, 10), st.integers(1, 6))
def test_a_tail_is_the_newest_events_of_as_many_sessions_as_there_are_positions(sizes, length, positions):
    sessions = numbered(sizes)
    start, end = tail(sessions, length, positions)
    assert end == len(sessions)
    newest = sessions > len(sizes) - positions
    assert end - start == min(length, np.sum(newest))


def test_a_session_too_long_for_a_window_still_follows_the_one_before_it():
    assert windows(numbered([3, 600]), 512, 64) == [(0, 512)]
    assert windows(numbered([600, 600]), 512, 64) == [(600 - 256, 600 + 256)]
    assert windows(numbered([600, 3]), 512, 64) == [(603 - 512, 603)]


def test_values_are_packed_little_endian_on_every_machine():
    batch = pa.RecordBatch.from_pydict(
        {
            "user_id": ["ann", "bob"],
            "items": pa.array([[3, 258], [4]], pa.list_(pa.int32())),
            "sessions": pa.array([[1, 2], [1]], pa.list_(pa.int32())),
            "ages": pa.array([[1.5, 0.0], [2.0]], pa.list_(pa.float32())),
            "targets": pa.array([None, [7]], pa.list_(pa.int32())),
        }
    )
    lengths = {"items": 3, "sessions": 3, "ages": 3, "targets": 2}
    kinds = pa.array([[2, 1], [1]], pa.list_(pa.int32()))
    told = pa.RecordBatch.from_arrays([*batch.columns, kinds], [*batch.schema.names, "contexts"])
    with_contexts = pack_batch(told, lengths | {"contexts": 3}, positions=4).to_pylist()
    assert [row["contexts"] for row in with_contexts] == [b"\2\0\0\0\1" + bytes(7), b"\1" + bytes(11)]
    rows = pack_batch(batch, lengths, positions=4).to_pylist()
    assert [(row["split"], row["items"], row["ages"], row["targets"]) for row in rows] == [
        ("train", b"\3\0\0\0\2\1\0\0\0\0\0\0", b"\0\0\xc0\x3f" + bytes(8), bytes(8)),
        ("validation", b"\4" + bytes(11), b"\0\0\0\x40" + bytes(8), b"\7" + bytes(7)),
    ]
    assert pack_batch(batch[1:], lengths, positions=4).to_pylist() == rows[1:], (
        "a slice of a batch is its own"
    )
    assert padded(np.array([1], "<i4"), 1) == b"\1\0\0\0"


def test_a_history_becomes_train_rows_that_share_a_session_and_a_validation_row(spark):
    """The docstring of `packed`."""
    histories = spark.createDataFrame(
        [("ann", [3, 4, 5, 3], [1, 1, 2, 3], [9.0, 9.0, 5.0, 1.0], [6, 7])],
        "user_id string, items array<int>, sessions array<int>, ages array<float>, targets array<int>",
    )
    spec = {"columns": {name: {"length": 3} for name in PACKED}, "positions": 2}
    spec["columns"]["targets"] = {"length": 2}
    rows = packed(histories, spec).collect()

    def values(row, name: str) -> list:
        return np.frombuffer(row[name], np.dtype(PACKED[name]).newbyteorder("<")).tolist()

    assert sorted(
        (r.split, values(r, "items"), values(r, "sessions"), values(r, "targets")) for r in rows
    ) == [
        ("train", [3, 4, 5], [1, 1, 2], [0, 0]),
        ("train", [5, 3, 0], [2, 3, 0], [0, 0]),
        ("validation", [5, 3, 0], [2, 3, 0], [6, 7]),
    ]
    assert {(r.split, *values(r, "ages")) for r in rows} >= {("validation", 5.0, 1.0, 0.0)}


def test_a_written_set_is_shuffled_by_its_seed_and_each_file_one_row_group_of_consecutive_ids(
    spark, lake, tmp_path
):
    spec = {"set_id": "small", "columns": {name: {"length": 1} for name in PACKED}}
    table = rows_table("small", spec)
    made = spark.range(250).selectExpr(
        "if(id % 5 = 0, 'validation', 'train') as split",
        "concat('user', id, '/0') as example",
        *(f"cast(cast(id as string) as binary) as {name}" for name in PACKED),
    )
    lake.overwrite(table, shuffled(made, seed=7, partitions=2), {"counts": {}}, rows_per_file=40)
    files = sorted(Path(tmp_path / "lake" / table.name).glob("split=*/*.parquet"))
    assert len(files) >= 7
    ids, order = [], []
    for file in files:
        parquet = pq.ParquetFile(file)
        assert parquet.num_row_groups == 1
        assert parquet.metadata.num_rows <= 40
        read = parquet.read()
        of_file = read["row_id"].to_pylist()
        assert of_file == list(range(of_file[0], of_file[0] + len(of_file)))
        ids += of_file
        order += read["items"].to_pylist()
    assert len(set(ids)) == 250
    assert len(set(order)) == 250
    assert order[:20] != sorted(order[:20], key=int), "they were shuffled"
    assert json.loads(lake.properties(table)["footfall.spec"]) == spec

    def row_ids(seed: int, parts: int) -> dict:
        return {bytes(r.items): r.row_id for r in shuffled(made.repartition(parts), seed, 2).collect()}

    written = {bytes(r.items): r.row_id for r in lake.read(table).collect()}
    assert row_ids(7, 3) == row_ids(7, 5) == written, "the same rows have the same numbers, however they came"
    assert row_ids(8, 3) != written


def test_a_set_has_a_partition_for_each_file_that_its_rows_fill_as_far_as_there_are_so_many():
    spec = {"columns": {name: {"length": 1} for name in PACKED}}
    found = [partitions_of(rows, spec, most=8) for rows in (0, 1, 25_000, 25_001, 10**6)]
    assert found == [1, 1, 1, 2, 8]


def test_a_set_says_what_it_is():
    conf = load(["source=plain", "ds=2026-11-02", "promote.holdout_days=2", "task.validation_days=3"])
    cut = Cut.of(conf)
    assert cut.as_of == datetime(2026, 11, 1, tzinfo=UTC)
    assert cut.validation_from == datetime(2026, 10, 29, tzinfo=UTC)
    spec = spec_of(conf, vocabulary_size=9, target_length=4, tables={"sessions": 3})
    assert spec["as_of"] == "2026-11-01T00:00:00+00:00"
    assert spec["columns"]["targets"] == {"dtype": "int32", "length": 4}
    assert spec["columns"]["ages"] == {"dtype": "float32", "length": 512}
    assert spec["set_id"] == set_id_of(conf)
    assert spec["set_id"].startswith("next_item-2026-11-01-")
    assert json.loads(json.dumps(spec)) == spec


def test_the_id_of_a_set_follows_from_what_decides_its_rows_alone():
    def id_of(*more: str) -> str:
        return set_id_of(load(["source=plain", "ds=2026-11-02", *more]))

    assert id_of("model=gru", "lake=/elsewhere", "train.ranks=3", "task.k=5") == id_of()
    others = [
        "task.length=100",
        "features.session_gap_minutes=20",
        "task.event_types=[view]",
        "source.event_types.mail=true",
        "ds=2026-11-03",
    ]
    assert len({id_of(), *map(id_of, others)}) == 1 + len(others)
    for other in ("source.channel=event_type", "source.shop_timezone=Asia/Kathmandu"):
        assert id_of(other) == id_of()
        assert id_of(other, "task.contexts=true") != id_of("task.contexts=true")


def test_a_file_is_never_more_than_half_a_parquet_block():
    narrow = {"columns": {name: {"length": 1} for name in PACKED}}
    wide = {"columns": {name: {"length": 4096} for name in PACKED}}
    assert rows_per_file(narrow) == 25_000
    assert rows_per_file(wide) * 4 * 4 * 4096 <= 64 << 20
