"""Which features tell something of a target: correlation, LASSO, a forest and principal components, in the driver's memory.

NumPy and scikit-learn alone. Everything is fitted on training rows and judged on validation rows, which lie later.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import lasso_path
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

PENALTIES = 60  # of the LASSO path, evenly in their logarithm
SMALLEST = 1e-3  # the last penalty, in parts of the first, which leaves nothing
FOLDS = 5  # of the training rows, when a category stands for its rows' mean target
REPEATS = 5  # permutations of a feature
JUDGED = 5_000  # validation rows that a permutation looks at, at most
LEAF = 20  # training rows in a leaf of the forest, at least


@dataclass(frozen=True)
class Rows:
    """Inputs of a model with their target: `numbers` (rows, columns) float64, `categories` (rows, columns) int."""

    numbers: np.ndarray
    categories: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Design:
    """What the methods see: one standardised column each, `train` and `valid` (rows, columns) float64.

    A category is the mean target of its training rows, shrunk; a training row's own fold is left out of its mean.
    `owner` is the feature that each column is of: a number and its flag are of one.
    """

    columns: list[str]
    owner: list[str]
    train: np.ndarray
    valid: np.ndarray

    def of(self, features: Sequence[str]) -> "Design":
        """The columns of some features alone."""
        kept = [place for place, name in enumerate(self.owner) if name in set(features)]
        return Design(
            [self.columns[k] for k in kept],
            [self.owner[k] for k in kept],
            self.train[:, kept],
            self.valid[:, kept],
        )


@dataclass(frozen=True)
class Pruned:
    """A feature that was left out because a kept one says nearly the same: `r` is their correlation."""

    feature: str
    kept: str
    r: float


@dataclass(frozen=True)
class Lasso:
    """`weights` (columns, penalties) along falling `penalties`; `loss` (penalties,) on validation, in target variances.

    `chosen` is the largest penalty whose loss is not more than one standard error above the best one's.
    """

    penalties: np.ndarray
    weights: np.ndarray
    loss: np.ndarray
    best: int
    chosen: int


@dataclass(frozen=True)
class Forest:
    """By feature: `impurity`, summing to one; `lost`, the R² that goes when it is shuffled, and its `deviation`."""

    impurity: dict[str, float]
    lost: dict[str, float]
    deviation: dict[str, float]


@dataclass(frozen=True)
class Components:
    """`explained` shares of all components; `weights` (kept, columns) and `offsets` (kept,) over the columns as given."""

    columns: list[str]
    explained: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Score:
    """How well a target is told on validation rows; `auc` where the target is yes or no."""

    r2: float
    auc: float | None = None


@dataclass
class Choice:
    """`kept` features, the most telling first; `reasons` for every one."""

    kept: list[str]
    reasons: dict[str, str] = field(default_factory=dict)


def design(
    train: Rows, valid: Rows, numbers: Sequence[str], categories: Sequence[str], flag: str, seed: int
) -> tuple[Design, list[str]]:
    """The design of some rows, and the features that never vary in training and are left out of it.

    `numbers` and `categories` name the columns of the rows; a number's flag is called as it is, with `flag` behind it.
    """
    tables = [(train.numbers, valid.numbers)]
    if len(categories):
        encoder = TargetEncoder(target_type="continuous", cv=KFold(FOLDS, shuffle=True, random_state=seed))
        fitted = encoder.fit_transform(train.categories, train.target)
        tables.append((fitted, encoder.transform(valid.categories)))
    both = [np.hstack([table[side] for table in tables]) for side in (0, 1)]
    columns = [*numbers, *categories]
    center, spread = both[0].mean(axis=0), both[0].std(axis=0)
    varying = np.flatnonzero(spread > 1e-9)
    owner = [name.removesuffix(flag) for name in columns]
    scaled = [(table[:, varying] - center[varying]) / spread[varying] for table in both]
    left = [owner[k] for k in varying]
    still = [name for name in dict.fromkeys(owner) if name not in left]
    return Design([columns[k] for k in varying], left, scaled[0], scaled[1]), still


def correlations(values: np.ndarray) -> np.ndarray:
    """(columns, columns), Pearson's, of standardised columns (rows, columns)."""
    return np.clip(values.T @ values / len(values), -1.0, 1.0)


