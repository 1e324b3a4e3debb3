"""Small made-up shops, as tests ask for them."""

from typing import Any

import numpy as np

from conf.load import load
from features.world.shape import World
from features.world.size import world_of
from features.world.users import Users, users_of


def a_world(*features: str, **simulate: Any) -> World:
    """A shop of 300 users and 20 days, unless told otherwise: `a_world("features.late_days=2", users=10)`."""
    keys = {"users": 300, "days": 20, "items": 120, "categories": 6, "bots": 0} | simulate
    conf = load([*features, *(f"simulate.{key}={value}" for key, value in keys.items())])
    return world_of(conf.simulate, conf.features)


def everyone(world: World) -> Users:
    return users_of(world, np.arange(world.people + world.bots))
