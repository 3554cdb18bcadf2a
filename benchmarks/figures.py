"""The figures of one section: learning curves, balance, and what the ablations change."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks.tables import Comparison
from small_text_ext._extras import require_extra
from small_text_ext.plotting import (
    MethodStyle,
    method_styles,
    plot_differences,
    plot_learning_curves,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The methods of the paper look the same in every figure; the main one is the warmest.
KNOWN_STYLES = {
    "random": MethodStyle("#7F7F7F", "o", ":"),
    "least-confidence": MethodStyle("#E69F00", "s", "-"),
    "random-subset": MethodStyle("#56B4E9", "^", "--"),
    "random-subset-matched": MethodStyle("#0072B2", "v", "--"),
    "seals": MethodStyle("#009E73", "D", "-"),
    "anchor-subsampling": MethodStyle("#CC79A7", "P", "-."),
    "anchoral": MethodStyle("#D55E00", "o", "-"),
}
_DPI = 150
_TEXT = "#404040"
_LABELS, _QUERY_TIME = "num_labeled", "query_minutes"
_PANELS = (
    (_LABELS, "labels"),
    ("minutes", "query + fit time"),
    (_QUERY_TIME, "query time"),
)
# A random query takes a millisecond: its curve would press all others into a corner.
_FREE_QUERIES = ("RandomSampling",)


def learning_figure(comparison: Comparison) -> Figure:
    """Draw average precision and F1 of the minority classes against labels and against time.

    Parameters
    ----------
    comparison : Comparison
        A section with at least one method that is no ceiling.

    Returns
    -------
    matplotlib.figure.Figure
        Two rows (average precision, F1) of three panels (labels, minutes of queries and fits,
        minutes of queries; the last without random sampling, whose queries cost nothing). Bands are
        drawn against labels only. A dashed line is the ceiling. Heights start at zero, unless all
        that is drawn lies in the upper half.
    """
    figure = _new_figure(width=11.0, height=6.9)
    axes = figure.subplots(2, 3, sharey="row", sharex="col")
    styles = _styles(comparison)
    measures = (("average_precision", "average precision"), ("f1", "F1"))
    for row, (name, label) in zip(axes, measures, strict=True):
        ceiling = _ceiling(comparison, f"final_{name}")
        for ax, (x, _) in zip(row, _PANELS, strict=True):
            _draw_curves(ax, comparison, x, f"minority_{name}", styles)
            _draw_level(ax, ceiling, "all labels of the pool")
        lowest, highest = row[0].get_ylim()
        if lowest < highest / 2:
            row[0].set_ylim(bottom=0)
        of_whom = f"{label}, mean over classes" if comparison.wants_all else f"minority {label}"
        row[0].set_ylabel(of_whom)
    for ax, (_, label) in zip(axes[1], _PANELS, strict=True):
        ax.set_xlabel(label if label == "labels" else f"{label}, cumulative")
    _finish(figure, comparison)
    return figure


def balance_figure(comparison: Comparison) -> Figure:
    """Draw how many minority texts each method found, their shares, and what subpools are like.

    Where all classes are wanted there are no such shares, and two panels say so. Where a method has
    a subpool, three panels more follow: with those of the shares they are the four of the AnchorAL
    repository's figure.

    Parameters
    ----------
    comparison : Comparison
        A section with at least one method that is no ceiling.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels against labels; a dashed line is the share in the pool itself. With subpools
        also their size against labels, and for each method the area under F1 as published and the
        minutes of all queries, means with their intervals.
    """
    has_subpools = comparison.has_subpools
    figure = _new_figure(width=11.0, height=7.2 if has_subpools else 4.2)
    axes = figure.subplots(2 if has_subpools else 1, 3, squeeze=False)
    styles = _styles(comparison)
    panels = (
        ("found", "minority texts found, of all in the pool"),
        ("labeled_share", "minority share of the labels"),
        ("subpool_share", "minority share of the subpool"),
    )
    ticker = require_extra("matplotlib.ticker", "plot")
    for ax, (measure, label) in zip(axes[0], panels, strict=True):
        _draw_curves(ax, comparison, "num_labeled", measure, styles)
        if measure != "found":
            _draw_level(ax, _pool_share(comparison), "share in the pool")
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(ticker.PercentFormatter(1.0))
        _name_panel(ax, label)
    all_wanted = comparison.wants_all
    _note_if_empty(axes[0][1], "all classes are wanted")
    _note_if_empty(
        axes[0][2], "all classes are wanted" if all_wanted else "no method has a subpool"
    )
    if has_subpools:
        _draw_subpools(axes[1], comparison, styles)
    _finish(figure, comparison)
    return figure


def _name_panel(ax: Axes, title: str, x: str = "labels") -> None:
    ax.set_title(title, fontsize=9.5, loc="left", color=_TEXT)
    ax.set_xlabel(x)


def _draw_subpools(
    axes: Sequence[Axes], comparison: Comparison, styles: dict[str, MethodStyle]
) -> None:
    """Draw the area that the paper reports, the time of queries, and the size of the subpool."""
    for ax, measure, title, scale in (
        (axes[0], "published_area_f1", "area under minority F1, as published", 1.0),
        (axes[1], "total_query_seconds", "minutes of all queries", 1 / 60),
    ):
        plot_differences(ax, _means(comparison, measure, scale))
        _name_panel(ax, title, "")
        # Zero is no reference here.
        ax.set_xlim(left=0)
    axes[1].set_yticklabels([])
    _draw_curves(axes[2], comparison, _LABELS, "subpool_size", styles)
    axes[2].set_ylim(bottom=0)
    _name_panel(axes[2], "texts in the subpool")


def _means(comparison: Comparison, measure: str, scale: float) -> pd.DataFrame:
    rows = []
    for name in comparison.curves:
        found = comparison.estimate(name, measure)
        ends = (None, None, None) if found is None else (found.mean, found.low, found.high)
        rows.append((name, *(None if end is None else end * scale for end in ends)))
    frame = pd.DataFrame(rows, columns=["method", "mean", "low", "high"])
    return frame.astype({"mean": float, "low": float, "high": float})


def ablation_figure(comparison: Comparison) -> Figure:
    """Draw by how much each ablation differs from the method that it varies, paired by seed.

    Parameters
    ----------
    comparison : Comparison
        A section with ablations, and with a method to compare them with.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels: area under average precision, and minority labels found.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    """
    subject = comparison.subject
    if subject is None or not comparison.ablations:
        raise ValueError(
            "comparison has no ablations beside an AnchorAL: there is nothing to draw."
        )
    figure = _new_figure(width=9.0, height=1.5 + 0.32 * len(comparison.ablations))
    axes = figure.subplots(1, 2, sharey=True)
    panels = (
        ("area_average_precision", "area under average precision"),
        ("minority_labeled", "minority labels found"),
    )
    for ax, (measure, label) in zip(axes, panels, strict=True):
        plot_differences(ax, _differences(comparison, subject, measure))
        ax.set_xlabel(f"{label}, minus {subject}")
    figure.suptitle(_title(comparison), fontsize=11, x=0.01, ha="left", color=_TEXT)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file, the same for the same figure.

    Its layout is settled here: a later `savefig` keeps it.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        # Once: savefig would lay everything out twice, and draw it twice for that.
        figure.set_dpi(_DPI)
        engine.execute(figure)
        figure.set_layout_engine(None)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _new_figure(width: float, height: float) -> Figure:
    figure_module = require_extra("matplotlib.figure", "plot")
    figure: Figure = figure_module.Figure(figsize=(width, height), layout="constrained")
    return figure


def _styles(comparison: Comparison) -> dict[str, MethodStyle]:
    return method_styles(comparison.curves, KNOWN_STYLES)


def _draw_curves(
    ax: Axes, comparison: Comparison, x: str, y: str, styles: dict[str, MethodStyle]
) -> None:
    rounds = comparison.rounds
    # In the order of the methods, so that the main one, the last, is drawn on top.
    frames = [rounds[rounds["method"] == name] for name in comparison.curves]
    frame = pd.concat(frames).dropna(subset=[y])
    if x == _QUERY_TIME:
        frame = _without_free_queries(frame)
    by_labels = x == _LABELS
    plot_learning_curves(
        ax, frame, x=x, y=y, styles=styles, time_axis=not by_labels, bands=by_labels
    )


def _without_free_queries(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop random sampling, unless nothing else is there."""
    kept = frame[~frame["strategy"].isin(_FREE_QUERIES)]
    return frame if kept.empty else kept