def prune(seen: Design, target: np.ndarray, limit: float) -> list[Pruned]:
    """The features to leave out so that no two left are correlated by more than `limit`, the less telling one of each two.

    Looked at are a feature's own columns, not its flags. Of equally telling ones the first stays.
    """
    own = [
        k for k, (column, owner) in enumerate(zip(seen.columns, seen.owner, strict=True)) if column == owner
    ]
    r = np.abs(correlations(seen.train[:, own]))
    told = np.abs(seen.train[:, own].T @ (target - target.mean()))
    kept: list[int] = []
    out = []
    for place in np.argsort(-told, kind="stable"):
        near = max(kept, key=lambda other: r[place, other], default=None)
        if near is not None and r[place, near] > limit:
            out.append(Pruned(seen.owner[own[place]], seen.owner[own[near]], float(r[place, near])))
        else:
            kept.append(int(place))
    return out


def lasso(seen: Design, target: np.ndarray, judged: np.ndarray) -> Lasso:
    """The LASSO path (Tibshirani, 1996) of a least-squares fit; of a yes-or-no target, a linear probability model."""
    mean = target.mean()
    penalties, weights, _ = lasso_path(seen.train, target - mean, eps=SMALLEST, alphas=PENALTIES)
    errors = (judged[:, None] - (seen.valid @ weights + mean)) ** 2  # (rows, penalties)
    best = int(np.argmin(errors.mean(axis=0)))
    more = errors - errors[:, [best]]
    allowed = more.std(axis=0) / np.sqrt(len(judged))
    chosen = int(np.argmax(more.mean(axis=0) <= allowed))
    return Lasso(penalties, weights, errors.mean(axis=0) / max(judged.var(), 1e-12), best, chosen)


def grow(values: np.ndarray, target: np.ndarray, trees: int, seed: int) -> RandomForestRegressor:
    """A random forest (Breiman, 2001); of a yes-or-no target, of its probability. The same for the same seed."""
    forest = RandomForestRegressor(
        n_estimators=trees, min_samples_leaf=LEAF, max_features=1 / 3, random_state=seed, n_jobs=-1
    )
    forest.fit(values.astype(np.float32), target)
    forest.n_jobs = 1  # several threads would add up its trees in any order, and so not quite alike
    return forest


def forest(seen: Design, target: np.ndarray, judged: np.ndarray, trees: int, seed: int) -> Forest:
    """The importance of features in a forest; a feature's columns are shuffled together, in at most JUDGED rows."""
    grown = grow(seen.train, target, trees, seed)
    chance = np.random.default_rng(seed)
    rows = chance.permutation(len(judged))[:JUDGED]
    values, truth = seen.valid[rows].astype(np.float32), judged[rows]
    variance = max(truth.var(), 1e-12)
    whole = np.mean((truth - grown.predict(values)) ** 2)
    owner = np.array(seen.owner)
    impurity, lost, deviation = {}, {}, {}
    for name in dict.fromkeys(seen.owner):
        columns = np.flatnonzero(owner == name)
        impurity[name] = float(grown.feature_importances_[columns].sum())
        losses = []
        for _ in range(REPEATS):
            shuffled = values.copy()
            shuffled[:, columns] = values[chance.permutation(len(values))][:, columns]
            losses.append((np.mean((truth - grown.predict(shuffled)) ** 2) - whole) / variance)
        lost[name], deviation[name] = float(np.mean(losses)), float(np.std(losses))
    return Forest(impurity, lost, deviation)


def components(columns: Sequence[str], values: np.ndarray, variance: float) -> Components:
    """The principal components of standardised columns that together keep a share of the variance.

    `values` (rows, columns) as a model takes them. Columns that never vary have no part. The largest weight of a
    component is positive.
    """
    center, spread = values.mean(axis=0), values.std(axis=0)
    varying = np.flatnonzero(spread > 1e-9)
    found = PCA(svd_solver="full").fit((values[:, varying] - center[varying]) / spread[varying])
    explained = found.explained_variance_ratio_
    kept = int(np.searchsorted(np.cumsum(explained), variance - 1e-12)) + 1
    turned = found.components_[: min(kept, len(explained))]
    largest = turned[np.arange(len(turned)), np.argmax(np.abs(turned), axis=1)]
    weights = turned * np.sign(largest)[:, None] / spread[varying]
    return Components([columns[k] for k in varying], explained, weights, -weights @ center[varying])


