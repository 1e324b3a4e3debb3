"""Pictures of effects, as PNG: Qini curves, and whether the arms of an observation overlap."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from reports.selection_charts import AMBER, BAR, BLUE, DPI, FAINT, INK, PAPER, SOFT, _plain

COLOURS = (BLUE, AMBER, BAR, SOFT, INK)
BINS = 40
SHOWN = 20  # inputs, those whose arms lie farthest apart


def qini_curves(curves: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], path: Path) -> None:
    """outcome -> model -> (share, gain), beside the straight line of treating at random."""
    figure = Figure(figsize=(4.6 * len(curves), 4.2), facecolor=PAPER)
    for axes, (outcome, models) in zip(
        np.ravel(figure.subplots(1, len(curves))), curves.items(), strict=True
    ):
        for colour, (name, (share, gain)) in zip(COLOURS, models.items(), strict=False):
            axes.plot(share, gain, color=colour, linewidth=1.5, label=name)
            axes.plot((0, 1), (0, gain[-1]), color=SOFT, linewidth=0.8, linestyle=":")
        axes.set_title(outcome, loc="left", fontsize=10, color=INK)
        axes.set_xlabel("share of users treated, best first")
        axes.set_ylabel("gain by treated user")
        axes.legend(frameon=False, fontsize=8)
        _plain(axes)
    _save(figure, path)


def overlap(
    propensity: np.ndarray,
    treated: np.ndarray,
    trim: float,
    inputs: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    path: Path,
) -> None:
    """The propensities of each arm, the area of each 1, with the ends behind which rows are left out; and how far the arms'
    inputs lie apart, in standard deviations, as they are and weighed."""
    figure = Figure(figsize=(11, 5.2), facecolor=PAPER)
    left, right = figure.subplots(1, 2)
    for arm, colour, name in ((~treated, SOFT, "not treated"), (treated, BLUE, "treated")):
        left.hist(propensity[arm], BINS, (0, 1), density=True, color=colour, alpha=0.55, label=name)
    for end in (trim, 1 - trim):
        left.axvline(end, color=AMBER, linewidth=1)
    left.set_xlabel("propensity: chance to be treated (orange: rows beyond are left out)")
    left.set_ylabel("density within the arm")
    left.legend(frameon=False, fontsize=9)
    farthest = np.argsort(np.abs(before))[-SHOWN:]
    names = [inputs[place] for place in farthest]
    right.scatter(before[farthest], names, color=AMBER, s=16, label="as they are")
    right.scatter(after[farthest], names, color=BLUE, s=16, label="weighed")
    for limit in (-0.1, 0.1):
        right.axvline(limit, color=FAINT, linewidth=1)
    right.axvline(0, color=INK, linewidth=0.8)
    right.set_xlabel("treated less not treated, in standard deviations")
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        _plain(axes)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, dpi=DPI, facecolor=PAPER)
