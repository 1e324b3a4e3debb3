"""Pretraining by several ranks, and what it asks of examples."""

from dataclasses import replace

import pytest

from conf.schema import Objectives, Pretrain
from models.example_set import ExampleSetError, open_example_set
from models.pretraining import facts_of
from tests.models.example_sets import LENGTH, random_example_set
from tests.models.horovodrun import assert_ranks_learn_alike


@pytest.mark.long
def test_ranks_with_parts_of_a_batch_learn_what_one_rank_learns_contrast_among_it(tmp_path):
    path = random_example_set(tmp_path / "set", train=[9, 4], validation=[5])
    assert_ranks_learn_alike(path, tmp_path, "pretraining")


def test_objectives_that_ask_for_more_than_the_examples_tell_are_refused(tmp_path):
    examples = open_example_set(random_example_set(tmp_path / "set", train=[3], validation=[2]))
    facts = facts_of(examples, Pretrain())
    assert (facts.category_of == -1).all()
    assert len(facts.category_of) == examples.vocabulary_size
    with pytest.raises(ExampleSetError, match=r"tells of no types of events, .* with task.contexts=true"):
        facts_of(examples, Pretrain(objectives=Objectives(next_type=1.0)))
    with pytest.raises(ExampleSetError, match="items of 0 categories, expected two at least"):
        facts_of(examples, Pretrain(objectives=Objectives(next_category=1.0)))
    columns = examples.spec["columns"] | {"contexts": {"dtype": "int32", "length": LENGTH}}
    asked = {"task": {"event_types": ["view", "purchase"]}}
    typed = replace(examples, spec={**examples.spec, "columns": columns, "configuration": asked})
    assert facts_of(typed, Pretrain(objectives=Objectives(next_type=1.0))).types == 2
