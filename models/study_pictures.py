"""Pictures of a search: how it went on, which settings mattered, and what each came to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.visualization import matplotlib as plots

matplotlib.use("Agg")
FEW = 4  # trials below which importances say nothing


def pictures(study: optuna.Study, metric: str, folder: Path) -> list[Path]:
    """PNG files in `folder`; their paths."""
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    drawn: dict[str, Callable[..., Any]] = {
        "history": plots.plot_optimization_history,
        "settings": plots.plot_slice,
    }
    if len(complete) >= FEW and len({trial.value for trial in complete}) > 1:
        drawn["importance"] = plots.plot_param_importances
    paths = []
    for name, plot in drawn.items():
        paths.append(folder / f"search_{name}.png")
        _save(plot(study, target_name=metric), paths[-1])
    return paths


def _save(axes: Any, path: Path) -> None:
    """`axes`: one, or an array of them."""
    first = axes.flat[0] if hasattr(axes, "flat") else axes
    figure = first.get_figure()
    figure.set_size_inches(max(7, 3.2 * len(figure.axes)), 4.5)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    matplotlib.pyplot.close(figure)