def choose(
    features: Sequence[str],
    still: Sequence[str],
    pruned: Sequence[Pruned],
    seen: Design,
    path: Lasso,
    by: Forest,
) -> Choice:
    """Kept is what LASSO gives a weight at its chosen penalty, or what the forest misses by more than two deviations."""
    weights = np.abs(path.weights[:, path.chosen])
    weighed = {
        name: max(weights[k] for k, owner in enumerate(seen.owner) if owner == name) for name in by.lost
    }
    twins = {each.feature: each for each in pruned}
    found = Choice([])
    for name in features:
        if name in still:
            found.reasons[name] = "never varies"
        elif name in twins:
            found.reasons[name] = f"as {twins[name].kept} (r = {twins[name].r:.2f})"
        else:
            missed = by.lost[name] > 2 * by.deviation[name] and by.lost[name] > 0
            says = [who for who, so in (("LASSO", weighed[name] > 0), ("forest", missed)) if so]
            found.reasons[name] = "kept by " + " and ".join(says) if says else "tells too little"
            if says:
                found.kept.append(name)
    found.kept.sort(key=lambda name: (-by.lost[name], -weighed[name], name))
    return found


def scores(seen: Design, target: np.ndarray, judged: np.ndarray, trees: int, seed: int) -> Score:
    """How well a forest on these features tells the target of the validation rows."""
    if not seen.columns:
        return Score(0.0)
    told = grow(seen.train, target, trees, seed).predict(seen.valid.astype(np.float32))
    r2 = 1 - np.mean((judged - told) ** 2) / max(judged.var(), 1e-12)
    yes_or_no = set(np.unique(judged)) == {0.0, 1.0}
    return Score(float(r2), float(roc_auc_score(judged, told)) if yes_or_no else None)


@dataclass(frozen=True)
class Findings:
    """All that was found: `whole` is the design of every feature, `seen` of those that LASSO and the forest looked at."""

    whole: Design
    seen: Design
    still: list[str]
    pruned: list[Pruned]
    path: Lasso
    by: Forest
    choice: Choice
    with_all: Score
    with_kept: Score
    components: Components


def search(
    train: Rows,
    valid: Rows,
    numbers: Sequence[str],
    categories: Sequence[str],
    flag: str,
    limit: float,
    variance: float,
    trees: int,
    seed: int,
) -> Findings:
    """Leaves out what never varies, then what is correlated; weighs the rest by LASSO and a forest, and chooses."""
    whole, still = design(train, valid, numbers, categories, flag, seed)
    target, judged = train.target, valid.target
    pruned = prune(whole, target, limit)
    out = {each.feature for each in pruned}
    seen = whole.of([name for name in whole.owner if name not in out])
    path, by = lasso(seen, target, judged), forest(seen, target, judged, trees, seed)
    features = list(dict.fromkeys(name.removesuffix(flag) for name in (*numbers, *categories)))
    choice = choose(features, still, pruned, seen, path, by)
    own = [k for k, name in enumerate(numbers) if not name.endswith(flag)]
    return Findings(
        whole,
        seen,
        still,
        pruned,
        path,
        by,
        choice,
        scores(whole, target, judged, trees, seed),
        scores(whole.of(choice.kept), target, judged, trees, seed),
        components([numbers[k] for k in own], train.numbers[:, own], variance),
    )


def as_facts(found: Findings) -> dict[str, Any]:
    """The findings as plain lists and numbers, for a page."""
    own = [
        k
        for k, (column, owner) in enumerate(zip(found.whole.columns, found.whole.owner, strict=True))
        if column == owner
    ]
    return {
        "kept": found.choice.kept,
        "reasons": found.choice.reasons,
        "scores": {"all": asdict(found.with_all), "kept": asdict(found.with_kept)},
        "lasso": {
            "columns": found.seen.columns,
            "owner": found.seen.owner,
            "penalties": found.path.penalties.tolist(),
            "weights": found.path.weights.tolist(),
            "loss": found.path.loss.tolist(),
            "best": found.path.best,
            "chosen": found.path.chosen,
        },
        "forest": asdict(found.by),
        "correlation": {
            "names": [found.whole.columns[k] for k in own],
            "r": correlations(found.whole.train[:, own]).tolist(),
        },
        "components": {
            "explained": found.components.explained.tolist(),
            "kept": len(found.components.weights),
            "largest": [
                [(found.components.columns[k], float(weights[k])) for k in np.argsort(-np.abs(weights))[:4]]
                for weights in found.components.weights
            ],
        },
    }
