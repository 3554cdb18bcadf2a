"""Data maps as published, and what a strategy acquired from each part of one.

Needs the extra ``plot``. Nothing here touches pyplot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from small_text_ext._extras import require_extra
from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.plotting.map_points import MapPoints, read_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

Style = Literal["published", "density"]
Palette = Literal["published", "colorblind"]

# Never correct, half of the time, always. The published ones are those of seaborn's
# diverging_palette(260, 15, center="dark"), which blends them linearly too; the others are Okabe
# and Ito's blue and orange, which stay apart under every common colour blindness.
_HUES = {
    "published": ("#5070db", "#222222", "#d1483a"),
    "colorblind": ("#0072B2", "#222222", "#E69F00"),
}
# Place in axes fraction and colour of the box: one of the hues, or black.
_REGIONS: dict[str, tuple[tuple[float, float], int | None]] = {
    "ambiguous": ((0.9, 0.5), None),
    "easy-to-learn": ((0.27, 0.85), 2),
    "hard-to-learn": ((0.35, 0.25), 0),
}
# Light to dark, and every step darker: few items can still be told from none.
_DENSITIES = ("#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84", "#081d58")
_MARKERS = ("o", "X", "s", "P", "D", "*", "^", "v")
_FONT = "Georgia"
_SMALL, _NORMAL, _LARGE = 12, 16, 18
# Above the largest deviation of values in [0, 1], so that every map has the same axis.
_LARGEST_VARIABILITY = 0.52
_MOST_VECTORS = 5_000
_BUCKETS = {
    "easy": "#0072B2",
    "medium": "#56B4E9",
    "hard": "#E69F00",
    "impossible": "#303030",
}


def plot_data_map(
    metrics: pd.DataFrame,
    *,
    title: str = "",
    num_epochs: int | None = None,
    style: Style = "published",
    max_points: int = 25_000,
    palette: Palette = "published",
    envelope: bool = True,
    seed: Seed = 0,
    axes: Axes | None = None,
) -> Figure:
    """Draw a data map: variability to the right, confidence upwards, correctness as colour.

    Parameters
    ----------
    metrics : pandas.DataFrame
        One row for each item, as `TrainingDynamics.metrics` returns it. Needed are the columns
        ``confidence`` and ``variability``, and ``correctness_fraction`` or, with ``num_epochs``,
        ``correctness``: released coordinates will do.
    title : str, default=""
        Such as "SNLI-RoBERTa Data Map".
    num_epochs : int or None, default=None
        How many epochs were recorded, as in `read_points`: there is a hue for each possible number
        of correct epochs, observed or not.
    style : {"published", "density"}, default="published"
        "published" looks as in the paper: one marker for each item. "density" counts the items in
        hexagons on a logarithmic colour scale, which can be read for tens of thousands of them; it
        draws all items, and no correctness but in its histogram.
    max_points : int, default=25000
        In the published style, more items than this are sampled, and the picture says so. The
        histograms count all items.
    palette : {"published", "colorblind"}, default="published"
        Blue over dark to red, or to orange. Up to 8 levels differ in their markers too.
    envelope : bool, default=True
        Whether to draw the outline that no item can leave: ``sqrt(confidence * (1 - confidence))``.
    seed : int, numpy.random.Generator or None, default=0
        Of the sample.
    axes : matplotlib.axes.Axes or None, default=None
        Where to draw the map alone. None makes a figure with three histograms beside the map.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, 14 by 10 inches where it is new. Save it with ``figure.savefig(path)``.

    Raises
    ------
    ValueError
        If a style or palette is unknown, ``max_points`` is below 1, or as in `read_points`.

    References
    ----------
    S. Swayamdipta et al., "Dataset Cartography: Mapping and Diagnosing Datasets with Training
    Dynamics", EMNLP 2020.

    Notes
    -----
    Differences from the published code: levels come from the number of epochs, not from the largest
    count observed; the legend is in order and below the map, where it
    hides no item; the sample is seeded, the rarest level on top; the
    histograms' axes say "items", which they count, not "density"; all maps share their axes. Where
    Georgia is not installed, matplotlib's own font is used.

    Examples
    --------
    >>> metrics = pd.DataFrame({"confidence": [0.9, 0.5, 0.1], "variability": [0.1, 0.4, 0.1],
    ...     "correctness": [2, 1, 0]})
    >>> figure = plot_data_map(metrics, num_epochs=2)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['0.0', '0.5', '1.0']
    """
    points = read_points(metrics, num_epochs)
    _check(style=style, palette=palette, max_points=max_points)
    ax, panels = _new_axes() if axes is None else (axes, ())
    if style == "published":
        _draw_items(ax, points, _HUES[palette], max_points, resolve_seed(seed))
    else:
        _draw_density(ax, points)
    if envelope:
        _draw_envelope(ax)
    _label_regions(ax, _HUES[palette])
    _finish_map(ax, points, title)
    for name, panel in zip(("confidence", "variability", "correctness"), panels, strict=False):
        _draw_histogram(panel, points, name)
    figure: Figure = ax.figure.figure
    if axes is None:
        use_published_font(figure)
    return figure


def plot_acquisitions(ax: Axes, frame: pd.DataFrame, *, share: bool = False) -> None:
    """Draw what a strategy acquired in each round: stacked bars, one part for each bucket.

    Buckets are those of the map of the fully labelled pool, by the share of correct epochs: easy,
    medium, hard, impossible. A strategy that acquires the impossible pays for outliers that no
    model learns. The bars bear the buckets' names as labels; the legend is the caller's.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Where to draw.
    frame : pandas.DataFrame
        Columns ``round`` (a number), ``bucket`` and ``count``; what is not in it counts zero.
    share : bool, default=False
        Whether to draw shares of each round instead of numbers.

    Raises
    ------
    ValueError
        If a column is missing, a bucket unknown, a count negative, or a bucket has two counts in
        one round.

    References
    ----------
    S. Karamcheti et al., "Mind Your Outliers! Investigating the Negative Impact of Outliers on
    Active Learning for Visual Question Answering", ACL 2021.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> frame = pd.DataFrame({"round": [1, 1, 2], "bucket": ["easy", "hard", "hard"],
    ...     "count": [3, 1, 4]})
    >>> ax = Figure().subplots()
    >>> plot_acquisitions(ax, frame)
    >>> [bars.get_label() for bars in ax.containers]
    ['easy', 'medium', 'hard', 'impossible']
    """
    counts = _acquired(frame)
    if share:
        counts = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    bottom = np.zeros(len(counts))
    rounds = counts.index.to_numpy()
    for bucket, color in _BUCKETS.items():
        heights = counts[bucket].to_numpy(dtype=np.float64)
        ax.bar(rounds, heights, bottom=bottom, color=color, edgecolor="white", label=bucket)
        bottom = bottom + heights
    locator = require_extra("matplotlib.ticker", "plot").MaxNLocator
    ax.xaxis.set_major_locator(locator(nbins=8, integer=True))
    ax.set(xlabel="round", ylabel="share of acquired items" if share else "acquired items")
    ax.spines[["top", "right"]].set_visible(False)


def use_published_font(figure: Figure) -> None:
    """Write a figure in the font of the published maps, where it is installed.

    Asking matplotlib for a font that is missing would end in a warning for each text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        All its texts are there already.
    """
    if _FONT not in require_extra("matplotlib.font_manager", "plot").get_font_names():
        return
    for text in figure.findobj(require_extra("matplotlib.text", "plot").Text):
        text.set_fontfamily(_FONT)
    for ax in figure.axes:
        ax.tick_params(labelfontfamily=_FONT)


def sample_rows(num_items: int, max_points: int, seed: int) -> NDArray[np.int64]:
    """Choose which items are drawn: all, or a sample without replacement, in order.

    Parameters
    ----------
    num_items : int
        How many there are.
    max_points : int
        How many are drawn at most.
    seed : int
        Same seed, same rows.

    Returns
    -------
    numpy.ndarray of int64
        Rows.

    Examples
    --------
    >>> sample_rows(3, max_points=5, seed=0).tolist()
    [0, 1, 2]
    """
    if num_items <= max_points:
        return np.arange(num_items)
    chosen = derived_generator(seed).choice(num_items, max_points, replace=False)
    return np.sort(chosen).astype(np.int64)


def _check(*, style: str, palette: str, max_points: int) -> None:
    if style not in ("published", "density"):
        raise ValueError(f"style is {style!r}: pass 'published' or 'density'.")
    if palette not in _HUES:
        raise ValueError(f"palette is {palette!r}: pass 'published' or 'colorblind'.")
    if max_points < 1:
        raise ValueError(f"max_points is {max_points}: draw at least one item.")


def _new_axes() -> tuple[Axes, tuple[Axes, ...]]:
    """Return the axes of the map and of three histograms, in a figure of the published size."""
    figure = require_extra("matplotlib.figure", "plot").Figure((14, 10), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(4, 1))
    ax = figure.add_subplot(grid[:, 0])
    return ax, tuple(figure.add_subplot(grid[row, 1]) for row in range(3))


def _draw_items(
    ax: Axes, points: MapPoints, hues: tuple[str, ...], max_points: int, seed: int
) -> None:
    rows = sample_rows(len(points), max_points, seed)
    drawn = points.take(rows)
    _draw_levels(ax, drawn, _color_map(hues))
    _draw_legend(ax, drawn.num_epochs)
    if len(rows) < len(points):
        note = f"{len(rows):,} of {len(points):,} items,\nsampled with seed {seed}"
        _annotate(ax, note)


def _draw_levels(ax: Axes, points: MapPoints, colors: LinearSegmentedColormap) -> None:
    counts = np.bincount(points.levels, minlength=points.num_epochs + 1)
    # The rarest on top: the others would hide them.
    ranks = np.argsort(np.argsort(-counts, kind="stable"))
    marked = len(counts) <= len(_MARKERS)
    for level, name in enumerate(points.level_names):
        rows = points.levels == level
        ax.scatter(
            points.variability[rows],
            points.confidence[rows],
            s=30,
            color=colors(level / points.num_epochs),
            marker=_MARKERS[level] if marked else "o",
            edgecolors="white",
            # White edges part the markers of few items, and wash out those of many.
            linewidths=0.3 if len(points) <= _MOST_VECTORS else 0,
            label=name,
            zorder=2 + ranks[level] / len(counts),
            rasterized=len(points) > _MOST_VECTORS,
        )


def _draw_legend(ax: Axes, num_epochs: int) -> None:
    handles, names = ax.get_legend_handles_labels()
    shown = _thinned(num_epochs, most=11 if num_epochs <= 10 else 6)
    size = _NORMAL if len(shown) <= 8 else _SMALL
    ax.legend(
        [handles[level] for level in shown],
        [names[level] for level in shown],
        title="correct.",
        # Below the map: inside, as published, it hides the most variable items.
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        # Room for the axis: its numbers and its name.
        borderaxespad=3.1 * _NORMAL / size,
        ncols=len(shown),
        fontsize=size,
        title_fontsize=size,
        markerscale=1.8,
        handletextpad=0.1,
        columnspacing=1.0,
        fancybox=True,
    )


def _draw_density(ax: Axes, points: MapPoints) -> None:
    right = _right_end(points)
    hexagons = ax.hexbin(
        points.variability,
        points.confidence,
        gridsize=(64, 44),
        extent=(0, right, 0, 1),
        bins="log",
        mincnt=1,
        cmap=_color_map(_DENSITIES),
        linewidths=0.2,
    )
    most = float(np.asarray(hexagons.get_array()).max())
    hexagons.set_clim(1, max(10.0, most))
    bar = ax.figure.colorbar(hexagons, ax=ax, location="bottom", shrink=0.5, aspect=40, pad=0.02)
    bar.set_label("items in a hexagon", fontsize=_NORMAL)
    plain = require_extra("matplotlib.ticker", "plot").StrMethodFormatter("{x:,.0f}")
    bar.ax.xaxis.set_major_formatter(plain)
    bar.ax.tick_params(labelsize=_SMALL)


def _draw_envelope(ax: Axes) -> None:
    confidence = np.linspace(0, 1, 201)
    largest = np.sqrt(confidence * (1 - confidence))
    ax.plot(largest, confidence, color="#7F7F7F", linewidth=1.2, linestyle="--", zorder=1.5)


def _label_regions(ax: Axes, hues: tuple[str, ...]) -> None:
    for name, (place, hue) in _REGIONS.items():
        color = "black" if hue is None else hues[hue]
        ax.annotate(
            name,
            xy=place,
            xycoords="axes fraction",
            ha="center",
            va="center",
            fontsize=_NORMAL,
            rotation=350,
            bbox={"boxstyle": "round,pad=0.3", "ec": color, "lw": 2, "fc": "white"},
            zorder=5,
        )


def _finish_map(ax: Axes, points: MapPoints, title: str) -> None:
    ax.set_xlim(-0.01, _right_end(points))
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("variability", fontsize=_NORMAL)
    ax.set_ylabel("confidence", fontsize=_NORMAL)
    ax.set_title(title, fontsize=_LARGE)
    ax.tick_params(labelsize=_SMALL)
    ax.grid(visible=True, color="#E3E3E3", linewidth=0.8)
    ax.set_axisbelow(True)


def _annotate(ax: Axes, note: str) -> None:
    """Write into the lower right corner, which no item can reach."""
    ax.annotate(
        note,
        xy=(0.985, 0.015),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=_SMALL,
        color="#404040",
    )


def _draw_histogram(ax: Axes, points: MapPoints, name: str) -> None:
    if name == "confidence":
        ax.hist(points.confidence, bins=20, range=(0, 1), color="#622a87")
    elif name == "variability":
        ax.hist(points.variability, bins=20, range=(0, _right_end(points)), color="teal")
    else:
        counts = np.bincount(points.levels, minlength=points.num_epochs + 1)
        ax.bar(range(len(counts)), counts, width=0.85, color="#86bf91")
        shown = _thinned(points.num_epochs, most=7 if points.num_epochs <= 10 else 4)
        ax.set_xticks(shown, [points.level_names[level] for level in shown])
    ax.set_xlabel(name, fontsize=_NORMAL)
    ax.set_ylabel("items", fontsize=_NORMAL)
    ax.tick_params(labelsize=_SMALL)
    ax.grid(visible=True, axis="y", color="#E3E3E3", linewidth=0.8)
    ax.set_axisbelow(True)


def _right_end(points: MapPoints) -> float:
    # Active Bias enlarges deviations: they may then be above the envelope.
    return max(_LARGEST_VARIABILITY, 1.04 * float(points.variability.max()))


def _thinned(num_epochs: int, most: int) -> list[int]:
    """Return the levels whose names are written: evenly spread, the first and the last too."""
    if num_epochs < most:
        return list(range(num_epochs + 1))
    spread = np.linspace(0, num_epochs, most)
    return [int(level) for level in np.unique(np.rint(spread))]


def _color_map(hues: tuple[str, ...]) -> LinearSegmentedColormap:
    colors = require_extra("matplotlib.colors", "plot")
    made: LinearSegmentedColormap = colors.LinearSegmentedColormap.from_list("correctness", hues)
    return made


def _acquired(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the counts with a row for each round and a column for each bucket."""
    missing = [name for name in ("round", "bucket", "count") if name not in frame.columns]
    if missing:
        raise ValueError(f"frame lacks {missing}: it has the columns {list(frame.columns)}.")
    unknown = sorted(set(frame["bucket"].astype(str)) - set(_BUCKETS))
    if unknown:
        raise ValueError(f"frame has the buckets {unknown}: known are {list(_BUCKETS)}.")
    repeated = frame[frame.duplicated(["round", "bucket"])]
    if len(repeated):
        number, bucket = repeated["round"].iloc[0], repeated["bucket"].iloc[0]
        raise ValueError(
            f"frame has two counts of {bucket!r} in round {number}: pass one run at a time."
        )
    if not (frame["count"] >= 0).all():
        raise ValueError(f"frame has the count {frame['count'].min()}: counts are at least 0.")
    wide = frame.pivot(index="round", columns="bucket", values="count")
    return wide.reindex(columns=list(_BUCKETS)).fillna(0).sort_index()
