"""How ranks are started: what is refused before anything is, and what makes another training of it."""

import pytest

from conf.hosts import Host, hosts_of
from conf.load import ConfigurationError, load
from jobs.train import hash_of


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train.launcher=slurm"], "train.launcher must be one of local, hosts, spark, got 'slurm'"),
        (["train=slurm"], "(?s)slurm.*cpu.*hosts.*spark"),
        (
            ["train=hosts", "train.hosts=[one:2,two:2]"],
            r"train.hosts has 4 ranks \(one:2, two:2\), train.ranks is 2: set train.ranks=4",
        ),
        (["train=hosts", "train.hosts=[one]"], "train.hosts must be host:ranks each, such as .*, got 'one'"),
        (["train=hosts", "train.hosts=[one:0,two:2]"], "train.hosts must be host:ranks each, .* got 'one:0'"),
        (["train=hosts", "train.hosts=[one:1,one:1]"], "train.hosts must name a host once, got one:1, one:1"),
        (
            ["train=hosts", "train.hosts=[one:1,two:1]", "train.min_ranks=3"],
            "train.min_ranks must lie between 1 and train.ranks=2, got 3",
        ),
        (["train.hosts=[one:2]"], "are of the launcher `hosts`, got train.launcher=local: give train=hosts"),
        (["train=spark", "train.min_ranks=1"], "are of the launcher `hosts`, got train.launcher=spark"),
    ],
)
def test_what_cannot_be_started_is_refused_with_what_was_expected(given, message):
    with pytest.raises(ConfigurationError, match=message):
        load(given)


def test_hosts_are_names_or_addresses_with_the_ranks_of_each():
    train = load(["train=hosts", "train.ranks=3", "train.hosts=[10.0.0.1:1,rack-2.example:2]"]).train
    assert hosts_of(train.hosts) == [Host("10.0.0.1", 1), Host("rack-2.example", 2)]


def test_where_a_training_runs_does_not_make_another_of_it_but_the_number_of_its_ranks_does():
    here = hash_of(load(["model=gru", "train.ranks=3"]))
    hosts = ["train=hosts", "train.hosts=[one:2,two:1]", "train.min_ranks=2", "train.ssh_port=2222"]
    assert hash_of(load(["model=gru", *hosts, "train.ranks=3", "train.interface=eth1"])) == here
    assert hash_of(load(["model=gru", "train=spark", "train.ranks=3"])) == here
    assert hash_of(load(["model=gru", "train.ranks=2"])) != here
