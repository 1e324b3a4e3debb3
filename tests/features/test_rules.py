"""Files of rules: what they mean, and what is refused."""

from datetime import date

import pytest

from features.rules import RulesError, parsed

YAML = """
- {rule_id: r1, kind: boost, category: tea, factor: 2, starts: 2026-11-02, ends: 2026-11-08, reason: tea week}
- {rule_id: r2, kind: block, item_id: 17, starts: '2026-11-02', reason: called back}
"""
CSV = """rule_id,kind,item_id,category,factor,starts,ends,reason
r1,boost,,tea,2,2026-11-02,2026-11-08,tea week
r2,block,17,,,2026-11-02,,called back
"""


@pytest.mark.parametrize(("text", "is_csv"), [(YAML, False), (CSV, True)])
def test_yaml_and_csv_say_the_same(text, is_csv):
    first, second = parsed(text, is_csv)
    assert tuple(first.values()) == (
        *("r1", "boost", None, "tea", 2.0),
        *(date(2026, 11, 2), date(2026, 11, 8), "tea week"),
    )
    assert tuple(second.values()) == ("r2", "block", "17", None, None, date(2026, 11, 2), None, "called back")


def test_an_empty_file_has_no_rules():
    assert parsed("", False) == parsed("rule_id,kind\n", True) == []


GOOD = {
    "rule_id": "r",
    "kind": "boost",
    "item_id": "milk",
    "factor": "2",
    "starts": "2026-11-02",
    "reason": "why",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "hide"}, "kind is 'hide', expected boost or block"),
        ({"category": "dairy"}, "expected either item_id or category"),
        ({"item_id": ""}, "expected either item_id or category"),
        ({"factor": ""}, "a boost needs a factor, and nothing else has one"),
        ({"kind": "block"}, "a boost needs a factor, and nothing else has one"),
        ({"factor": "much"}, "factor is 'much', expected a number"),
        ({"factor": "0"}, "factor is 0.0, expected one above 0: to show none of it is a block"),
        ({"factor": "nan"}, "factor is nan, expected one above 0"),
        ({"starts": "2.11.2026"}, "starts is '2.11.2026', expected YYYY-MM-DD"),
        ({"ends": "2026-11-01"}, "ends is 2026-11-01, expected none before starts, 2026-11-02"),
        ({"reason": ""}, "reason is missing"),
        ({"until": "2026-11-03"}, "there is no 'until', expected rule_id, kind"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_with_its_number(change, said):
    rows = [GOOD, GOOD | {"rule_id": "other"} | change]
    names = list(dict.fromkeys([*GOOD, "category", "ends", *change]))
    text = "\n".join([",".join(names), *(",".join(row.get(name, "") for name in names) for row in rows)])
    with pytest.raises(RulesError, match=r"^rule 2: ") as refused:
        parsed(text, True)
    assert said in str(refused.value)


def test_ids_are_given_once_and_a_file_that_is_no_list_is_refused():
    row = ",".join(GOOD.values())
    with pytest.raises(RulesError, match="rule_id 'r' is there more than once"):
        parsed("\n".join([",".join(GOOD), row, row]), True)
    with pytest.raises(RulesError, match="the file holds dict, expected a list of mappings"):
        parsed("rules: []", False)
    with pytest.raises(RulesError, match="the file is no YAML"):
        parsed("[", False)
