"""Learning curves and differences over seeds, drawn on axes that the caller owns.

Needs the extra ``plot``. Nothing here touches pyplot: the functions draw on any Axes, on a machine
without a display too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from small_text_ext._extras import require_extra
from small_text_ext._statistics import bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart under every common colour blindness, less the yellow that
# white paper swallows.
_COLORS = ("#D55E00", "#0072B2", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000", "#7F7F7F")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", "-.", ":")
_CURVE_COLUMNS = ("method", "seed", "num_labeled")
_POINT_COLUMNS = ("method", "num_labeled")
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
_DECADES = {"ms": (1, 10, 100), "s": (1, 10), "min": (1, 10), "h": (1, 10, 100)}
# In points, of matplotlib's usual tick labels.
_CHARACTER_WIDTH = 6.0
_STEPS = {
    "ms": (1, 2, 5, 10, 20, 50, 100, 200, 500),
    "s": (1, 2, 5, 10, 30),
    "min": (1, 2, 5, 10, 30),
    "h": (1, 2, 5, 10, 20, 50, 100),
}


class MethodStyle(NamedTuple):
    """How the curve of one method is drawn: colour, marker and line tell it from the others.

    Parameters
    ----------
    color : str
        A matplotlib colour.
    marker : str
        A matplotlib marker, such as ``"o"``.
    linestyle : str
        A matplotlib line style, such as ``"-"``.

    Examples
    --------
    >>> MethodStyle("#D55E00", "o", "-").color
    '#D55E00'
    """

    color: str
    marker: str
    linestyle: str


def method_styles(
    methods: Iterable[str], known: Mapping[str, MethodStyle] | None = None
) -> dict[str, MethodStyle]:
    """Give every method a style of its own, safe for colour-blind readers.

    Parameters
    ----------
    methods : iterable of str
        The methods, in the order in which styles are handed out.
    known : mapping of str to MethodStyle, default=None
        Methods whose style is fixed, so that they look the same in every figure. Their styles are
        handed to no one else.

    Returns
    -------
    dict of str to MethodStyle
        One style for each method, no two alike. The first eight handed out differ in colour, later
        ones repeat the colours with another marker and line.

    Raises
    ------
    ValueError
        If there are more methods than styles, over 200.

    Examples
    --------
    >>> styles = method_styles(["random", "anchoral"])
    >>> styles["random"].color != styles["anchoral"].color
    True
    """
    fixed = dict(known or {})
    names = dict.fromkeys(methods)
    free = [style for style in _all_styles() if style not in fixed.values()]
    if len(names) > len(free):
        raise ValueError(f"methods holds {len(names)} names: draw at most {len(free)} in a figure.")
    handed_out = iter(free)
    return {name: fixed[name] if name in fixed else next(handed_out) for name in names}


def summarize_curves(
    frame: pd.DataFrame, *, x: str = "num_labeled", y: str = "value", intervals: bool = True
) -> pd.DataFrame:
    """Average the curves of each method over its seeds, with 95 % bootstrap intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``method``, ``seed``, ``num_labeled``, and those named by ``x`` and ``y``; one row
        for each point of each seed's curve. Rows without x or y are left out.
    x : str, default="num_labeled"
        Column of the horizontal place. Points are matched by ``num_labeled`` whatever ``x`` is; for
        another column, such as minutes, the place is the mean over seeds.
    y : str, default="value"
        Column of the value.
    intervals : bool, default=True
        Whether to resample. Without, ``low`` and ``high`` are all NaN, and the means, which are the
        same, take a hundredth of the time.

    Returns
    -------
    pandas.DataFrame
        Columns ``method``, ``num_labeled``, ``x``, ``mean``, ``low``, ``high`` and ``num_seeds``;
        ``low`` and ``high`` are NaN where a point has one seed.

    Raises
    ------
    ValueError
        If a column is missing, or a seed has two rows for one number of labels.

    Examples
    --------
    >>> frame = pd.DataFrame({
    ...     "method": "random", "seed": [0, 1], "num_labeled": 100, "value": [0.5, 0.25]})
    >>> summarize_curves(frame)["mean"].tolist()
    [0.375]
    """
    _check_curves(frame, x, y)
    measured = frame.dropna(subset=[x, y])
    columns = {name: measured[name] for name in _POINT_COLUMNS}
    points = pd.DataFrame({**columns, "x": measured[x], "value": measured[y]})
    grouped = points.groupby(list(_POINT_COLUMNS), sort=False)
    summary = grouped.agg(x=("x", "mean"), mean=("value", "mean"), num_seeds=("value", "size"))
    low, high = np.full((2, len(summary)), np.nan)
    if intervals:
        places = np.asarray(grouped.ngroup(), dtype=np.int64)
        low, high = _interval_ends(points["value"].to_numpy(), places)
    summary = summary.assign(low=low, high=high).reset_index()
    return summary[[*_POINT_COLUMNS, "x", "mean", "low", "high", "num_seeds"]]


def plot_learning_curves(
    ax: Axes,
    frame: pd.DataFrame,
    *,
    x: str = "num_labeled",
    y: str = "value",
    styles: Mapping[str, MethodStyle] | None = None,
    time_axis: bool = False,
    bands: bool = True,
) -> None:
    """Draw the mean curve of each method with its 95 % band over seeds.

    The lines carry the methods' names as labels; the legend is the caller's, since a figure of
    several panels needs one.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    frame : pandas.DataFrame
        As in `summarize_curves`. Methods are drawn in the order of the frame, the last on top.
    x : str, default="num_labeled"
        Column of the horizontal place.
    y : str, default="value"
        Column of the value.
    styles : mapping of str to MethodStyle, default=None
        Styles of the methods; None hands them out in the order of the frame. One mapping for all
        panels keeps a method's looks.
    time_axis : bool, default=False
        Whether ``x`` holds minutes: the axis is then logarithmic, with ticks such as 10 ms, 1 s and
        1 min, and points at zero minutes are left out.
    bands : bool, default=True
        Whether to draw the bands; False draws the lines alone, which is all that can be read where
        many curves lie over each other.

    Raises
    ------
    ValueError
        As in `summarize_curves`.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> frame = pd.DataFrame({"method": "random", "seed": [0, 0, 1, 1],
    ...     "num_labeled": [100, 125] * 2, "value": [0.25, 0.5, 0.5, 0.75]})
    >>> ax = Figure().subplots()
    >>> plot_learning_curves(ax, frame)
    >>> [line.get_label() for line in ax.lines]
    ['random']
    """
    summary = summarize_curves(frame, x=x, y=y, intervals=bands)
    if time_axis:
        summary = summary[summary["x"] > 0]
    methods = summary["method"].unique()
    looks = method_styles(methods) if styles is None else styles
    for method in methods:
        curve = summary[summary["method"] == method].sort_values("num_labeled")
        if bands:
            _draw_band(ax, curve, looks[method])
        _draw_line(ax, curve, str(method), looks[method])
    _tidy(ax)
    if time_axis:
        format_time_axis(ax)


def plot_differences(ax: Axes, frame: pd.DataFrame, *, color: str = _COLORS[1]) -> None:
    """Draw differences to a reference, one line each: a dot with its interval, beside zero.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    frame : pandas.DataFrame
        Columns ``method``, ``mean``, ``low`` and ``high``, in order from top to bottom; ``low`` and
        ``high`` may be NaN (one seed), and then the dot is hollow.
    color : str, default="#0072B2"
        Colour of dots and intervals.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    _require_columns(frame, ("method", "mean", "low", "high"))
    places = list(range(len(frame)))[::-1]
    ax.axvline(0, color="#7F7F7F", linewidth=0.8, zorder=1)
    ax.hlines(places, frame["low"], frame["high"], color=color, linewidth=1.6, zorder=2)
    faces = [color if known else "white" for known in frame["low"].notna()]
    ax.scatter(frame["mean"], places, s=26, color=faces, edgecolor=color, zorder=3)
    ax.set_yticks(places, frame["method"].astype(str).tolist())
    ax.set_ylim(-0.6, len(frame) - 0.4)
    _tidy(ax)
    ax.grid(visible=False, axis="y")
    ax.locator_params(axis="x", nbins=5)


