"""Groups of users from a lake and an encoder: two camps, who buy different things for different money."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from conf.schema import Model, Task
from features.items import ITEMS
from features.lake import Lake
from features.user_groups import USER_GROUPS
from jobs.group_users import group_users, with_vectors
from jobs.job import InputError
from models.export import export
from models.next_item import NextItemModel
from models.registry import CHALLENGER, connect
from models.warm_start import encoders_of
from tests.jobs.nights import night, shop
from tests.shop import line, rows_of, write_log

pytestmark = pytest.mark.long  # two nights and their groups

FIRST, SECOND = "2026-11-10", "2026-11-11"
CAMPS = {"dairy": ["milk", "cream", "brie"], "drinks": ["tea", "gin", "beer"]}
MONEY = {"dairy": 10.0, "drinks": 1.0}
USERS = 24
SETTINGS = ["groups.least=2", "groups.most=2", "groups.horizon_days=3"]


def purchases(days: range) -> list[dict]:
    """Every second day each user takes an item of their camp."""
    return [
        line(
            f"{camp}-{user}",
            f"2026-11-{day:02}T10:{user:02}:00Z",
            f"{camp}-{user}-{day}",
            item_id=items[(user + day) % 3],
            amount=MONEY[camp] + user / 10,
        )
        for camp, items in CAMPS.items()
        for user in range(USERS // 2)
        for day in days
        if (user + day) % 2
    ]


def register(conf, lake, folder, task):
    """An encoder whose item vectors point the way of their camp, and of that what is before 2026-11-05."""
    known = lake.read(ITEMS).orderBy("item_index").toPandas()
    size = int(known["item_index"].max()) + 1
    counts = np.zeros(size, np.int64)
    counts[known["item_index"]] = 5
    model = NextItemModel(
        Model(name="sasrec", width=8, blocks=1),
        Task(event_types=["purchase"], length=16, positions=8),
        counts,
        3,
    )
    table = np.zeros((size, 8), np.float32)
    for index, item in zip(known["item_index"], known["item_id"], strict=True):
        table[index, 0 if item in CAMPS["dairy"] else 4] = 1
    model.vectors.table.assign(table)
    words = {name: known[name].tolist() for name in ("item_index", "item_id")}
    export(model, words | {"category": [None] * len(known)}, folder / task, 3)
    registry = connect(conf.registry, conf.artifacts)
    with registry.run("sasrec") as run:
        tags = {"model": "sasrec", "kind": "encoder", "as_of": "2026-11-05T00:00:00+00:00"}
        version = registry.register(run, task, folder / task, tags)
    return registry, version


@pytest.fixture(scope="module")
def told(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    (folder / "raw" / "items").mkdir(parents=True)
    catalogue = [{"item_id": item, "category": camp} for camp, items in CAMPS.items() for item in items]
    (folder / "raw" / "items" / "catalogue.json").write_text("".join(json.dumps(x) + "\n" for x in catalogue))
    write_log(folder / "raw", FIRST, *purchases(range(1, 11)))
    found, refused = {}, ""
    for ds in (FIRST, SECOND):
        if ds == SECOND:
            write_log(folder / "raw", SECOND, *purchases(range(11, 12)))
        conf = shop(folder, ds, f"report={folder / ds}", *SETTINGS)
        lake = Lake(spark, conf.lake)
        night(spark, conf)
        if ds == FIRST:
            with pytest.raises(InputError) as error:
                group_users(conf, lake)
            refused = str(error.value)
            registry, encoder = register(conf, lake, folder, encoders_of("next_item"))
            chosen = [with_vectors(registry, "next_item")]
            _, version = register(conf, lake, folder, "next_item")
            registry.set_alias(version, CHALLENGER)
            chosen.append(with_vectors(registry, "next_item"))
            names = [(each.task, each.version) for each in chosen]
            expected = [(each.task, each.version) for each in (encoder, version)]
            assert names == expected, "the pretrained one where there is no other"
        found[ds] = (group_users(conf, lake), json.loads((folder / ds / "segments.json").read_text()))
    return SimpleNamespace(found=found, lake=lake, refused=refused, conf=conf)


def test_without_an_encoder_in_the_registry_it_says_so(told):
    assert "neither champion nor challenger of next_item has vectors of users" in told.refused


def test_everybody_is_in_the_group_of_the_camp_and_it_is_named_by_what_it_buys(told):
    rows = told.lake.read(USER_GROUPS).where(f"ds = '{FIRST}'")
    groups = {camp: {r.user_group for r in rows.collect() if r.user_id.startswith(camp)} for camp in CAMPS}
    assert groups["dairy"].isdisjoint(groups["drinks"]) and all(len(each) == 1 for each in groups.values())
    names = {r.user_id.split("-")[0]: r["name"] for r in rows.collect()}
    assert names == {"dairy": "dairy x2.0", "drinks": "drinks x2.0"}
    assert rows.count() == USERS
    facts, page = told.found[FIRST]
    assert (facts["groups"], facts["users"], facts["adjusted_rand"]) == (2, USERS, None)
    assert sum(each["users"] for each in page["groups"]) == USERS


def test_groups_tell_of_the_money_that_was_spent_after(told):
    _, page = told.found[FIRST]
    assert 0.6 < page["explained"] < 1  # in three days some come once and others twice, whatever their camp
    assert 0 < page["measured_on"] < USERS
    assert page["difference"]["low"] <= page["difference"]["mean"] <= page["difference"]["high"]


def test_a_group_keeps_its_number_from_night_to_night(told):
    facts, _ = told.found[SECOND]
    assert facts["adjusted_rand"] == 1
    rows = rows_of(told.lake.read(USER_GROUPS), "user_id", "user_group")
    assert len(rows) == 2 * USERS and len(set(rows)) == USERS


def test_a_night_that_is_grouped_again_is_the_same(told):
    before = rows_of(told.lake.read(USER_GROUPS))
    group_users(told.conf, told.lake)
    assert rows_of(told.lake.read(USER_GROUPS)) == before
