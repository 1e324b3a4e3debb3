"""How the shop logs: one JSON object a line, made a column at a time."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.world.ads import MILLIONTHS
from features.world.behaviour import (
    CAMPAIGN_SEND,
    CART,
    CLICK,
    IMPRESSION,
    PURCHASE,
    SUPPORT,
    TOPICS,
    TYPES,
    VIEW,
    Events,
)
from features.world.disorder import (
    BLANK_LINE,
    BROKEN_JSON,
    DATE_1970,
    DATE_2999,
    EMPTY_ID,
    EMPTY_USER,
    NO_DATE,
    STRANGE_TYPE,
    Records,
)
from features.world.draws import Bits, Ints, bits, mixed
from features.world.items import items_of
from features.world.shape import DAY, World
from features.world.users import Users, anonymous_ids, user_ids

ARMS = pa.array(["none", "control", "treated"])
BROKEN_AFTER = 70  # characters
STRANGE = "hover"
DATES = {NO_DATE: "yesterday", DATE_1970: "1970-01-01T00:00:00.000Z", DATE_2999: "2999-12-31T23:59:59.000Z"}


def log_lines(world: World, names: pa.StringArray, records: Records) -> pa.StringArray:
    """Each record as a line, its end included, in the order of the records; `names` are those of `names_of`.

    {"event_id":"9f…","type":"cart","time":"2026-01-02T10:00:00.123Z","visitor_id":"u17","item_id":"i4","price":1.99,"quantity":1}
    """
    events, kind = records.events, records.kind
    head = [
        _unless(kind == EMPTY_ID, hexadecimal(event_bits(world, events.key)), ""),
        _unless(kind == STRANGE_TYPE, pa.array(TYPES).take(pa.array(events.type)), STRANGE),
        _dated(times(records.stamped), kind),
        _unless(kind == EMPTY_USER, names.take(visitors(len(names) // 2, events)), ""),
    ]
    order, parts = [], []
    for number, fields in FIELDS.items():
        rows = np.flatnonzero(events.type == number)
        order.append(rows)
        parts.append(
            _of_one_type([column.take(pa.array(rows)) for column in head], events.take(rows), fields)
        )
    lines = pa.chunked_array(parts).combine_chunks()
    return _spoilt(lines.take(pa.array(np.argsort(np.concatenate(order), kind="stable"))), kind)


def event_bits(world: World, key: Bits) -> Bits:
    """The number behind an event's id: no two events have the same."""
    return mixed(bits(world.seed, "event id") + key)


def names_of(world: World, users: Users) -> pa.StringArray:
    """The ids under which the shop can know the users: first all their user ids, then all their anonymous ids."""
    return pa.array(user_ids(users.index) + anonymous_ids(world, users.index), pa.string())


def visitors(users: int, events: Events) -> pa.Array:
    """For each event the place in `names_of` of the id that its visitor had."""
    return pa.array(events.row + users * events.anonymous)


def times(ts: Ints) -> pa.StringArray:
    """Moments as 2026-01-02T10:00:00.123Z."""
    day, of_day = np.divmod(ts, DAY)
    second, milli = np.divmod(of_day, 1000)
    days, which = np.unique(day, return_inverse=True)
    text = np.empty((len(ts), 24), np.uint8)
    text[:, :10] = _letters(np.datetime_as_string(days.astype("datetime64[D]")), 10)[which]
    text[:, [10, 19, 23]] = np.frombuffer(b"T.Z", np.uint8)
    text[:, 11:19] = CLOCK[second]
    text[:, 20:23] = THOUSAND[milli]
    return _strings(text)


def hexadecimal(numbers: Bits) -> pa.StringArray:
    """64 bits as 16 digits."""
    return _strings(BYTES[numbers.byteswap().view(np.uint8)].reshape(len(numbers), 16))


def money(cents: Ints) -> pa.StringArray:
    """199 cents as 1.99."""
    whole, rest = np.divmod(cents, 100)
    return pc.binary_join_element_wise(pa.array(whole).cast(pa.string()), HUNDRED.take(pa.array(rest)), ".")


def catalogue(world: World) -> list[dict[str, object]]:
    """One record an item."""
    items = items_of(world)
    return [
        {
            "item_id": f"i{number}",
            "category": category_name(int(items.category[number])),
            "title": f"Item {number}",
            "price": round(int(items.cents[number]) / 100, 2),
            "launched": world.date(int(items.launch[number])).isoformat(),
        }
        for number in range(len(items))
    ]


def category_name(number: int) -> str:
    return f"c{number:02}"


def _items(events: Events) -> list[pa.Array]:
    return [',"item_id":"i', pa.array(events.item).cast(pa.string()), '"']


def _price(events: Events) -> list[pa.Array]:
    return [',"price":', money(events.cents)]


