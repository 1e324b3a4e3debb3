"""What published lists came to, on users that can be judged by hand."""

import pyarrow as pa
import pytest

from models.realised import realised

SCHEMA = pa.schema(
    {
        "entity": pa.string(),
        "targets": pa.list_(pa.string()),
        "ids": pa.list_(pa.string()),
        "scores": pa.list_(pa.float32()),
        **dict.fromkeys(("users", "activity", "start"), pa.string()),
    }
)
SECOND = 0.6309297535714575  # 1 / log2(3): what the second place is worth


def judged(*users: tuple) -> dict[str, tuple]:
    rows = [dict(zip(SCHEMA.names, (*user, "new", "few", "warm"), strict=True)) for user in users]
    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
    return {
        row["entity"]: (row["hr@10"], row["ndcg@10"])
        for each in realised(iter([batch]))
        for row in each.to_pylist()
    }


def test_a_list_is_judged_by_the_places_of_what_was_taken():
    found = judged(
        ("first", ["milk"], ["milk", "jam"], [2.0, 1.0]),
        ("second", ["jam"], ["milk", "jam"], [2.0, 1.0]),
        ("one of two", ["jam", "tea"], ["jam", "milk"], [2.0, 1.0]),
        ("another", ["tea"], ["milk", "jam"], [2.0, 1.0]),
    )
    assert found["first"] == (1, 1)
    assert found["second"] == (1, pytest.approx(SECOND))
    assert found["one of two"] == (1, pytest.approx(1 / (1 + SECOND)))
    assert found["another"] == (0, 0)


def test_equal_scores_count_with_the_mean_over_their_orders():
    found = judged(
        ("above", ["milk"], ["milk", "jam"], [1.0, 1.0]),
        ("below", ["jam"], ["milk", "jam"], [1.0, 1.0]),
        ("at the edge", ["x9"], [f"x{n}" for n in range(11)], [2.0] * 9 + [1.0, 1.0]),
    )
    assert found["above"] == found["below"] == (1, pytest.approx((1 + SECOND) / 2))
    assert found["at the edge"][0] == pytest.approx(0.5), "tenth or eleventh"


def test_whoever_had_no_prediction_is_not_judged_and_an_empty_batch_is_no_error():
    assert judged(("nobody", ["milk"], None, None)) == {"nobody": (None, None)}
    assert judged(("short", ["milk"], [], [])) == {"short": (0, 0)}
    assert judged() == {}