def format_time_axis(ax: Axes) -> None:
    """Make a horizontal axis in minutes logarithmic, with ticks that name their unit.

    Ticks are decades (1 ms, 10 ms, ... 10 min, 1 h) where the axis spans at least three of them,
    and finer steps (1, 2, 5, 10, 30 s) below that; one whose label would touch its left neighbour's
    is left out.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes whose data are drawn already, in minutes.
    """
    ticker = require_extra("matplotlib.ticker", "plot")
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    decades, steps = _duration_ticks(_DECADES), _duration_ticks(_STEPS)
    enough = sum(low <= minutes <= high for minutes in decades) >= 3
    ticks = decades if enough else steps
    inside = {minutes: label for minutes, label in ticks.items() if low <= minutes <= high}
    shown = _without_crowding(inside, points_per_decade=_width(ax) / math.log10(high / low))
    if shown:
        ax.xaxis.set_major_locator(ticker.FixedLocator(list(shown)))
        ax.xaxis.set_major_formatter(ticker.FixedFormatter(list(shown.values())))
        ax.xaxis.set_minor_locator(ticker.NullLocator())


def _width(ax: Axes) -> float:
    """Return the width of a panel in points."""
    return float(ax.get_window_extent().width / ax.figure.dpi * 72)


def _without_crowding(ticks: Mapping[float, str], points_per_decade: float) -> dict[float, str]:
    """Keep the ticks of a logarithmic axis whose labels stand clear of the one to their left."""
    kept: dict[float, str] = {}
    end = -math.inf
    for tick, label in ticks.items():
        place, half = math.log10(tick) * points_per_decade, _CHARACTER_WIDTH * len(label) / 2
        if place - half > end + _CHARACTER_WIDTH:
            kept[tick] = label
            end = place + half
    return kept


