"""How items move between the maps of two models.

Needs the extra ``plot``. Nothing here touches pyplot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from small_text_ext._extras import require_extra
from small_text_ext._random import Seed, resolve_seed
from small_text_ext.plotting.data_maps import sample_rows, use_published_font
from small_text_ext.training.dynamics_metrics import map_regions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXES = ("variability", "confidence")
# Okabe and Ito's colours, markers that differ too, and their areas: alike to the eye.
_LOOKS = {
    "easy": ("#E69F00", "o", 17),
    "ambiguous": ("#404040", "s", 13),
    "hard": ("#0072B2", "^", 19),
}
_HISTOGRAMS = {"variability": "teal", "confidence": "#622a87"}
_SMALL, _NORMAL, _LARGE = 12, 15, 18
_MOST_VECTORS = 5_000


class _Moves(NamedTuple):
    """The items of both maps: where they were, and where they are."""

    first: pd.DataFrame
    second: pd.DataFrame

    def changes(self, axis: str) -> NDArray[np.float64]:
        return np.asarray(self.second[axis].to_numpy() - self.first[axis].to_numpy(), np.float64)

    def correlation(self, axis: str) -> float:
        """Return Pearson's correlation of both maps' values; NaN where one does not vary."""
        values = np.stack([frame[axis].to_numpy(dtype=np.float64) for frame in self])
        if np.ptp(values, axis=1).min() == 0:
            return float("nan")
        return float(np.corrcoef(values)[0, 1])


def plot_map_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    names: tuple[str, str] = ("first", "second"),
    title: str = "",
    max_points: int = 10_000,
    seed: Seed = 0,
) -> Figure:
    """Draw where items go from the map of one model to that of another.

    A dot stands where an item has moved to: to the right if it became more variable, upwards if the
    model became more confident in its label. Colours tell the third of the first map that the item
    comes from, and a line ends at the mean move of each third. Items of a better model move upwards
    and, from the ambiguous third, to the left.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Columns ``guid``, ``confidence`` and ``variability``, one row for each item. Items are
        matched by guid; those in one frame alone are left out, and the picture says how many.
    names : tuple of str, default=("first", "second")
        What the two models are called.
    title : str, default=""
        Of the figure.
    max_points : int, default=10000
        More items than this are sampled, and the picture says so. Histograms, means and
        correlations are those of all matched items.
    seed : int, numpy.random.Generator or None, default=0
        Of the sample.

    Returns
    -------
    matplotlib.figure.Figure
        The map of moves with Pearson's correlations, and two histograms of the changes.

    Raises
    ------
    ValueError
        If a column is missing, a guid repeats, no guid is in both frames, or ``max_points`` is
        below 1.

    Examples
    --------
    >>> weak = pd.DataFrame({"guid": [1, 2, 3], "confidence": [0.9, 0.5, 0.1],
    ...     "variability": [0.1, 0.4, 0.1]})
    >>> figure = plot_map_difference(weak, weak.assign(confidence=[0.9, 0.8, 0.4]))
    >>> [ax.get_xlabel() for ax in figure.axes[1:]]
    ['change in variability', 'change in confidence']
    """
    if max_points < 1:
        raise ValueError(f"max_points is {max_points}: draw at least one item.")
    moves = _matched(first, second, names)
    figure: Figure = require_extra("matplotlib.figure", "plot").Figure(
        (14, 9), layout="constrained"
    )
    grid = figure.add_gridspec(2, 2, width_ratios=(3, 1))
    ax = figure.add_subplot(grid[:, 0])
    rows = sample_rows(len(moves.first), max_points, resolve_seed(seed))
    _draw_moves(ax, moves, rows, names[0])
    _describe(ax, moves, names, (len(rows), len(first), len(second)))
    ax.set_title(title or f"From {names[0]} to {names[1]}", fontsize=_LARGE)
    for row, axis in enumerate(_AXES):
        _draw_changes(figure.add_subplot(grid[row, 1]), moves, axis)
    use_published_font(figure)
    return figure


def _matched(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]) -> _Moves:
    for frame, name in zip((first, second), names, strict=True):
        _check_items(frame, name)
    before, after = (frame.set_index("guid")[list(_AXES)] for frame in (first, second))
    common = before.index[before.index.isin(after.index)]
    if not len(common):
        raise ValueError(
            f"No guid of {names[0]!r} is in {names[1]!r}: the first ones are "
            f"{before.index[0]!r} and {after.index[0]!r}. Pass two maps of the same "
            "items, with guids of one type."
        )
    return _Moves(before.loc[common], after.loc[common])


def _check_items(frame: pd.DataFrame, name: str) -> None:
    missing = [column for column in ("guid", *_AXES) if column not in frame.columns]
    if missing:
        raise ValueError(f"The map {name!r} lacks {missing}: it has {list(frame.columns)}.")
    if not len(frame):
        raise ValueError(f"The map {name!r} has no rows: pass at least one item.")
    repeated = frame["guid"][frame["guid"].duplicated()]
    if len(repeated):
        raise ValueError(
            f"The map {name!r} has the guid {repeated.tolist()[0]!r} twice: pass one row for each "
            "item."
        )
    values = frame[list(_AXES)].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(f"The map {name!r} has no finite place for row {row}: drop such items.")


def _thirds(moves: _Moves) -> dict[str, NDArray[np.int64]]:
    """Return the positions of the items of each third of the first map."""
    if len(moves.first) < 3:
        return {"ambiguous": np.arange(len(moves.first))}
    return map_regions(moves.first, 1 / 3, exclusive=True)


def _draw_moves(ax: Axes, moves: _Moves, rows: NDArray[np.int64], name_of_first: str) -> None:
    places = np.column_stack([moves.changes(axis) for axis in _AXES])
    ax.axhline(0, color="#7F7F7F", linewidth=1, zorder=1)
    ax.axvline(0, color="#7F7F7F", linewidth=1, zorder=1)
    for name, positions in _thirds(moves).items():
        color, marker, size = _LOOKS[name]
        shown = places[np.intersect1d(positions, rows)]
        ax.scatter(
            shown[:, 0],
            shown[:, 1],
            s=size,
            color=color,
            marker=marker,
            alpha=0.8 if len(rows) <= 2_000 else 0.35,
            linewidths=0,
            label=name,
            rasterized=len(rows) > _MOST_VECTORS,
        )
        _draw_mean(ax, places[positions].mean(axis=0), (color, marker))
    _frame(ax, places)
    legend = ax.legend(
        title=f"third of {name_of_first}",
        loc="upper right",
        fontsize=_NORMAL,
        title_fontsize=_NORMAL,
        markerscale=2.2,
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _draw_mean(ax: Axes, end: NDArray[np.float64], look: tuple[str, str]) -> None:
    """Draw a line from the origin to the mean move, and a large marker at its end."""
    color, marker = look
    path = np.stack([np.zeros(2), end]).T
    ax.plot(*path, color="white", linewidth=6, zorder=4)
    ax.plot(*path, color=color, linewidth=3, zorder=4.5)
    ax.plot(*end[:, None], marker=marker, color=color, markersize=15, mec="white", mew=2, zorder=5)


def _frame(ax: Axes, places: NDArray[np.float64]) -> None:
    """Put the origin into the middle: which way items move is seen at a glance."""
    right, top = np.maximum(0.05, 1.08 * np.abs(places).max(axis=0))
    ax.set(xlim=(-right, right), ylim=(-top, top))
    ax.set_xlabel("change in variability", fontsize=_NORMAL)
    ax.set_ylabel("change in confidence", fontsize=_NORMAL)
    ax.tick_params(labelsize=_SMALL)
    ax.grid(visible=True, color="#E3E3E3", linewidth=0.8)
    ax.set_axisbelow(True)


def _describe(
    ax: Axes, moves: _Moves, names: tuple[str, str], numbers: tuple[int, int, int]
) -> None:
    drawn, *sizes = numbers
    matched = len(moves.first)
    lines = [f"Pearson's r, {axis}: {_written(moves.correlation(axis))}" for axis in _AXES[::-1]]
    sampled = f", {drawn:,} drawn" if drawn < matched else ""
    lines.append(f"{matched:,} items in both maps{sampled}")
    lines += [
        f"{size - matched:,} in {name} alone"
        for name, size in zip(names, sizes, strict=True)
        if size > matched
    ]
    ax.annotate(
        "\n".join(lines),
        xy=(0.015, 0.015),
        xycoords="axes fraction",
        ha="left",
        va="bottom",
        fontsize=_NORMAL,
        bbox={"boxstyle": "round,pad=0.4", "ec": "#BFBFBF", "fc": "white", "alpha": 0.9},
        zorder=6,
    )


def _written(correlation: float) -> str:
    return "undefined" if np.isnan(correlation) else f"{correlation:.2f}"


def _draw_changes(ax: Axes, moves: _Moves, axis: str) -> None:
    changes = moves.changes(axis)
    reach = max(0.05, float(np.abs(changes).max()))
    ax.hist(changes, bins=30, range=(-reach, reach), color=_HISTOGRAMS[axis])
    ax.axvline(0, color="#404040", linewidth=1)
    ax.set_xlabel(f"change in {axis}", fontsize=_NORMAL)
    ax.set_ylabel("items", fontsize=_NORMAL)
    ax.tick_params(labelsize=_SMALL)