def _draw_level(ax: Axes, level: float | None, label: str) -> None:
    if level is not None:
        dashes = (0, (5, 3))
        ax.axhline(level, color="black", linewidth=0.9, linestyle=dashes, zorder=1.5, label=label)


def _ceiling(comparison: Comparison, measure: str) -> float | None:
    estimates = [comparison.estimate(name, measure) for name in comparison.ceilings]
    known = [estimate.mean for estimate in estimates if estimate is not None]
    return max(known) if known else None


def _pool_share(comparison: Comparison) -> float | None:
    """Return the share of the minority classes in the pool, the mean over units, if any."""
    minority = comparison.section.results[0].spec.dataset.minority
    if not minority:
        return None
    shares = [
        sum(result.pool_counts.get(name, 0) for name in minority) / sum(result.pool_counts.values())
        for result in comparison.section.results
        if sum(result.pool_counts.values())
    ]
    return sum(shares) / len(shares) if shares else None


def _note_if_empty(ax: Axes, text: str) -> None:
    if not ax.collections:
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=_TEXT)
        ax.set_yticks([])


def _differences(comparison: Comparison, subject: str, measure: str) -> pd.DataFrame:
    rows = []
    for name in comparison.ablations:
        estimate = comparison.difference(name, subject, measure)
        if estimate is not None:
            rows.append((name, estimate.mean, estimate.low, estimate.high))
    frame = pd.DataFrame(rows, columns=["method", "mean", "low", "high"])
    return frame.astype({"mean": float, "low": float, "high": float})


def _finish(figure: Figure, comparison: Comparison) -> None:
    """Add title and legend: one for all panels, below them."""
    drawn: dict[str, Artist] = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    curves = [name for name in comparison.curves if name in drawn]
    names = curves + [name for name in drawn if name not in curves]
    figure.legend(
        [drawn[name] for name in names],
        names,
        loc="outside lower center",
        ncols=min(len(names), 5),
        frameon=False,
        fontsize=9,
        handlelength=3.2,
    )
    figure.suptitle(_title(comparison), fontsize=11, x=0.01, ha="left", color=_TEXT)


def _title(comparison: Comparison) -> str:
    seeds = comparison.num_seeds
    spread = f"mean and 95 % interval over {seeds} seeds" if seeds > 1 else "one seed: no interval"
    return f"{comparison.section.title}  ({spread})"
