"""The figure of batches that a score selects: accuracy over gradient steps, panel by condition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmarks.selection_tables import Curve, SelectionComparison
from small_text_ext._extras import require_extra
from small_text_ext.plotting import MethodStyle, method_styles, plot_learning_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SELECTION_STYLES = {
    "uniform": MethodStyle("#7F7F7F", "o", ":"),
    "loss": MethodStyle("#E69F00", "s", "-"),
    "irreducible loss": MethodStyle("#0072B2", "v", "--"),
    "reducible loss": MethodStyle("#D55E00", "o", "-"),
}
_COLUMNS = 3
_TEXT = "#404040"


def selection_figure(comparisons: Sequence[SelectionComparison], title: str) -> Figure:
    """Draw accuracy over gradient steps, one panel for each condition.

    Longer runs and ablations are left out: curves of equal steps are compared.

    Parameters
    ----------
    comparisons : sequence of SelectionComparison
        Of one section.
    title : str
        Above the panels.

    Returns
    -------
    matplotlib.figure.Figure
        A dashed line is the target: uniform's mean over its last three evaluations.
    """
    frames = [_frame(comparison) for comparison in comparisons]
    shown = [pair for pair in zip(comparisons, frames, strict=True) if len(pair[1])]
    figure_module = require_extra("matplotlib.figure", "plot")
    num_rows = max(1, math.ceil(len(shown) / _COLUMNS))
    num_columns = max(1, min(_COLUMNS, len(shown)))
    figure: Figure = figure_module.Figure(
        figsize=(3.8 * num_columns, 3.1 * num_rows + 0.9), layout="constrained"
    )
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    styles = _styles(frames)
    for ax, (comparison, frame) in zip(axes, shown, strict=False):
        plot_learning_curves(ax, frame, y="accuracy", styles=styles)
        targets = [value for value in comparison.targets.values() if value is not None]
        if targets:
            mean = sum(targets) / len(targets)
            ax.axhline(mean, color="black", linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
        ax.set_title(comparison.condition.title, fontsize=9.5, loc="left", color=_TEXT)
        ax.set_xlabel("gradient steps")
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    axes[0].set_ylabel("accuracy on the test set")
    _add_legend(figure, title)
    return figure


def _styles(frames: Sequence[pd.DataFrame]) -> dict[str, MethodStyle]:
    names = dict.fromkeys(name for frame in frames for name in frame.get("method", ()))
    return method_styles(names, SELECTION_STYLES)


def _add_legend(figure: Figure, title: str) -> None:
    drawn: dict[Any, Any] = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(drawn.values()),
        list(drawn),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize=9,
        handlelength=3.2,
    )
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", color=_TEXT)


def _frame(comparison: SelectionComparison) -> pd.DataFrame:
    curves = [curve for curve in comparison.curves if _is_drawn(curve)]
    scores = Counter(curve.settings.score for curve in curves)
    rows = [
        {
            # The score, as long as it says which curve is meant.
            "method": curve.settings.score.replace("_", " ")
            if scores[curve.settings.score] == 1
            else curve.name,
            "seed": seed,
            "num_labeled": record.step,
            "accuracy": record.metrics.get("accuracy"),
        }
        for curve in curves
        for seed, records in curve.rounds.items()
        for record in records
    ]
    return pd.DataFrame(rows)


def _is_drawn(curve: Curve) -> bool:
    return curve.settings.passes == 1.0 and not curve.is_ablation
