"""What online batch selection chose, step by step.

Needs the extra ``plot``. Nothing here touches pyplot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from small_text_ext._extras import require_extra
from small_text_ext.plotting.curves import method_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHARES = {
    "already_correct": "already correct, of the selected",
    "noisy": "known to be wrong, of the selected",
    "negative": "score below zero, of the candidates",
    "concentration": "score held by the best fifth",
}
_NEEDED = ("step", "epoch")
_CLASS = "class_"
# A legend of more entries than this would be taller than its panel.
_MOST_CLASSES = 12
_MOST_EPOCHS = 50
_PARTS_OF_A_LOG = 50
_GREY = "#7F7F7F"


class HasFrame(Protocol):
    """What a `SelectionLog` is to a picture."""

    def frame(self) -> pd.DataFrame:
        """Return one row for each step."""
        ...


def plot_selection_log(
    log: HasFrame | pd.DataFrame,
    *,
    noise_rate: float | None = None,
    window: int | None = None,
    title: str = "",
) -> Figure:
    """Draw what was selected over the steps of a fit: how much of it was learnt, noise, or rare.

    What to look for: a selection that trains what is already correct wastes steps, and one that
    selects more noise than there is learns it. The share of each class tells whether one is
    neglected. Dotted lines stand where an epoch begins, unless there are more than 50.

    Parameters
    ----------
    log : SelectionLog or pandas.DataFrame
        The log of a `ScoreSelector`, its frame, or the ``selection_log_`` of a
        `ReducibleLossClassification`.
    noise_rate : float or None, default=None
        The share of all items that is known to be wrong: what a random selection would choose is
        drawn as a dashed line.
    window : int or None, default=None
        Steps that each value is the mean of, its own and those before it; values that were not
        computed, such as those of a warm-up, are left out. None is a fiftieth of all steps, 1 does
        not smooth.
    title : str, default=""
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A panel of shares of the selection, and one of the share of each class; of more than twelve
        classes, those that were selected most.

    Raises
    ------
    ValueError
        If the log is empty or lacks a column, or an option is out of range.

    Examples
    --------
    >>> log = pd.DataFrame({"step": [0, 1], "epoch": [0, 0], "already_correct": [0.25, 0.75],
    ...     "class_0": [0.5, 1.0], "class_1": [0.5, 0.0]})
    >>> figure = plot_selection_log(log, window=1)
    >>> [line.get_label() for line in figure.axes[1].lines]
    ['class 0', 'class 1']
    """
    frame = log if isinstance(log, pd.DataFrame) else log.frame()
    _check(frame, noise_rate, window)
    window = window or math.ceil(len(frame) / _PARTS_OF_A_LOG)
    figure: Figure = require_extra("matplotlib.figure", "plot").Figure(
        (10, 6), layout="constrained"
    )
    top, bottom = figure.subplots(2, sharex=True)
    known = {name: label for name, label in _SHARES.items() if _is_known(frame, name)}
    _draw(top, frame, known, window)
    if noise_rate is not None:
        top.axhline(
            noise_rate, color=_GREY, linestyle="--", linewidth=1.2, label="wrong, of all items"
        )
    _draw(bottom, frame, _classes(frame), window)
    for ax, name in ((top, "share"), (bottom, "share of the selected")):
        _finish(ax, frame, name)
    steps = "step" if window == 1 else f"step (means of {window})"
    bottom.set_xlabel(steps)
    top.set_title(title)
    return figure


def _check(frame: pd.DataFrame, noise_rate: float | None, window: int | None) -> None:
    if not len(frame):
        raise ValueError(
            "The log has no rows: all was trained, as happens to sets of fewer than two candidate "
            "batches; raise selected_fraction, or lower batch_size."
        )
    missing = [name for name in _NEEDED if name not in frame.columns]
    if missing:
        raise ValueError(f"The log lacks {missing}: it has {list(frame.columns)}.")
    if noise_rate is not None and not 0 <= noise_rate <= 1:
        raise ValueError(f"noise_rate is {noise_rate}: pass a share of at least 0 and at most 1.")
    if window is not None and window < 1:
        raise ValueError(f"window is {window}: pass a number of steps of at least 1.")


def _is_known(frame: pd.DataFrame, name: str) -> bool:
    return name in frame.columns and bool(frame[name].notna().any())


def _classes(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns of the classes with their labels, in order."""
    names = [str(name) for name in frame.columns if str(name).startswith(_CLASS)]
    most = set(frame[names].mean().nlargest(_MOST_CLASSES).index)
    return {name: name.replace("_", " ") for name in names if name in most}


def _draw(ax: Axes, frame: pd.DataFrame, columns: Mapping[str, str], window: int) -> None:
    # All have a style of their own, so that one is the same whatever others are known.
    styles = method_styles(_SHARES if columns.keys() <= _SHARES.keys() else columns)
    for name, label in columns.items():
        means = frame[name].rolling(window, min_periods=1).mean()
        means = means.where(frame[name].notna())
        style = styles[name]
        ax.plot(
            frame["step"].to_numpy(),
            means.to_numpy(),
            label=label,
            color=style.color,
            marker=style.marker,
            linestyle=style.linestyle,
            linewidth=1.5,
            markersize=4,
            markevery=max(1, len(frame) // 7),
        )


def _finish(ax: Axes, frame: pd.DataFrame, name: str) -> None:
    begins = frame.loc[frame["epoch"].diff() > 0, "step"]
    if 0 < len(begins) <= _MOST_EPOCHS:
        across = ax.get_xaxis_transform()
        ax.vlines(begins, 0, 1, transform=across, color="#BBBBBB", ls=":", lw=0.8, zorder=1)
    ax.set_ylabel(name)
    ax.set_ylim(-0.02, 1.02)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, axis="y", color="#E3E3E3", linewidth=0.6)
    ax.set_axisbelow(True)
    if ax.lines:
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
