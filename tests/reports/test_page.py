"""What a page shows of a run, and that nothing in the facts can break it or get out of it."""

import copy
import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from reports import render
from reports.causes import causes
from reports.flow import HAIR, UPRIGHT, WIDE, flow
from reports.page import pairs
from reports.svg import ticks
from tests.reports.sample_facts import FACTS

SECTIONS = [
    "flow",
    "sessions",
    "training",
    "metrics",
    "tasks",
    "few_labels",
    "users",
    "fairness",
    "promotions",
    "nights",
    "quality",
    "seconds",
]
HOSTILE = "</style></title><script>alert('x')</script><img src=x onerror=\"x\" y='z'>{{ 7 * 7 }}&"


class Page(HTMLParser):
    """What a browser would make of a page: its tags, attributes and the text of each section."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.section, self.text = "top", {"top": ""}
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "section":
            self.section = dict(attrs)["id"]
            self.text[self.section] = ""

    def handle_data(self, data):
        self.text[self.section] += re.sub(r"\s+", " ", data)


def read(facts) -> Page:
    return Page(render(facts))


def hostile(facts):
    """The same facts with every text, and every name that is not ours, replaced."""
    if isinstance(facts, dict):
        return {key: hostile(value) for key, value in facts.items()}
    if isinstance(facts, list | tuple):
        return [hostile(value) for value in facts]
    return HOSTILE if isinstance(facts, str) else facts


def paths(facts, path=()):
    """Every place in the facts; of the entries of a list the first."""
    if path:
        yield path
    inside = (
        facts.items() if isinstance(facts, dict) else enumerate(facts[:1]) if isinstance(facts, list) else ()
    )
    for key, value in inside:
        yield from paths(value, (*path, key))


def replaced(facts, path, value):
    changed = copy.deepcopy(facts)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def test_a_whole_run_leaves_no_part_empty():
    assert "not run" not in " ".join(read(FACTS).text.values())


def test_without_facts_every_section_says_not_run():
    text = read({}).text
    assert [section for section in SECTIONS if "not run" not in text[section]] == []


@pytest.mark.parametrize("part", SECTIONS[1:])
def test_a_part_that_is_missing_alone_says_not_run(part):
    text = read({key: value for key, value in FACTS.items() if key != part}).text
    assert [section for section in SECTIONS if "not run" in text[section]] == [part]


@pytest.mark.parametrize("value", [None, [], {}, "?", math.nan, -1, True], ids=repr)
def test_no_value_in_any_place_is_an_error(value):
    for path in paths(FACTS):
        part = {path[0]: FACTS[path[0]]}
        assert "</html>" in render(replaced(part, path, value)), path


def test_what_went_through_json_makes_the_same_page():
    assert render(json.loads(json.dumps(FACTS))) == render(FACTS)


def test_hostile_text_stays_text():
    facts = hostile(FACTS) | {"quarantine_reasons": {HOSTILE: 3}, "seconds": {HOSTILE: 4.0}}
    found, honest = read(facts), read(FACTS)
    assert found.tags == honest.tags
    assert found.attributes == honest.attributes
    assert all(
        HOSTILE in re.sub(" +", " ", found.text[part])
        for part in ("users", "promotions", "seconds", "metrics")
    )


def test_the_page_fetches_nothing():
    page = render(FACTS)
    assert re.findall(r"https?:|//\w|\bsrc\b|\bhref\b|url\(|@import", page) == []
    assert not Page(page).tags & {"script", "link", "iframe", "img", "object"}


def test_every_drawing_is_well_formed_and_says_what_it_shows():
    drawings = re.findall(r"<svg viewBox.*?</svg>", render(FACTS), re.DOTALL)
    told = [
        ElementTree.fromstring(drawing).get("aria-label") for drawing in drawings if "aria-label" in drawing
    ]
    assert len(told) == 2 + 4 + 2 * len(FACTS["training"]) + 2 * len(FACTS["metrics"]) + len(FACTS["users"])
    assert all(told)


def test_the_header_says_what_when_where_and_how_long():
    top = read(FACTS).text["top"]
    for said in (
        "A week in the life",
        "24 Nov 2026, 22:40 UTC",
        "2 cores",
        "make demo",
        "143,212",
        "9 min 22 s",
    ):
        assert said in top


def test_wins_and_losses_are_said_in_words():
    text = read(FACTS).text["metrics"]
    assert "gru is below frequency_decay by 0.082 (0.073 to 0.091) in NDCG@10" in text
    assert "sasrec cannot be told from frequency_decay: −0.005 (−0.014 to +0.004) in NDCG@10" in text


def test_expectations_say_what_was_seen_what_was_expected_and_how_they_stand():
    page = render(FACTS)
    text = re.sub(" +", " ", Page(page).text["quality"])
    assert "1 of 2 passed" in text
    assert "money of an event drift_amount0.123at most 0.124,886warn" in text
    assert "0.1310.1 to 528passed" in text
    assert "item_index_least–at least 30nothing to judge" in text
    assert page.count('class="breach"') == 1 + 1, "of a guard"
    assert "in spite of" not in text


def test_predictions_say_which_are_new():
    one = {
        "user_id": "900",
        "baskets": [{"date": "2017-12-29", "items": [{"item_id": "1", "words": "Milk"}]}],
        "predictions": [
            {"rank": 1, "item_id": "1", "words": "Milk", "bought_before": True},
            {"rank": 2, "item_id": "2", "words": None, "bought_before": False},
        ],
    }
    text = read({"users": [one]}).text["users"]
    assert "Next, best first Milk 2 new 1 of 2 were bought before." in re.sub(" +", " ", text)


def test_groups_say_how_far_they_are_from_the_rest_and_which_gaps_are_told_from_none():
    page = render(FACTS)
    text = re.sub(" +", " ", Page(page).text["fairness"])
    assert "new2400.1410.121 to 0.161−0.090 −0.110 to −0.070" in text.replace("0.141 0.121", "0.1410.121")
    assert "<b>−0.090</b>" in page and "<b>−0.008</b>" not in page
    assert "gap new0.031 0.024 to 0.04–0.02breached" in text
    assert "Gini 0.874" in text and "9,012 of 60,000 items" in text and "0.123 of what is shown" in text
    assert (
        read({"fairness": {"tasks": [], "scores": [], "exposure": {}}}).text["fairness"].count("not run") == 1
    )


def test_tasks_say_of_each_metric_whether_the_model_or_its_baseline_is_better():
    page = render(FACTS)
    text = re.sub(" +", " ", Page(page).text["tasks"])
    assert "churn 2,463 usersROC-AUC0.836 naive0.885 sasrec+0.049 +0.035 to +0.063better" in text
    assert "log loss0.351 naive0.36 sasrec+0.009 +0.002 to +0.014worse" in text
    assert "not told apart" in text and "<b>+0.049</b>" in page and "<b>+0.180</b>" not in page
    assert (
        "spend is not told apart from its baseline by MAE; what was tried is in docs/tasks.md. It loses"
        in text
    )
    assert "exchange an input: what the baseline knows 101, history 1.25, order_recency 0.41." in text
    assert "churn loses where users exchange an input: history 0.2, recency 0.04." in text


def test_few_labels_have_a_row_a_share_and_a_column_a_beginning():
    text = re.sub(" +", " ", Page(render(FACTS)).text["few_labels"])
    assert "churn sasrec, pretrained on next_item" in text
    assert "labelsuserspositivesseedsfrom scratchpretrained, encoder frozen" in text
    assert "1%2545 0.61000.5500 to 0.67000.71000.6900 to 0.7300" in text
    assert "100%2,4631905 0.8400–" in text, "what is not there yet is a dash"
    assert "not run" in Page(render({**FACTS, "few_labels": []})).text["few_labels"]


def event(date: str, words: str, attribution: float | None, change: float | None) -> dict:
    return {"date": date, "words": words, "attribution": attribution, "change": change}


def test_where_a_prediction_comes_from_is_a_bar_a_day_and_items_by_what_they_come_to():
    events = [
        event("2017-11-01", "Milk", 0.5, None),
        event("2017-11-01", "Jam", -0.2, 0.3),
        event("2017-12-01", "Milk", 0.25, 9.0),
    ]
    found = causes(events)
    assert found["by"] == "by integrated gradients"
    assert found["items"] == [("Milk", 0.75, 2, 100), ("Jam", -0.2, 1, pytest.approx(100 * 0.2 / 0.75))]
    drawn = ElementTree.fromstring(found["timeline"])
    bars = [bar for bar in drawn.iter("rect")]
    assert [title.text for title in drawn.iter("title")] == ["1 Nov 2017: +0.300", "1 Dec 2017: +0.250"]
    heights, places = ([float(bar.get(name, "")) for bar in bars] for name in ("height", "x"))
    assert heights[1] / heights[0] == pytest.approx(0.25 / 0.3, abs=0.01)
    assert places[0] == 0 < places[1]
    text = read({"users": [{"user_id": "1", "explained": events}]}).text["users"]
    assert "Milk 2 times" in re.sub(" +", " ", text)


def test_a_model_without_vectors_is_told_by_what_is_lost_and_what_is_not_known_is_left_out():
    events = [event("2017-11-01", "Milk", None, None), event("2017-11-02", "Jam", None, -1.0)]
    found = causes(events)
    assert found["by"] == "by what the score loses without each"
    assert found["items"] == [("Jam", -1, 1, 100)]
    assert [bar.get("class") for bar in ElementTree.fromstring(found["timeline"]).iter("rect")] == [
        "bar less"
    ]
    assert causes([]) == causes([event("2017-11-01", "Milk", 0.0, None)]) == {}
    assert "Where the first" not in render({"users": [{"user_id": "1", "explained": []}]})


def test_a_long_basket_is_cut_and_says_so():
    items = [{"item_id": str(n), "words": f"item {n}"} for n in range(9)]
    text = read({"users": [{"user_id": "1", "baskets": [{"date": "2017-12-29", "items": items}]}]}).text[
        "users"
    ]
    assert "item 5" in text and "item 6" not in text and "and 3 more" in text


@pytest.mark.parametrize("layout", [WIDE, UPRIGHT], ids=["wide", "upright"])
def test_the_widths_of_the_flow_are_to_scale(layout):
    counts = {"read": 1000, "duplicates": 250, "quarantined": 0, "events": 750, "active": 740, "passive": 10}
    drawn = ElementTree.fromstring(flow(counts, layout))
    across = "width" if layout.upright else "height"
    nodes = [float(node.get(across, "0")) for node in drawn.iter("rect")]
    assert nodes == pytest.approx([layout.band * share for share in (1, 0.75, 0.74)], abs=0.06)
    assert len([path for path in drawn.iter("path") if path.get("class") == "ribbon aside"]) == 2


def test_what_is_there_is_never_thinner_than_a_hair():
    drawn = ElementTree.fromstring(flow({"read": 10_000_000, "events": 1}, WIDE))
    assert [float(node.get("height", "0")) for node in drawn.iter("rect")] == [WIDE.band, HAIR]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 0.233, [0, 0.05, 0.1, 0.15, 0.2, 0.25]),
        (4.15, 5.7, [4, 4.5, 5, 5.5, 6]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 3, [3, 4, 5, 6]),
    ],
)
def test_ticks_are_round_and_hold_the_values(low, high, expected):
    assert ticks(low, high, wanted=4 if low else 5) == expected


def test_repeated_and_first_time_items_have_columns_of_their_own_where_they_were_judged():
    facts = copy.deepcopy(FACTS)
    for number, model in enumerate(facts["metrics"][0]["models"]):
        for part in ("repeated", "first"):
            values = {"mean": 0.3 + number / 8, "low": 0.2, "high": 0.9}
            model["values"] |= {f"ndcg@10/{part}": values, f"recall@10/{part}": values}
    text = Page(render(facts)).text["metrics"]
    for name in ("NDCG, bought before", "Recall, bought before", "NDCG, first time", "Recall, first time"):
        assert text.count(name) == 1


def test_each_encoder_stands_against_each_baseline_in_all_and_apart_by_whether_an_item_was_bought_before():
    page = read(FACTS)
    told = page.text["metrics"]
    assert "Each encoder less each baseline, on the same users" in told
    row = told.partition("sasrec v5 frequency_decay v3")[2].replace(" ", "")
    assert row.startswith("−0.0050−0.0090−0.0010−0.0075−0.0115−0.0035−0.0001−0.0040+0.0040")
    assert pairs(FACTS["metrics"][0]["models"])[-1]["differences"][0][2][1] == "level"
    before = copy.deepcopy(FACTS)
    for question in before["metrics"]:
        for model in question["models"]:
            model.pop("against", None)
    assert "Each encoder less each baseline" not in read(before).text["metrics"], "of an earlier release"
