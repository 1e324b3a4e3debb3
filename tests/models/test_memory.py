from pathlib import Path

import pytest

from conf.schema import Model, Task, Train
from models.example_set import ExampleSet, open_example_set
from models.memory import GIB, LIBRARIES, MemoryPlanError, Plan, free_memory, memory_plan
from tests.models.example_sets import random_example_set

MILLION = 10**6


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> ExampleSet:
    return open_example_set(
        random_example_set(tmp_path_factory.mktemp("examples") / "set", train=[5, 1, 4, 3])
    )


def planned(
    examples: ExampleSet, items: int, train: dict | None = None, available: int = 20 * GIB, **model
) -> Plan:
    spec = dict(examples.spec) | {"vocabulary_size": items}
    large = ExampleSet(examples.path, 1, spec, examples.splits, examples.vocabulary)
    task = Task(event_types=["purchase"], length=512, positions=64)
    return memory_plan(Model(name="sasrec", **model), task, Train(**(train or {})), large, 2, available)


def test_the_rows_of_a_large_catalogue_are_its_memory(examples):
    plan = planned(examples, 5 * MILLION)
    table = 5 * MILLION * 65 * 4
    assert plan.terms["weights"] == pytest.approx(table, rel=0.01)
    assert plan.terms["optimizer"] == pytest.approx(2 * table + 2 * 5 * MILLION * 4, rel=0.01)
    assert next(iter(plan.terms)) == "optimizer"
    assert plan.terms["gradients"] < 0.5 * GIB
    assert list(plan.terms.values()) == sorted(plan.terms.values(), reverse=True)
    plan.check()


def test_a_gradient_of_all_rows_is_as_large_as_they_are(examples):
    plan = planned(examples, 5 * MILLION, {"lazy_rows": 10 * MILLION})
    assert plan.terms["gradients"] == 3 * plan.terms["weights"]


@pytest.mark.parametrize(
    ("items", "changed", "largest", "remedy"),
    [
        (5 * MILLION, {"loss": "softmax"}, "logits of all items", "model.loss=sampled_softmax"),
        (5 * MILLION, {"width": 1024}, "optimizer", "model.width lower"),
        (
            100_000,
            {"train": {"batch_size": 8192}, "negatives": 16_384},
            "logits",
            "train.parts higher, or model.neg",
        ),
        (MILLION, {"linear": 20.0, "linear_items": 50_000}, "linear model", "model.linear_items lower"),
        (1000, {"train": {"batch_size": 100_000}}, "activations", "train.parts higher"),
    ],
)
def test_what_cannot_fit_is_refused_by_its_largest_part(examples, items, changed, largest, remedy):
    plan = planned(examples, items, **changed)
    with pytest.raises(MemoryPlanError) as refused:
        plan.check()
    size = plan.terms[largest] / GIB
    assert f"largest part is {largest} ({size:.2f} GiB): set {remedy}" in str(refused.value)
    assert "20.00 are free" in str(refused.value)


def test_parts_of_a_batch_need_less_for_the_same_step(examples):
    whole, parted = planned(examples, 1000), planned(examples, 1000, {"parts": 8})
    for name in ("activations", "logits"):
        assert parted.terms[name] == whole.terms[name] // 8


def test_a_plan_is_shown_with_its_largest_parts():
    plan = Plan({"weights": 3 * GIB, "libraries": LIBRARIES, "logits": 5000}, 8 * GIB)
    assert str(plan) == "memory of a rank: 3.59 of 8.00 GiB  (weights 3.00  libraries 0.59)"


def test_what_is_free_is_no_more_than_the_control_group_has_left(tmp_path: Path):
    machine = free_memory(tmp_path)
    assert machine > 0.1 * GIB
    (tmp_path / "memory.stat").write_text("anon 1000\nfile 900000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == pytest.approx(machine, rel=0.2)
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_memory(tmp_path) == 4000
