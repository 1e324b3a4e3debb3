"""docs/scale.md is what its command makes, and of the limits the one that breaks first stands first."""

import json

import pytest

from benchmarks.scale import ASSUMED, FACTS, HOUR, PAGE, SHOPS, limits, needs, page, short


def test_the_page_is_what_the_command_makes():
    assert PAGE.read_text() == page(), "run `make scale`"


def test_each_constant_says_its_unit_and_the_command_it_came_from():
    facts = json.loads(FACTS.read_text())
    for name, fact in facts["constants"].items():
        assert fact["value"] > 0, name
        assert fact["unit"], name
        assert fact["command"].startswith(("make ", "python -m ")), name
    assert facts["machine"]["processor"]


def test_what_is_needed_grows_with_the_shop():
    constants = {name: each["value"] for name, each in json.loads(FACTS.read_text())["constants"].items()}
    large, larger = (needs(shop, constants) for shop in SHOPS)
    for name in ("ingest", "sessionize", "sequence", "train", "events", "sequences", "steps"):
        assert larger[name] == pytest.approx(100 * large[name]), name
    assert larger["vectors"] == 10 * large["vectors"]
    assert large["ingest"] == pytest.approx(100e6 * constants["ingest_cpu_an_event"])
    shares = [part.share for part in limits(SHOPS[0], large)]
    assert shares == sorted(shares, reverse=True)


def test_hours_of_the_night_are_core_seconds_by_the_cores_at_work():
    constants = {name: each["value"] for name, each in json.loads(FACTS.read_text())["constants"].items()}
    need = needs(SHOPS[0], constants)
    night = next(part for part in limits(SHOPS[0], need) if part.part == "cores of the night")
    at_work = ASSUMED["executors"].value * ASSUMED["cores"].value * ASSUMED["cores_used"].value
    total = need["ingest"] + need["sessionize"] + need["sequence"]
    assert night.need == pytest.approx(total / at_work / HOUR)


@pytest.mark.parametrize(
    ("value", "shown"), [(1234567, "1,230,000"), (0.012345, "0.0123"), (5.0, "5"), (1e-6, "0.000001")]
)
def test_numbers_have_three_digits(value, shown):
    assert short(value) == shown
