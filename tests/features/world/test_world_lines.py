"""How a record looks in the logs."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from features.world.behaviour import CAMPAIGN_SEND, CART, CLICK, IMPRESSION, PURCHASE, SUPPORT, VIEW, Events
from features.world.disorder import KINDS, PLAIN, Records
from features.world.lines import catalogue, hexadecimal, log_lines, money, names_of, times
from features.world.users import anonymous_ids
from tests.features.world.worlds import a_world, everyone

WORLD = a_world(users=3)
USERS = everyone(WORLD)
MOMENT = 1_767_348_005_020  # 2026-01-02 10:00:05.020
FULL = {"event_id", "type", "time", "visitor_id"}


def records(*kinds: int, **columns: int) -> Records:
    """Records that are alike but for what was done to them: a cart with two of item 4, promoted."""
    many = len(kinds)
    of = {"row": 1, "day": 1, "type": CART, "item": 4, "quantity": 2, "cents": 199, "promotion": 3}
    of |= {"campaign": -1, "arm": 0, "topic": -1, "position": -1, "chance": -1, "ts": MOMENT} | columns
    every = {name: np.full(many, value) for name, value in of.items()}
    key, anonymous = np.arange(many, dtype=np.uint64), np.full(many, columns.get("anonymous", 0), bool)
    events = Events(**every | {"key": key, "anonymous": anonymous})
    zeros = np.zeros(many, np.int64)
    return Records(events, events.ts, events.ts, zeros, zeros.astype(bool), np.array(kinds), zeros)


def lines(of: Records) -> list[str]:
    return log_lines(WORLD, names_of(WORLD, USERS), of).to_pylist()


def line(**columns: int) -> dict:
    """The one record with these columns, without its id."""
    (text,) = lines(records(PLAIN, **columns))
    assert text.endswith("}\n")
    record = json.loads(text)
    assert len(record.pop("event_id")) == 16
    return record


def test_each_type_has_its_fields():
    head = {"time": "2026-01-02T10:00:05.020Z", "visitor_id": "u1"}
    item = {"item_id": "i4", "price": 1.99, "promotion_id": "p3"}
    assert line(type=VIEW) == head | item | {"type": "view"}
    assert line(type=CART) == head | item | {"type": "cart", "quantity": 2}
    assert line(type=PURCHASE) == head | item | {"type": "purchase", "quantity": 2, "amount": 3.98}
    place = {"item_id": "i4", "position": 3}
    shown = line(type=IMPRESSION, position=3, chance=62_500)
    assert shown == head | place | {"type": "impression", "propensity": 0.0625}
    assert line(type=CLICK, position=3) == head | place | {"type": "click"}
    assert line(type=SUPPORT, topic=1) == head | {"type": "support", "topic": "refund"}
    sent = {"type": "campaign_send", "campaign_id": "k0", "arm": "treated"}
    assert line(type=CAMPAIGN_SEND, campaign=0, arm=2) == head | sent


def test_a_promotion_is_named_only_where_there_is_one():
    assert "promotion_id" not in line(promotion=-1)


def test_an_anonymous_visitor_has_another_id_that_does_not_tell_who():
    assert line(anonymous=True)["visitor_id"] == anonymous_ids(WORLD, np.array([1]))[0]
    assert len(set(anonymous_ids(WORLD, np.arange(1000)))) == 1000


def test_records_stay_in_their_order_whatever_their_types():
    both = records(*[PLAIN] * 40)
    kinds = np.arange(40) % 3
    mixed = replace(both, events=replace(both.events, type=kinds, row=np.arange(40) % 2))
    told = [json.loads(text) for text in lines(mixed)]
    assert [record["type"] for record in told] == [("view", "cart", "purchase")[kind] for kind in kinds]
    assert [record["visitor_id"] for record in told] == [f"u{n % 2}" for n in range(40)]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("empty_id", "event_id", ""),
        ("empty_user", "visitor_id", ""),
        ("no_date", "time", "yesterday"),
        ("strange_type", "type", "hover"),
        ("date_1970", "time", "1970-01-01T00:00:00.000Z"),
        ("date_2999", "time", "2999-12-31T23:59:59.000Z"),
    ],
)
def test_a_spoilt_record_is_wrong_in_one_field(kind, field, value):
    whole, spoilt, after = (json.loads(text) for text in lines(records(PLAIN, KINDS.index(kind), PLAIN)))
    assert spoilt[field] == value
    assert whole[field] != value
    assert after[field] != value
    assert {name for name in whole if whole[name] != spoilt[name]} - {"event_id"} == {field} - {"event_id"}


def test_a_line_cut_short_or_left_blank_is_still_one_line():
    whole, broken, blank, after = lines(
        records(PLAIN, KINDS.index("broken_json"), KINDS.index("blank_line"), PLAIN)
    )
    assert json.loads(whole).keys() - FULL == json.loads(after).keys() - FULL
    assert whole.startswith('{"event_id":"')
    assert (len(broken), broken[-1], blank) == (71, "\n", "\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken)


def test_times_amounts_and_ids_as_text():
    moments = np.array([MOMENT, 1_767_225_599_999, 0])
    assert times(moments).to_pylist() == [
        "2026-01-02T10:00:05.020Z",
        "2025-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00.000Z",
    ]
    assert money(np.array([5, 199, 1200])).to_pylist() == ["0.05", "1.99", "12.00"]
    assert hexadecimal(np.array([1, 2**64 - 1], np.uint64)).to_pylist() == ["0" * 15 + "1", "f" * 16]


def test_no_records_are_no_lines():
    assert lines(records()) == []
    assert isinstance(log_lines(WORLD, names_of(WORLD, USERS), records()), pa.StringArray)


def test_the_catalogue_has_every_item_once():
    told = catalogue(WORLD)
    assert [record["item_id"] for record in told] == [f"i{n}" for n in range(120)]
    assert {record["category"] for record in told} == {f"c{n:02}" for n in range(6)}
