"""The space of a search: what its keys may be, and what is refused."""

import pytest

from conf.load import ConfigurationError, load
from conf.search_space import Span, leaves


def test_leaves_are_lists_and_spans_by_their_keys():
    space = {
        "model": {"width": [8, 16], "dropout": {"low": 0.0, "high": 0.5}},
        "train": {"epochs": {"low": 1, "high": 4}},
    }
    assert leaves(space) == {
        "model.width": [8, 16],
        "model.dropout": Span(0.0, 0.5),
        "train.epochs": Span(1, 4),
    }
    assert not Span(0.0, 0.5).is_whole and Span(1, 4).is_whole


def test_what_is_searched_for_is_set_on_the_command_line():
    given = [
        "search.space.model.width=[8]",
        "+search.space.model.heads=[1,2]",
        "~search.space.train.batch_size",
    ]
    space = leaves(load(given).search.space)
    assert space["model.width"] == [8] and space["model.heads"] == [1, 2]
    assert "train.batch_size" not in space
    assert space["train.learning_rate"] == Span(1e-3, 1e-2, log=True)


@pytest.mark.parametrize(
    "given, said",
    [
        ("+search.space.model.wdth=[1]", "there is no key 'model.wdth' of model or train"),
        ("+search.space.task={k: [10]}", "there is no key 'task.k' of model or train"),
        ("search.space.model.width=[]", "search.space.model.width must have a value to choose, got none"),
        ("search.space.model.width=64", "expected a list, or low and high"),
        ("search.space.model.dropout.low=0.7", "low must lie below high, got 0.7 and 0.6"),
        ("search.space.train.learning_rate.low=0", "with log, low must be > 0"),
        ("+search.space.model.dropout.hih=3", "expected a list, or low and high"),
        ("search.trials=0", "search.trials must be > 0"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(given, said):
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        load([given])
