"""What a campaign of a simulated shop does to each user, where it is told beside the logs how the shop was made."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from conf.schema import Config, Simulate
from features.world.behaviour import arms_of
from features.world.offers import campaign_days
from features.world.part import block_of
from features.world.potential import potential_outcomes
from features.world.shape import World
from features.world.size import world_of
from jobs.job import InputError
from jobs.simulate import MARK, description

TWINS = 20  # of each user, of whom an expectation is the mean


def true_effects(conf: Config, moment: datetime, days: int) -> pd.DataFrame | None:
    """The effects of the campaign that is sent on the day of a moment, on what comes of users within so many days.

    One row a user in the campaign, in either arm: `user_id` as the logs have it, and a column an outcome, see
    `potential_outcomes`. None where `raw` holds no simulated shop, or none of its campaigns is sent on that day.
    """
    mark = Path(conf.raw) / MARK
    if not mark.exists():
        return None
    world = world_in(conf, json.loads(mark.read_text()))
    day = (moment.date() - world.date(0)).days
    if day not in campaign_days(world):
        return None
    campaign = campaign_days(world).index(day)
    blocks = [effects_in(world, number, campaign, days) for number in range(world.blocks)]
    return pd.concat(blocks, ignore_index=True)


def world_in(conf: Config, mark: Mapping[str, Any]) -> World:
    """The shop that a mark of jobs/simulate.py describes; raises `InputError` where this release makes another one of it."""
    keys = {
        name.removeprefix("simulate."): value for name, value in mark.items() if name.startswith("simulate.")
    }
    world = world_of(Simulate(**keys), conf.features)
    if description(world) != dict(mark):
        raise InputError(
            f"{conf.raw} holds a shop of another release, or of other `features`: simulate it anew, or set these"
        )
    return world


def effects_in(world: World, block: int, campaign: int, days: int) -> pd.DataFrame:
    """Of one block's users."""
    of_block = block_of(world, block)
    rows = np.flatnonzero(arms_of(world, of_block.users, campaign))
    found = potential_outcomes(world, of_block.users.take(rows), campaign, days, TWINS)
    effects = {outcome: each.effect for outcome, each in found.items()}
    return pd.DataFrame({"user_id": of_block.names.take(rows).to_pylist(), **effects})
