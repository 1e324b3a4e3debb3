"""Numbers and verdicts as a page writes them."""

import pytest

from reports import words
from reports.facts import DURATION_MINUTES, EVENTS_PER_SESSION, GAP_HOURS, GAP_LABELS, binned


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (4.2, "4.2 s"),
        (59.97, "1 min 00 s"),
        (75, "1 min 15 s"),
        (4020, "1 h 07 min"),
        (None, "–"),
    ],
)
def test_durations(seconds, said):
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("part", "whole", "said"), [(3, 8, "38%"), (1, 1000, "<1%"), (0, 5, "0"), (0, 0, "0"), (5, 5, "100%")]
)
def test_shares(part, whole, said):
    assert words.share(part, whole) == said


def test_numbers_have_a_true_minus_and_nothing_is_a_dash():
    assert words.signed(-0.0819) == "−0.082"
    assert words.signed(0.004) == "+0.004"
    assert [words.count(value) for value in (1477998, None, float("nan"), "7", True)] == [
        "1,477,998",
        *["–"] * 4,
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (12345.6, "12,346"),
        (999.4, "999"),
        (-0.012345, "−0.0123"),
        (0.0, "0"),
        (1e6, "1,000,000"),
        (None, "–"),
    ],
)
def test_values_of_any_size_have_three_digits(value, said):
    assert words.value(value) == said


def test_limits_in_words():
    assert words.limits({"lower": 0.1, "upper": 5}) == "0.1 to 5"
    assert words.limits({"lower": None, "upper": 1e6}) == "at most 1,000,000"
    assert words.limits({"lower": 3, "upper": None}) == "at least 3"


def test_days_and_minutes():
    assert words.day("2017-12-01T00:00:00Z") == "1 Dec 2017"
    assert words.minute("2017-12-01T10:30:00Z") == "1 Dec 2017, 10:30"
    assert (words.day("soon"), words.day(None)) == ("soon", "–")


def judged(difference: float, low: float | None, high: float | None) -> dict:
    return {
        "models": [
            {"model": "popularity", "kind": "baseline", "values": {"ndcg@10": {"mean": 0.1}}},
            {"model": "decay", "kind": "baseline", "values": {"ndcg@10": {"mean": 0.2}}},
            {
                "model": "gru",
                "kind": "encoder",
                "against_best_baseline": {"ndcg@10": {"difference": difference, "low": low, "high": high}},
            },
        ]
    }


@pytest.mark.parametrize(
    ("difference", "low", "high", "standing", "what"),
    [
        (-0.08, -0.09, -0.07, "below", "is below decay by 0.080 (0.070 to 0.090)"),
        (0.08, 0.07, 0.09, "above", "is above decay by 0.080 (0.070 to 0.090)"),
        (0.01, -0.01, 0.03, "level", "cannot be told from decay: +0.010 (−0.010 to +0.030)"),
        (0.01, 0.0, 0.02, "level", "cannot be told from decay: +0.010 (0.000 to +0.020)"),
        (-0.08, None, None, "below", "is below decay by 0.080"),
    ],
)
def test_a_verdict_names_the_best_baseline_and_the_interval(difference, low, high, standing, what):
    [verdict] = words.verdicts(judged(difference, low, high), ("ndcg@10", "recall@10"))
    assert verdict == {"standing": standing, "name": "gru", "what": what, "metric": "NDCG@10"}


def test_bins_of_whole_things_and_of_times():
    assert binned(EVENTS_PER_SESSION, counting=True)[2:6] == ["3", "4–5", "6–7", "8–11"]
    assert binned(DURATION_MINUTES)[-3:] == ["20–30", "30–60", "60+"]


def test_the_labels_of_gaps_are_their_edges():
    fractions = {"⅜": 0.375, "¾": 0.75, "1½": 1.5}
    read = [
        (fractions.get(n) or float(n)) * {"h": 1, "d": 24}[unit] for n, unit in map(str.split, GAP_LABELS)
    ]
    assert tuple(read) == GAP_HOURS


def test_a_keyed_id_is_told_by_its_first_digits_and_a_plain_one_as_it_is():
    assert words.short("5bdcc146bf60754e6a042426089575c7") == "5bdcc146"
    assert words.short("annabel") == "annabel"
