"""The pictures of a selection of features, as PNG inside the page."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

PAPER, INK, SOFT, FAINT = "#faf8f3", "#24211c", "#6a645a", "#ddd6c8"
BLUE, BAR, AMBER = "#1d5f91", "#7ea6c4", "#b04a0b"
NAMED = 8  # lines of the path with their names
SHOWN = 30  # features in the bars
DPI = 150


def path(lasso: Mapping[str, Any]) -> Markup:
    """The weights of columns along the penalty, and what is lost on validation."""
    figure = Figure(figsize=(9.2, 6.2), facecolor=PAPER)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    penalties, weights = np.array(lasso["penalties"]), np.array(lasso["weights"])
    loudest = np.argsort(-np.abs(weights[:, -1]))[:NAMED]
    for place, line in enumerate(weights):
        colour, width = (BLUE, 1.6) if place in loudest else (BAR, 0.8)
        upper.plot(penalties, line, color=colour, linewidth=width, alpha=1.0 if place in loudest else 0.7)
    beside = upper.get_yaxis_transform()  # across in parts of the axes, up in weights
    for place, height in zip(loudest, _spread(weights[loudest, -1], 0.055 * np.ptp(weights)), strict=True):
        upper.text(
            1.015, height, lasso["columns"][place], transform=beside, color=INK, fontsize=9, va="center"
        )
    lower.plot(penalties, lasso["loss"], color=BLUE, linewidth=1.6)
    for axes in (upper, lower):
        axes.axvline(penalties[lasso["chosen"]], color=AMBER, linewidth=1.2)
        axes.axvline(penalties[lasso["best"]], color=SOFT, linewidth=0.8, linestyle=":")
        _plain(axes)
    kept = int(np.count_nonzero(weights[:, lasso["chosen"]]))
    upper.set_title(
        f"{kept} of {len(weights)} columns have a weight at the chosen penalty",
        loc="left",
        color=AMBER,
        fontsize=10,
    )
    upper.set_ylabel("weight")
    lower.set_ylabel("loss on validation,\nin target variances")
    lower.set_xlabel("penalty (dotted: the least loss; orange: the largest within one standard error of it)")
    lower.set_xscale("log")
    lower.invert_xaxis()
    figure.subplots_adjust(right=0.77, left=0.1, top=0.93, bottom=0.1, hspace=0.08)
    return _image(figure, "Weights along the LASSO path")


def importance(forest: Mapping[str, Any], kept: Sequence[str]) -> Markup:
    """Bars of both importances, the features that are missed most on top; the chosen ones dark."""
    names = sorted(forest["lost"], key=lambda name: -forest["lost"][name])[:SHOWN][::-1]
    figure = Figure(figsize=(9.2, 1.2 + 0.24 * len(names)), facecolor=PAPER)
    left, right = figure.subplots(1, 2, sharey=True)
    colours = [BLUE if name in kept else BAR for name in names]
    spread = [2 * forest["deviation"][name] for name in names]
    left.barh(
        names, [forest["lost"][name] for name in names], color=colours, xerr=spread, ecolor=SOFT, height=0.72
    )
    right.barh(names, [forest["impurity"][name] for name in names], color=colours, height=0.72)
    left.set_title("R² lost on validation when shuffled, ± 2 deviations", loc="left", fontsize=10, color=INK)
    right.set_title("Share of the impurity that its splits remove", loc="left", fontsize=10, color=INK)
    for axes in (left, right):
        _plain(axes)
        axes.grid(axis="y", visible=False)
        axes.margins(y=0.01)
    left.axvline(0, color=INK, linewidth=0.8)
    figure.tight_layout()
    return _image(figure, "Importance of features in a random forest")


def variance(components: Mapping[str, Any], wanted: float) -> Markup:
    """What each principal component explains, and all up to it."""
    explained, kept = np.array(components["explained"]), components["kept"]
    numbers = np.arange(1, len(explained) + 1)
    figure = Figure(figsize=(9.2, 3.6), facecolor=PAPER)
    axes = figure.subplots()
    axes.bar(numbers, explained, color=[BLUE if number <= kept else BAR for number in numbers], width=0.8)
    axes.plot(numbers, np.cumsum(explained), color=INK, linewidth=1.4, marker="o", markersize=3)
    axes.axhline(wanted, color=AMBER, linewidth=1)
    axes.annotate(
        f"{kept} components keep {np.cumsum(explained)[kept - 1]:.1%}", (kept, np.cumsum(explained)[kept - 1]),
        (10, -22), textcoords="offset points", color=AMBER, fontsize=10,
    )  # fmt: skip
    axes.set_ylim(0, 1.03)
    axes.set_xlim(0.3, len(explained) + 0.7)
    axes.set_xlabel("principal component")
    axes.set_ylabel("share of the variance")
    _plain(axes)
    figure.tight_layout()
    return _image(figure, "Variance explained by principal components")


def correlation(found: Mapping[str, Any]) -> Markup:
    """The heat map, like beside like."""
    r, names = np.array(found["r"]), found["names"]
    order = _alike(r)
    side = 2.4 + 0.17 * len(names)
    figure = Figure(figsize=(side + 0.6, side), facecolor=PAPER)
    axes = figure.subplots()
    shown = axes.imshow(r[np.ix_(order, order)], cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), [names[k] for k in order], rotation=90, fontsize=7.5, color=INK)
    axes.set_yticks(range(len(names)), [names[k] for k in order], fontsize=7.5, color=INK)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(shown, ax=axes, shrink=0.5, aspect=30, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=SOFT, length=0)
    figure.tight_layout()
    return _image(figure, "Correlation of features")


def _alike(r: np.ndarray) -> list[int]:
    """An order in which correlated columns stand together: the leaves of a tree by 1 - |r|."""
    if len(r) < 3:
        return list(range(len(r)))
    distance = 1 - np.abs((r + r.T) / 2)
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average")).tolist()


def _spread(values: np.ndarray, least: float) -> list[float]:
    """Heights for labels, as near to `values` as they may be without touching: `least` apart."""
    order = np.argsort(values)
    placed = values[order].astype(float)
    for k in range(1, len(placed)):
        placed[k] = max(placed[k], placed[k - 1] + least)
    placed -= (placed - values[order]).mean()
    heights = np.empty(len(placed))
    heights[order] = placed
    return heights.tolist()


def _plain(axes: Axes) -> None:
    axes.set_facecolor(PAPER)
    axes.grid(color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelcolor=INK, labelsize=9, length=0)
    axes.xaxis.label.set_color(SOFT)
    axes.yaxis.label.set_color(SOFT)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(SOFT)


def _image(figure: Figure, told: str) -> Markup:
    """The figure in the page; without the date and the version of who drew it, so that the same facts give the same page."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    data = base64.b64encode(drawn.getvalue()).decode()
    width, height = figure.get_size_inches() * DPI
    return Markup(
        '<img class="drawn" alt="{}" width="{:.0f}" height="{:.0f}" src="data:image/png;base64,{}">'
    ).format(told, width, height, data)
