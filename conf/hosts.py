"""The hosts of a training: `train.hosts`, and what can be wrong with the way in which ranks are started."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from conf.schema import Train

HOST = re.compile(r"([\w.-]+):([1-9]\d*)")


class Host(NamedTuple):
    """A name or address, and the ranks that it runs."""

    name: str
    ranks: int


def hosts_of(given: Sequence[str]) -> list[Host]:
    """`["one:2", "10.0.0.2:1"]` as hosts."""
    found = [HOST.fullmatch(each) for each in given]
    return [Host(each[1], int(each[2])) for each in found if each]


def problems(train: Train) -> Iterator[str]:
    """What is wrong with the keys of a launcher, in words; nothing: it is well."""
    if train.launcher != "hosts":
        if train.hosts or train.min_ranks is not None:
            yield (
                f"train.hosts and train.min_ranks are of the launcher `hosts`, "
                f"got train.launcher={train.launcher}: give train=hosts"
            )
        return
    for each in train.hosts:
        if not HOST.fullmatch(each):
            yield f"train.hosts must be host:ranks each, such as 10.0.0.2:1, got {each!r}"
    hosts = hosts_of(train.hosts)
    if len({host.name for host in hosts}) < len(hosts):
        yield f"train.hosts must name a host once, got {', '.join(train.hosts)}"
    if hosts and (ranks := sum(host.ranks for host in hosts)) != train.ranks:
        named = ", ".join(train.hosts)
        yield f"train.hosts has {ranks} ranks ({named}), train.ranks is {train.ranks}: set train.ranks={ranks}"
    if train.min_ranks is not None and not 1 <= train.min_ranks <= train.ranks:
        yield f"train.min_ranks must lie between 1 and train.ranks={train.ranks}, got {train.min_ranks}"
