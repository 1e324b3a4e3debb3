"""What the page about nights shows: breaches first, and nothing that the rows do not say."""

import random
import re
from datetime import date
from xml.etree import ElementTree

from features.monitoring import REALISED, Measure
from reports.monitor import render
from tests.reports.sample_nights import nights
from tests.reports.test_page import HOSTILE, Page

ROWS = nights()


def text_of(page: str, section: str) -> str:
    return re.sub(" +", " ", Page(page).text[section])


def test_a_breach_is_named_with_what_was_seen_and_expected():
    page = render("next_item", ROWS, "challenger")
    assert re.search(r"2 of \d+ measures of next item are outside of their limits", text_of(page, "top"))
    breaches = text_of(page, "breaches")
    assert re.search(r"drift: hour0\.409, expected at most 0\.25", breaches)
    assert re.search(r"volume: events0\.292, expected 0\.4 to 2\.5", breaches)


def test_the_shadow_stands_beside_the_champion_with_its_nights():
    shadow = text_of(render("next_item", ROWS, "challenger"), "shadow")
    assert "sasrec v5 6 of 7 nights" in shadow
    assert re.search(r"NDCG@10all2,4000\.2\d+0\.2\d+\+0\.01", shadow)
    assert "shadow" not in Page(render("next_item", nights(20))).text, "there was none"


def test_the_order_of_rows_does_not_matter_and_no_clock_is_in_it():
    mixed = random.Random(7).sample(ROWS, len(ROWS))
    assert render("next_item", mixed) == render("next_item", ROWS)


def test_nights_of_which_nothing_can_be_judged_say_so():
    assert "No night was watched yet" in text_of(render("next_item", []), "top")
    first = render(
        "next_item", [row | {"passed": None, "value": None, "expected": None} for row in nights(1)]
    )
    assert "A night of next item with nothing to judge yet" in text_of(first, "top")
    assert "too few rows, or no nights before this one" in text_of(first, "breaches")


def test_the_page_is_one_file_whose_drawings_are_well_formed_and_hostile_names_stay_text():
    rows = [
        row | {"meaning": HOSTILE, "model": HOSTILE, "segment": row["segment"].replace("new", HOSTILE)}
        for row in ROWS
    ]
    page, honest = render("next_item", rows, HOSTILE), render("next_item", ROWS, "challenger")
    assert re.findall(r"https?:|//\w|\bsrc\b|\bhref\b|url\(|@import", honest) == []
    assert Page(page).tags == Page(honest).tags
    for drawing in re.findall(r"<svg viewBox.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_of_a_task_with_labels_its_own_metrics_are_shown_and_one_that_is_none_has_a_dash():
    task, ds = "churn", date(2026, 11, 23)
    author = {"model": "gru", "model_version": 2}
    told = [("roc_auc", "all", 0.875), ("log_loss", "all", 0.312), ("predicted", "all", 0.99)]
    told += [
        ("roc_auc", "users: new", None),
        ("log_loss", "users: new", 0.4),
        ("predicted", "users: new", 1.0),
    ]
    rows = [
        Measure(
            ds, task, f"realised_{name}", segment, REALISED, "as told", value, rows=90, **author
        )._asdict()
        for name, segment, value in told
    ]
    page = render(task, rows)
    shown = text_of(page, "realised")
    assert "had a predictionROC-AUClog loss" in shown and "HR@10" not in shown
    assert "all users90 0.9900.8750.312" in shown
    assert "users: new90 1.000–0.400" in shown
    assert "0.875realised ROC-AUC" in text_of(page, "top")