def _all_styles() -> Iterable[MethodStyle]:
    for shift in range(len(_LINES) * len(_MARKERS)):
        for number, color in enumerate(_COLORS):
            marker = _MARKERS[(number + shift) % len(_MARKERS)]
            yield MethodStyle(color, marker, _LINES[shift % len(_LINES)])


def _check_curves(frame: pd.DataFrame, x: str, y: str) -> None:
    _require_columns(frame, (*_CURVE_COLUMNS, x, y))
    repeated = frame[frame.duplicated(list(_CURVE_COLUMNS))]
    if len(repeated):
        method, seed, num_labeled = (repeated[name].iloc[0] for name in _CURVE_COLUMNS)
        raise ValueError(
            f"frame has two rows for method {method!r}, seed {seed}, {num_labeled} labels: pass "
            "one experiment at a time."
        )


def _require_columns(frame: pd.DataFrame, columns: Iterable[str]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ValueError(f"frame lacks {missing}: it has the columns {list(frame.columns)}.")


def _interval_ends(values: NDArray[np.float64], points: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return low and high of each point, resampling all points of equally many seeds at once."""
    sizes = np.bincount(points)
    ends = np.full((2, len(sizes)), np.nan)
    by_point = values[np.argsort(points, kind="stable")]
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes):
        alike = np.flatnonzero(sizes == size)
        interval = bootstrap_interval(by_point[starts[alike] + np.arange(size)[:, None]])
        if interval is not None:
            ends[:, alike] = interval
    return ends


def _draw_band(ax: Axes, curve: pd.DataFrame, style: MethodStyle) -> None:
    places, low, high = (curve[name].to_numpy() for name in ("x", "low", "high"))
    ax.fill_between(places, low, high, color=style.color, alpha=0.13, linewidth=0)


def _draw_line(ax: Axes, curve: pd.DataFrame, name: str, style: MethodStyle) -> None:
    ax.plot(
        curve["x"].to_numpy(),
        curve["mean"].to_numpy(),
        label=name,
        color=style.color,
        marker=style.marker,
        linestyle=style.linestyle,
        linewidth=1.5,
        markersize=4,
        # A marker on every point of a long curve hides the line.
        markevery=max(1, len(curve) // 7),
    )


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, color="#E3E3E3", linewidth=0.6)
    ax.set_axisbelow(True)


def _duration_ticks(counts: Mapping[str, Iterable[int]]) -> dict[float, str]:
    return {
        number * _SECONDS[unit] / 60: f"{number} {unit}"
        for unit, numbers in counts.items()
        for number in numbers
    }
