"""A selection of features on a shop in which some users leave: what has a say, what is written, what is refused."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from features.lake import Lake
from features.outcomes import outcomes, sampled
from features.relevance import Rows
from features.selection import load_selected
from features.sessions import SESSIONS, mark_sessions, to_sessions
from jobs.job import InputError
from jobs.select_features import Moments, candidates, check_tellable, select_features
from tests.jobs.nights import shop
from tests.shop import at, event, events, rows_of

GAP = timedelta(minutes=30)
DS = "2026-11-02"
NAMES = [
    "recency", "order_recency", "order_count_28d", "spend_28d", "price_median", "weekend_share", "view_to_cart", "peak_hour",
    "peak_weekday", "peak_time",
]  # fmt: skip
FEW = [
    f"selection.candidates=[{','.join(NAMES)}]",
    "selection.snapshots=1",
    "selection.trees=10",
    "promote.holdout_days=1",
]
CUT, TRAINING = at("00:00:00"), at("00:00:00") - timedelta(days=56)


def leaving(users: int) -> list[dict]:
    """Users who buy once a week or so, until most of them do so no more."""
    chance, rows = random.Random(3), []
    for user in range(users):
        until = CUT - timedelta(days=chance.randrange(10, 120)) if chance.random() < 0.7 else CUT
        time = CUT - timedelta(days=chance.randrange(120, 160), seconds=chance.randrange(86_400))
        while time < until:
            rows.append(
                event(
                    f"user{user}",
                    time,
                    f"{user}-{time}",
                    item_id=f"i{chance.randrange(9)}",
                    amount=chance.random() * 9,
                )
            )
            time += timedelta(days=chance.choice([3, 7, 7, 11]), seconds=chance.randrange(7200))
    return rows


def store(lake: Lake, rows: list[dict]) -> None:
    lake.append(SESSIONS, to_sessions(mark_sessions(events(lake.spark, *rows), GAP)), {"job": "test"})


@pytest.fixture(scope="module")
def chosen(spark, tmp_path_factory):
    """The folder of a lake, what the job said, and what it wrote."""
    folder = tmp_path_factory.mktemp("chosen")
    lake = Lake(spark, str(folder / "lake"))
    store(lake, leaving(150))
    conf = shop(folder, DS, f"report={folder / 'report'}", *FEW)
    said = select_features(conf, lake)
    written = [(folder / "report" / name).read_text() for name in ("features.selected.yaml", "features.html")]
    return folder, lake, conf, said, written


def test_the_choice_tells_who_comes_back_and_says_what_it_was_made_from(chosen):
    folder, lake, _, said, _ = chosen
    selected = load_selected(folder / "report" / "features.selected.yaml")
    assert len(selected.features) == said["kept"] < said["features"]
    assert said["r2_with_kept"] > 0.5
    assert selected.features[0] in ("recency", "order_recency", "order_count_28d", "spend_28d")
    assert selected.as_of == CUT.replace(tzinfo=UTC)
    assert selected.statistics_as_of == TRAINING.replace(tzinfo=UTC)
    assert selected.tables == {"sessions": lake.version(SESSIONS), "items": 0}
    assert selected.configuration["selection.target"] == "buys"
    assert len(selected.components) == said["components"]


def test_the_page_shows_the_four_pictures_and_why_each_feature_is_in_or_out(chosen):
    *_, said, (_, page) = chosen
    assert page.count("data:image/png;base64,") == 4
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert table.count("<tr") == said["features"]
    assert table.count('class="out"') == said["features"] - said["kept"]
    assert "never varies" in table


def test_what_happens_after_the_cut_has_no_say(chosen):
    folder, lake, conf, _, (yaml_before, page_before) = chosen
    late = [
        event(f"user{user}", CUT + timedelta(hours=user), f"late{user}", item_id="i1", amount=1e6)
        for user in range(0, 150, 2)
    ]
    store(lake, [*late, event("new", CUT, "new")])
    select_features(conf, lake)
    before, after = (
        yaml.safe_load(text)
        for text in (yaml_before, (folder / "report" / "features.selected.yaml").read_text())
    )
    assert before.pop("tables") != after.pop("tables")
    assert after == before
    assert (folder / "report" / "features.html").read_text() == page_before


def test_moments_lie_a_horizon_apart_before_the_cut():
    moments = Moments.of(
        shop_of("selection.snapshots=2", "selection.horizon_days=14", "promote.holdout_days=2")
    )
    assert moments.validation == datetime(2026, 10, 18, tzinfo=UTC)
    assert moments.training == (datetime(2026, 10, 4, tzinfo=UTC), datetime(2026, 9, 20, tzinfo=UTC))


def shop_of(*more: str):
    return shop(Path("nowhere"), DS, *more)


def test_outcomes_are_of_the_horizon_alone(spark):
    rows = [
        event("ann", at("09:59:59"), "a", amount=5.0),
        event("ann", at("10:00:00"), "b", amount=3.0),
        event("bob", at("11:00:00"), "c", event_type="view", amount=9.0),
        event("cid", at("12:00:00"), "d"),
    ]
    found = outcomes(
        to_sessions(mark_sessions(events(spark, *rows), GAP)),
        at("10:00:00"),
        at("12:00:00"),
        shop_of().source,
    )
    assert rows_of(found) == [("ann", 1.0, 1.0, pytest.approx(np.log(4))), ("bob", 1.0, 0.0, 0.0)]


def test_a_sample_is_the_same_for_the_same_seed_and_no_larger_than_asked(spark):
    rows = [event(f"user{n}", at("10:00:00"), f"{n}") for n in range(20)] + [
        event("late", at("12:00:00"), "l")
    ]
    sessions = to_sessions(mark_sessions(events(spark, *rows), GAP))

    def users(most: int, seed: int) -> list:
        return rows_of(sampled(sessions.repartition(3), at("12:00:00"), most, seed))

    assert users(5, 7) == users(5, 7)
    assert len(users(5, 7)) == 5
    assert users(5, 7) != users(5, 8)
    assert len(users(100, 7)) == 20, "not one who came later"


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            "[recensy,spend]",
            r"user_features has no feature 'recensy' \(near: recency.*\): set selection.candidates",
        ),
        ("[category_affinities]", "category_affinities of user_features is for people"),
    ],
)
def test_candidates_that_are_none_are_refused(names, words):
    with pytest.raises(InputError, match=words):
        candidates(shop_of(f"selection.candidates={names}"))
    assert candidates(shop_of("selection.candidates=[spend,peak_time]")) == ["spend", "peak_time"]


def test_too_few_users_and_targets_that_are_all_alike_are_refused():
    conf = shop_of("selection.target=returns")
    some = Rows(np.zeros((60, 1)), np.zeros((60, 0)), np.arange(60) % 2.0)
    with pytest.raises(
        InputError,
        match="training has 12 users with a session before its moment, 50 are needed: set ds later",
    ):
        check_tellable(conf, Rows(some.numbers[:12], some.categories[:12], some.target[:12]), some)
    alike = Rows(some.numbers, some.categories, np.ones(60))
    with pytest.raises(
        InputError, match=r"selection\.target=returns is 1 for every user of validation, 28 days on"
    ):
        check_tellable(conf, some, alike)
    check_tellable(conf, some, some)


def test_a_lake_that_begins_too_late_is_refused(spark, tmp_path):
    lake = Lake(spark, str(tmp_path / "lake"))
    store(lake, [event("ann", at("10:00:00"), "a")])
    with pytest.raises(
        InputError, match=r"^no sessions before 2026-09-07: the oldest begins on 2026-11-02, set ds later"
    ):
        select_features(shop(tmp_path, DS, *FEW), lake)
