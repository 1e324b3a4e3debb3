"""Which features tell something of a target, on rows whose truth is known."""

import numpy as np
import pytest

from features.relevance import (
    Design,
    Rows,
    as_facts,
    choose,
    components,
    correlations,
    design,
    lasso,
    prune,
    search,
)

CHANCE = np.random.default_rng(11)
NUMBERS = ["strong", "weak", "twin", "noise", "still", "weak_missing"]
CATEGORIES = ["group", "random_group"]


def drawn(rows: int) -> Rows:
    """The target is 2·strong - weak, 3 more in group 1, 2 more where `weak` is flagged; `twin` is nearly `strong`."""
    strong, weak, noise, other = CHANCE.normal(size=(4, rows))
    flag = CHANCE.random(rows) < 0.2
    groups = CHANCE.integers(1, 5, rows)
    numbers = np.column_stack([strong, weak, strong + 0.05 * other, noise, np.full(rows, 7.0), flag])
    categories = np.column_stack([groups, CHANCE.integers(1, 200, rows)])
    target = 2 * strong - weak + 3 * (groups == 1) + 2 * flag + CHANCE.normal(size=rows)
    return Rows(numbers, categories, target)


@pytest.fixture(scope="module")
def rows():
    return drawn(1500), drawn(800)


@pytest.fixture(scope="module")
def found(rows):
    return search(*rows, NUMBERS, CATEGORIES, "_missing", limit=0.95, variance=0.95, trees=30, seed=7)


def test_what_tells_something_is_kept_the_most_telling_first_and_the_rest_has_its_reason(found):
    assert set(found.choice.kept) == {"strong", "weak", "group"}
    assert found.choice.kept[0] == "strong"
    reasons = found.choice.reasons
    assert reasons["strong"] == "kept by LASSO and forest"
    assert reasons["twin"] == "as strong (r = 1.00)"
    assert reasons["still"] == "never varies"
    assert reasons["noise"] == reasons["random_group"] == "tells too little"
    assert list(reasons) == ["strong", "weak", "twin", "noise", "still", "group", "random_group"]


def test_nothing_is_lost_with_what_was_left_out(found):
    assert found.with_kept.r2 > 0.7
    assert found.with_kept.r2 > found.with_all.r2 - 0.02
    assert found.with_all.auc is None, "the target is a number"


def test_the_same_rows_and_seed_give_the_same_findings(found, rows):
    again = search(*rows, NUMBERS, CATEGORIES, "_missing", limit=0.95, variance=0.95, trees=30, seed=7)
    assert as_facts(again) == as_facts(found)


def test_a_yes_or_no_target_is_judged_by_auc_too(rows):
    train, valid = (Rows(side.numbers, side.categories, (side.target > 1).astype(float)) for side in rows)
    found = search(train, valid, NUMBERS, CATEGORIES, "_missing", limit=0.95, variance=0.95, trees=20, seed=7)
    assert 0.85 < found.with_kept.auc < 1
    assert "strong" in found.choice.kept
    assert "noise" not in found.choice.kept


def test_the_path_begins_with_nothing_and_ends_near_least_squares(found, rows):
    path, seen, target = found.path, found.seen, rows[0].target
    assert np.all(np.diff(path.penalties) < 0)
    assert not path.weights[:, 0].any()
    assert path.loss[0] == pytest.approx(1.0, abs=0.02), "the mean alone"
    least_squares = np.linalg.lstsq(seen.train, target - target.mean(), rcond=None)[0]
    assert path.weights[:, -1] == pytest.approx(least_squares, abs=0.02)
    assert path.chosen <= path.best
    assert path.loss[path.chosen] == pytest.approx(path.loss[path.best], abs=0.05)


def test_a_category_does_not_tell_a_training_row_its_own_target():
    """Each row in a category of its own: a mean with the row itself in it would be the target."""
    target = CHANCE.normal(size=300)
    each = Rows(CHANCE.normal(size=(300, 1)), np.arange(300)[:, None], target)
    made, _ = design(each, each, ["noise"], ["own"], "_missing", seed=7)
    own = made.train[:, made.columns.index("own")] if "own" in made.columns else np.zeros(300)
    assert abs(np.corrcoef(own, target)[0, 1] if own.any() else 0.0) < 0.3


def test_of_two_that_say_the_same_the_more_telling_stays_and_flags_are_not_compared():
    x, y = CHANCE.normal(size=(2, 400))
    columns = np.column_stack([x + 0.2 * y, x, y, x])
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    seen = Design(["a", "b", "c", "c_missing"], ["a", "b", "c", "c"], columns, columns)
    (out,) = prune(seen, x, limit=0.9)
    assert (out.feature, out.kept) == ("a", "b")
    assert out.r == pytest.approx(abs(np.corrcoef(columns[:, 0], columns[:, 1])[0, 1]), abs=0.01)
    assert prune(seen, x, limit=0.999) == []
    assert correlations(columns)[1, 3] == pytest.approx(1.0)


def test_the_largest_penalty_within_an_error_of_the_best_is_chosen():
    """With a target that nothing tells, that is the one that leaves nothing."""
    values, target = CHANCE.normal(size=(400, 3)), CHANCE.normal(size=400)
    seen = Design(["a", "b", "c"], ["a", "b", "c"], values[:200], values[200:])
    path = lasso(seen, target[:200], target[200:])
    assert not path.weights[:, path.chosen].any()


def test_components_keep_the_variance_that_was_asked_for_and_no_more():
    """Two hidden numbers behind four columns, and one that never varies."""
    hidden = CHANCE.normal(size=(500, 2))
    values = np.hstack(
        [hidden @ np.array([[1.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, -1.0]]) + 5, np.full((500, 1), 3.0)]
    )
    found = components(["a", "b", "c", "d", "still"], values, 0.99)
    assert found.columns == ["a", "b", "c", "d"]
    assert found.explained.sum() == pytest.approx(1.0)
    assert len(found.weights) == 2
    made = values[:, :4] @ found.weights.T + found.offsets
    assert made.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert np.corrcoef(made.T)[0, 1] == pytest.approx(0, abs=1e-9)
    assert len(components(["a", "b", "c", "d", "still"], values, 0.5).weights) == 1


def test_a_feature_is_kept_where_either_method_says_so(found):
    by = type(found.by)({"a": 0.5, "b": 0.5}, {"a": 0.02, "b": 0.02}, {"a": 0.02, "b": 0.001})
    seen = Design(["a", "b"], ["a", "b"], np.zeros((1, 2)), np.zeros((1, 2)))
    path = type(found.path)(np.ones(1), np.array([[0.0], [0.0]]), np.ones(1), 0, 0)
    choice = choose(["a", "b"], [], [], seen, path, by)
    assert choice.reasons == {"a": "tells too little", "b": "kept by forest"}
