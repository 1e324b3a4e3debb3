"""Pretraining by several ranks, and what it asks of examples."""

from dataclasses import replace

import numpy as np
import pytest

from conf.schema import Objectives, Pretrain
from models.example_set import ExampleSetError, open_example_set
from models.pretraining import facts_of
from tests.models.example_sets import LENGTH, random_example_set
from tests.models.horovodrun import horovodrun


@pytest.mark.long
def test_ranks_with_parts_of_a_batch_learn_what_one_rank_learns_contrast_among_it(tmp_path):
    path, left = random_example_set(tmp_path / "set", train=[9, 4], validation=[5]), {}
    for ranks in (1, 2):
        (tmp_path / str(ranks)).mkdir()
        ended = horovodrun(ranks, "-m", "tests.models.pretrain_rank", path, str(tmp_path / str(ranks)))
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        left[ranks] = [np.load(tmp_path / str(ranks) / f"{rank}.npz") for rank in range(ranks)]
    (alone,) = left[1]
    for rank in left[2]:
        for name in alone.files:
            np.testing.assert_allclose(alone[name], rank[name], rtol=1e-3, atol=1e-4)
    assert alone["losses"][-1] < 0.9 * alone["losses"][0]


def test_objectives_that_ask_for_more_than_the_examples_tell_are_refused(tmp_path):
    examples = open_example_set(random_example_set(tmp_path / "set", train=[3], validation=[2]))
    facts = facts_of(examples, Pretrain())
    assert (facts.category_of == -1).all()
    assert len(facts.category_of) == examples.vocabulary_size
    with pytest.raises(ExampleSetError, match=r"tells of no types of events, .* with task.types=true"):
        facts_of(examples, Pretrain(objectives=Objectives(next_type=1.0)))
    with pytest.raises(ExampleSetError, match="items of 0 categories, expected two at least"):
        facts_of(examples, Pretrain(objectives=Objectives(next_category=1.0)))
    columns = examples.spec["columns"] | {"types": {"dtype": "int32", "length": LENGTH}}
    asked = {"task": {"event_types": ["view", "purchase"]}}
    typed = replace(examples, spec={**examples.spec, "columns": columns, "configuration": asked})
    assert facts_of(typed, Pretrain(objectives=Objectives(next_type=1.0))).types == 2
