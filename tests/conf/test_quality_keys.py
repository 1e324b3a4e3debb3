"""Expectations as configuration: what a shop may say, and what makes no sense."""

import pytest
from hydra.core.config_store import ConfigStore

from conf.load import ConfigurationError, load


def test_a_shop_adds_its_own_and_changes_a_limit_in_one_yaml():
    free = {
        "table": "events",
        "value": "count_if(amount = 0)",
        "upper": 0,
        "severity": "stop",
        "meaning": "free events",
    }
    minutes = {
        "of": "sessions",
        "value": "timestampdiff(MINUTE, start_ts, end_ts)",
        "meaning": "minutes of a session",
    }
    own = {
        "defaults": ["default"],
        "expect": {"amount_most": {"upper": 50}, "no_gifts": free},
        "drift": {"minutes": minutes},
    }
    ConfigStore.instance().store(group="quality", name="own", node=own)  # as conf/quality/own.yaml
    said = load(["quality=own"]).quality
    assert said.expect["amount_most"].upper == 50
    assert said.expect["amount_most"].table == "events", "the rest stays"
    assert (said.expect["no_gifts"].severity, said.expect["no_gifts"].lower) == ("stop", None)
    assert said.drift["minutes"].upper == 0.25
    assert "event_ids_repeated" in said.expect


def test_an_expectation_is_left_out_by_its_name():
    assert "amount_most" not in load(["~quality.expect.amount_most"]).quality.expect


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("quality.expect.amount_most.severity=fail", r"severity must be one of warn, stop, got 'fail'"),
        ("quality.expect.amount_most.table=prices", r"table must be one of ingested_files, events, .* got 'prices'"),
        ("quality.expect.amount_most.upper=null", r"^quality.expect.amount_most must have a lower or an upper"),
        ("quality.expect.amount_most.lower=2e6", r"lower must be <= .*upper, got 2e\+06 and 1e\+06"),
        ("quality.drift.hour.of=users", r"^quality.drift.hour.of must be one of events, sessions, got 'users'"),
        ("quality.drift.hour.upper=0", r"^quality.drift.hour.upper must be > 0, got 0"),
        ("quality.reference_days=0", r"^quality.reference_days must be > 0"),
        ("quality.expect.amount_mst.upper=3", r"there is no key 'quality.expect.amount_mst.upper'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_key(override, words):
    with pytest.raises(ConfigurationError, match=words):
        load([override])
