"""What pretraining and fine-tuning may be told."""

from dataclasses import replace

import pytest

from conf.load import ConfigurationError, load
from conf.pretraining import unfit_to_pretrain, unfit_to_tune


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("pretrain.objectives.contrast=-1", "pretrain.objectives.contrast must be >= 0, got -1.0"),
        (
            "pretrain.views=[blur]",
            "pretrain.views must be some of dropout, crop, mask, reorder, got ['blur']",
        ),
        ("finetune.share=0", "finetune.share must lie in (0, 1], got 0.0"),
        ("finetune.mode=half", "finetune.mode must be one of full, frozen, adapters, got"),
        ("few_labels.shares=[0.1,2]", "few_labels.shares must lie in (0, 1], got [0.1, 2.0]"),
        ("few_labels.arms=[]", "few_labels.arms must be some of scratch, frozen, full, adapters, got []"),
        ("step=rest", "step must be one of train, pretrain, finetune, got"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_key(given, said):
    with pytest.raises(ConfigurationError) as refused:
        load([given])
    assert said in str(refused.value)


def test_from_scratch_nothing_is_kept():
    with pytest.raises(
        ConfigurationError, match=r"finetune.mode=frozen wants an encoder, got finetune.encoder=none"
    ):
        load(["finetune.encoder=none", "finetune.mode=frozen"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["model=hstu"], "model=hstu wants the times of baskets"),
        (["model.gaps=true"], "model.gaps=true wants the times of baskets"),
        (
            ["pretrain.objectives.next_item=0"],
            "set pretrain.objectives.next_item or pretrain.objectives.masked_item",
        ),
        (
            ["model=bert4rec", "pretrain.objectives.masked_item=1"],
            "set pretrain.objectives.next_item=0, pretrain.objectives.next_gap=0, or another model",
        ),
        (["model.linear=20"], "model.linear is of tasks that rank, in jobs/train.py"),
        (["model.earlier_share=0.2"], "model.earlier_share is of tasks that rank, in jobs/train.py"),
        (["model.inputs=[hour]"], "model.inputs is of tasks that rank, in jobs/train.py"),
        (["model.targets=last"], "set model.targets=all"),
        (["model.loss=softmax", "model.consistency=1"], "set model.consistency=0"),
        (["train.parts=2"], "train.parts is 2, and contrast wants all rows of a step at once"),
    ],
)
def test_an_encoder_that_cannot_be_pretrained_so_is_refused_with_what_to_set(given, said):
    problem, *_ = unfit_to_pretrain(replace(load(given), step="pretrain"))
    assert said in problem


def test_what_fits_has_no_problem():
    masked = [
        "pretrain.objectives.next_item=0",
        "pretrain.objectives.next_gap=0",
        "pretrain.objectives.masked_item=1",
    ]
    assert not list(unfit_to_pretrain(load([])))
    assert not list(unfit_to_pretrain(load(["model=bert4rec", *masked])))
    assert not list(unfit_to_tune(load(["task=churn", "finetune.mode=adapters"])))
    (problem,) = unfit_to_tune(load(["task=churn", "model=gru", "finetune.mode=adapters"]))
    assert "wants an encoder with projections (sasrec, bsarec, bert4rec), got model=gru" in problem
