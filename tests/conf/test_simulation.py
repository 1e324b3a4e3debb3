"""What a made-up shop cannot be, and what is said of it."""

import pytest

from conf.load import ConfigurationError, load


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("malformed_share=1.5", "simulate.malformed_share must lie in [0, 1], got 1.5"),
        ("users=0", "simulate.users must be >= 1, got 0"),
        ("bots=-1", "simulate.bots must be >= 0, got -1"),
        (
            "first_day=yesterday",
            "simulate.first_day must be a day as YYYY-MM-DD from 1971 on, got 'yesterday'",
        ),
        ("first_day=1969-01-01", "simulate.first_day must be a day as YYYY-MM-DD from 1971 on"),
        ("days=0", "simulate.days must be > 0, got 0"),
        ("days=4000", "simulate.days must be <= 3650, got 4000"),
        ("items=10", "simulate.items must be >= simulate.categories (24), got 10"),
        ("campaign_days=29", "simulate.campaign_days must be <= simulate.campaign_every_days (28), got 29"),
        ("bot_views_per_day=2000000", "simulate.bot_views_per_day must be <= 1000000"),
        ("campaign_discount=1.0", "simulate.campaign_discount must lie in [0, 1), got 1.0"),
    ],
)
def test_a_shop_that_cannot_be_is_refused_with_the_key_and_what_is_allowed(override, words):
    with pytest.raises(ConfigurationError) as refused:
        load([f"simulate.{override}"])
    assert words in str(refused.value)


def test_a_shop_may_have_no_bots_and_a_share_may_be_all_or_nothing():
    given = load(["simulate.bots=0", "simulate.malformed_share=0", "simulate.anonymous_share=1"]).simulate
    assert (given.bots, given.malformed_share, given.anonymous_share) == (0, 0.0, 1.0)


def test_the_year_is_a_hundred_million_records():
    year = load(["simulate=year", "simulate.seed=8"]).simulate
    assert (year.events, year.days, year.seed) == (100_000_000, 365, 8)