def _quantity(events: Events) -> list[pa.Array]:
    return [',"quantity":', pa.array(events.quantity).cast(pa.string())]


def _amount(events: Events) -> list[pa.Array]:
    return [',"amount":', money(events.cents * events.quantity)]


def _promotion(events: Events) -> list[pa.Array]:
    """Nothing where there is none: -1 is the last of the names."""
    names = [f',"promotion_id":"p{n}"' for n in range(int(events.promotion.max(initial=-1)) + 1)]
    return [pa.array([*names, ""], pa.string()).take(pa.array(events.promotion % (len(names) + 1)))]


def _topic(events: Events) -> list[pa.Array]:
    return [',"topic":"', pa.array(TOPICS).take(pa.array(events.topic)), '"']


def _campaign(events: Events) -> list[pa.Array]:
    number = pa.array(events.campaign).cast(pa.string())
    return [',"campaign_id":"k', number, '","arm":"', ARMS.take(pa.array(events.arm)), '"']


def _position(events: Events) -> list[pa.Array]:
    return [',"position":', pa.array(events.position).cast(pa.string())]


def _propensity(events: Events) -> list[pa.Array]:
    """Millionths as 0.125000."""
    whole, rest = (pa.array(each).cast(pa.string()) for each in np.divmod(events.chance, MILLIONTHS))
    return [',"propensity":', whole, ".", pc.utf8_lpad(rest, 6, "0")]


Field = Callable[[Events], list[pa.Array]]
FIELDS: dict[int, tuple[Field, ...]] = {
    VIEW: (_items, _price, _promotion),
    CART: (_items, _price, _quantity, _promotion),
    PURCHASE: (_items, _price, _quantity, _amount, _promotion),
    IMPRESSION: (_items, _position, _propensity),
    CLICK: (_items, _position),
    SUPPORT: (_topic,),
    CAMPAIGN_SEND: (_campaign,),
}
"""What a record of each type has behind event_id, type, time and visitor_id."""


def _of_one_type(head: list[pa.Array], events: Events, fields: tuple[Field, ...]) -> pa.Array:
    event_id, kind, time, visitor = head
    parts = [
        '{"event_id":"',
        event_id,
        '","type":"',
        kind,
        '","time":"',
        time,
        '","visitor_id":"',
        visitor,
        '"',
    ]
    parts += [part for field in fields for part in field(events)]
    return pc.binary_join_element_wise(*(_part(part) for part in [*parts, "}\n", ""]))


def _part(part: pa.Array | str) -> pa.Array | pa.Scalar:
    return pa.scalar(part) if isinstance(part, str) else part


def _spoilt(lines: pa.StringArray, kind: Ints) -> pa.StringArray:
    """The lines, those that are to be no JSON cut short or left blank."""
    cut, blank = np.flatnonzero(kind == BROKEN_JSON), np.flatnonzero(kind == BLANK_LINE)
    if not len(cut) + len(blank):
        return lines
    broken = pc.binary_join_element_wise(
        pc.utf8_slice_codeunits(lines.take(pa.array(cut)), 0, BROKEN_AFTER), pa.scalar("\n"), pa.scalar("")
    )
    place = np.arange(len(lines))
    place[cut] = len(lines) + np.arange(len(cut))
    place[blank] = len(lines) + len(cut)
    return pa.concat_arrays([lines, broken, pa.array(["\n"])]).take(pa.array(place))


def _dated(time: pa.StringArray, kind: Ints) -> pa.StringArray:
    for which, text in DATES.items():
        time = _unless(kind == which, time, text)
    return time


def _unless(spoilt: NDArray[np.bool_], column: pa.StringArray, text: str) -> pa.StringArray:
    """The column with `text` where it is spoilt."""
    return pc.if_else(pa.array(spoilt), text, column) if spoilt.any() else column


def _strings(text: NDArray[np.uint8]) -> pa.StringArray:
    """Rows of letters, all of one length, as strings."""
    ends = np.arange(len(text) + 1, dtype=np.int32) * text.shape[1]
    content = np.ascontiguousarray(text)
    return pa.Array.from_buffers(pa.string(), len(text), [None, pa.py_buffer(ends), pa.py_buffer(content)])


def _letters(texts: "NDArray[np.str_] | list[str]", length: int) -> NDArray[np.uint8]:
    """(texts, length)"""
    return np.array(texts, f"S{length}").view(np.uint8).reshape(-1, length)


CLOCK = _letters([f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in range(86_400)], 8)
THOUSAND = _letters([f"{n:03}" for n in range(1000)], 3)
BYTES = _letters([f"{n:02x}" for n in range(256)], 2)
HUNDRED = pa.array([f"{n:02}" for n in range(100)])
