"""A second stage as its job trains and registers it, on a small example set."""

from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest

from conf.load import load
from jobs.job import InputError
from jobs.rerank import rerank
from jobs.train import train
from models.registry import CHALLENGER, connect
from tests.models.example_sets import LENGTH, POSITIONS, random_example_set

ENCODER = [
    "model=sasrec",
    "model.width=8",
    "model.blocks=1",
    "model.loss=softmax",
    "train.ranks=1",
    "train.epochs=1",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reranked")
    random_example_set(folder / "lake" / "examples" / "set", [60], [80])
    places = [
        f"lake={folder}/lake",
        f"registry=sqlite:///{folder}/mlflow.db",
        f"artifacts={folder}/artifacts",
    ]
    shape = [f"task.length={LENGTH}", f"task.positions={POSITIONS}", "set_id=set", "ds=2017-12-01"]
    second = ["rerank.candidates=10", "rerank.epochs=2", "rerank.events=4", "rerank.batch_size=20"]

    def conf(*more: str):
        return load([*ENCODER, *places, *shape, *second, *more])

    registry = connect(conf().registry, conf().artifacts)
    with pytest.raises(InputError) as nothing:
        rerank(conf())
    train(conf("model=popularity"))
    with pytest.raises(InputError) as without_vectors:
        rerank(conf("rerank.first=1"))
    train(conf())
    registry.set_alias(registry.versions("next_item")[1], CHALLENGER)
    made, again = rerank(conf()), rerank(conf())
    return SimpleNamespace(**locals())


def test_both_stages_are_one_version_of_the_task(shop):
    version = shop.registry.versions("next_item")[-1]
    assert version.version == shop.made["version"] == 3
    told = {name: version.tags[name] for name in ("model", "kind", "set_id", "first")}
    assert told == {"model": "sasrec_reranked", "kind": "reranker", "set_id": "set", "first": "2"}
    assert shop.made["ndcg@10"] >= shop.made["first.ndcg@10"], (
        "the first stage's own order is among what is chosen from"
    )
    assert shop.again["note"] == "registered already, nothing to do"
    assert shop.again["version"] == 3


def test_it_answers_raw_ids_as_mlflow_loads_it(shop):
    model = mlflow.pyfunc.load_model("models:/next_item/3")
    user = {"item_ids": [["item-3", "item-4"]], "sessions": [[1, 2]], "ages": [[3.0, 1.0]]}
    (row,) = model.predict(pd.DataFrame(user)).to_dict("records")
    assert len(row["ids"]) == len(set(row["ids"])) == 20
    assert row["scores"] == sorted(row["scores"], reverse=True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("rerank.first=9", "rerank.first is 9, and next_item has none"),
        ("rerank.first=3", "next_item v3 has a second stage already"),
        ("set_id=other", "next_item v2 was trained on set, expected other"),
        ("task=churn", "churn has labels, expected a task that ranks items"),
    ],
)
def test_what_cannot_be_ranked_anew_is_told(shop, more, said):
    with pytest.raises(InputError) as refused:
        rerank(shop.conf(more))
    assert said in str(refused.value)


def test_without_a_first_stage_or_vectors_that_is_told(shop):
    assert "rerank.first is challenger, and next_item has none" in str(shop.nothing.value)
    assert "v1 has no vectors of items, and next_item.encoder no version" in str(shop.without_vectors.value)
