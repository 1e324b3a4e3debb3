"""A log format of one's own as a file, and what its keys may not say."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from conf.load import ConfigurationError, load
from conf.schema import Source
from conf.sources import groups_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sources.md").read_text()
PLAIN = ROOT / "conf" / "source" / "plain.yaml"


def refusal(*overrides: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(overrides)
    return str(refused.value)


def test_a_source_may_be_a_yaml_file_wherever_it_lies(tmp_path):
    mine = tmp_path / "my shop.yaml"
    mine.write_text(
        PLAIN.read_text().replace("name: plain\n", "").replace("timezone: UTC", "timezone: Asia/Tokyo")
    )
    source = load([f"source={mine}", "source.user_id=visitor"]).source
    assert (source.name, source.timezone, source.user_id) == ("my shop", "Asia/Tokyo", "visitor")
    assert source.items.item_id == "item_id"
    assert load(["source=plain"]).source.timezone == "UTC", "the file is of that one command"


def test_the_page_shows_the_example_as_it_is_and_names_every_source():
    example = ROOT / "docs" / "example_source.yaml"
    shown = re.search(r"^```yaml\n(name: example\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown and yaml.safe_load(shown[1]) == yaml.safe_load(example.read_text())
    assert load([f"source={example}"]).source.name == "example"
    for path in PLAIN.parent.glob("*.yaml"):
        assert f"](../conf/source/{path.name}) |" in PAGE, path.name


def test_a_file_says_the_same_as_one_that_comes_along():
    own, plain = load([f"source={PLAIN}"]).source, load(["source=plain"]).source
    assert all(getattr(own, item.name) == getattr(plain, item.name) for item in fields(Source))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"source=\S+mine.yaml cannot be read: No such file"),
        ("name: [", r"source=\S+mine.yaml is no YAML: "),
        ("plain", r"mine.yaml must have keys as conf/source/plain.yaml has, got 'plain'"),
        ("user: ann", r"user"),
        ("time_unit: ms", r"source\.\w+ is missing"),
    ],
)
def test_a_file_that_is_no_source_is_refused_with_what_it_lacks(tmp_path, text, words):
    mine = tmp_path / "mine.yaml"
    if text is not None:
        mine.write_text(text)
    assert re.search(words, refusal(f"source={mine}"))


def test_a_source_without_types_of_events_would_refuse_everything_and_is_refused(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(re.sub(r"event_types:\n(  \w+: \w+\n)+", "event_types: {}\n", PLAIN.read_text()))
    assert refusal(f"source={mine}") == "source.event_types must name the types of events, got none"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("source.format=xml", "source.format must be one of json_lines, json, csv, tsv, parquet, regex, got 'xml'"),
        ("source.header=true", "source.header is for the formats csv and tsv, got it with json_lines"),
        ("source.items.quote=x", "source.items.quote is for the formats csv and tsv"),
        ("source.encoding=utf-16", "source.encoding must be one in which ASCII is itself, such as ISO-8859-1"),
        ("source.encoding=klingon", "got 'klingon'"),
        ("source.format=regex", "source.pattern and source.format=regex go together, got regex and None"),
        ("source.pattern=x", "source.pattern and source.format=regex go together, got json_lines and 'x'"),
        ("source.timezone=Berlin", "source.timezone must be a zone such as Europe/Berlin or an offset, got 'Berlin'"),
        ("source.time_unit=minutes", "source.time_unit must be one of s, ms, us, ns, got 'minutes'"),
    ],
)  # fmt: skip
def test_keys_that_make_no_sense_are_named_with_what_was_expected(override, words):
    assert words in refusal("source=plain", override)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("source.delimiter=", "source.delimiter must be a single character, got ''"),
        ("source.delimiter=ab", "source.delimiter must be a single character, got 'ab'"),
        ("source.quote=ab", "source.quote must be a single character, got 'ab'"),
    ],
)
def test_a_delimiter_is_one_character_and_a_quote_may_be_none(override, words):
    assert words in refusal("source=plain", "source.format=csv", override)
    assert load(["source=plain", "source.format=csv", "source.quote="]).source.quote == ""


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?<a>x", "source.pattern is no regular expression"),
        ("(a)", "source.pattern must name its groups as (?<name>…), got (a)"),
    ],
)
def test_a_pattern_names_its_groups(pattern, words):
    assert words in refusal("source=plain", "source.format=regex", f"source.pattern={pattern}")


def test_groups_count_in_the_order_in_which_they_open():
    assert groups_of(r"(?<a>x)(y)(?:z)(?<=z)(?<!y)(?<b>(z)?)\((?<c>.)") == (5, {"a": 1, "b": 3, "c": 5})
    assert load([r"source=plain", "source.timezone=+05:30"]).source.timezone == "+05:30"
