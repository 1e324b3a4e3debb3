"""The truth about a campaign, from the mark that a simulated shop leaves beside its logs."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from conf.load import load
from features.world.behaviour import arms_of
from features.world.users import user_ids
from jobs.job import InputError
from jobs.simulate import MARK, description, shop_of
from jobs.true_effects import true_effects
from tests.features.world.worlds import everyone

SECOND = datetime(2026, 1, 9, tzinfo=UTC)  # campaigns are sent on the 2nd, 9th, …
SHOP = [
    "simulate.users=60",
    "simulate.days=16",
    "simulate.campaign_every_days=7",
    "simulate.campaign_days=6",
    "simulate.bots=1",
]


@pytest.fixture
def conf(tmp_path):
    conf = load([*SHOP, "source=simulated", f"raw={tmp_path}"])
    (tmp_path / MARK).write_text(json.dumps(description(shop_of(conf))))
    return load(["source=simulated", f"raw={tmp_path}"])  # the mark alone says how the shop was made


def test_it_has_everybody_in_the_campaign_of_the_day_in_either_arm(conf):
    world = shop_of(load([*SHOP, "source=simulated"]))
    users = everyone(world)
    found = true_effects(conf, SECOND, 7)
    assert found is not None
    assert found["user_id"].tolist() == user_ids(users.index[arms_of(world, users, 1) > 0])
    assert list(found.columns) == ["user_id", "buys", "orders", "spend"]
    assert found["orders"].max() > 0


def test_there_is_none_where_no_campaign_is_sent_that_day_or_no_shop_is_told(conf, tmp_path):
    assert true_effects(conf, SECOND.replace(day=10), 7) is None
    assert true_effects(replace(conf, raw=str(tmp_path / "elsewhere")), SECOND, 7) is None


def test_a_shop_of_other_rules_is_refused(conf):
    others = replace(conf, features=replace(conf.features, session_gap_minutes=20))
    with pytest.raises(InputError, match="holds a shop of another release, or of other `features`"):
        true_effects(others, SECOND, 7)
