"""What a made-up shop cannot be."""

from collections.abc import Iterator
from datetime import date

from conf.schema import Simulate

MOST_DAYS = 3650  # a day has its place in an event's key (features.world.behaviour.key_of)
MOST_OF_A_BOT = 1_000_000  # views a day, the median; ever fewer bots send up to eight times as many


def problems(simulate: Simulate) -> Iterator[str]:
    """What makes no sense in `simulate`, each with the key and what was expected."""
    for key in (name for name in vars(simulate) if name.endswith("_share")):
        if not 0 <= (value := getattr(simulate, key)) <= 1:
            yield f"simulate.{key} must lie in [0, 1], got {value}: set simulate.{key}"
    for key in ("users", "bots"):
        if (value := getattr(simulate, key)) is not None and value < (key == "users"):
            yield f"simulate.{key} must be >= {int(key == 'users')}, got {value}: set simulate.{key}"
    if not _is_day(simulate.first_day):
        yield (
            f"simulate.first_day must be a day as YYYY-MM-DD from 1971 on, got {simulate.first_day!r}: "
            "set simulate.first_day"
        )
    if simulate.days > MOST_DAYS:
        yield f"simulate.days must be <= {MOST_DAYS}, got {simulate.days}: set simulate.days"
    if simulate.items < simulate.categories:
        yield (
            f"simulate.items must be >= simulate.categories ({simulate.categories}), got {simulate.items}: "
            "a category has an item at least"
        )
    if simulate.campaign_days > simulate.campaign_every_days:
        yield (
            f"simulate.campaign_days must be <= simulate.campaign_every_days ({simulate.campaign_every_days}), got "
            f"{simulate.campaign_days}: one campaign is in force at a time"
        )
    if simulate.bot_views_per_day > MOST_OF_A_BOT:
        yield f"simulate.bot_views_per_day must be <= {MOST_OF_A_BOT}, got {simulate.bot_views_per_day}"
    for key in ("churn_per_week", "campaign_discount"):
        if not 0 <= (value := getattr(simulate, key)) < 1:
            yield f"simulate.{key} must lie in [0, 1), got {value}: set simulate.{key}"


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text and date(1971, 1, 1) <= date.fromisoformat(text)
    except ValueError:
        return False
