"""Embeddings in two dimensions: what alignment does to the classes, and where a round picked.

Needs the extra ``plot``. Nothing here touches pyplot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext._extras import require_extra
from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.plotting.curves import MethodStyle, method_styles
from small_text_ext.pool.neighbors import checked_matrix, unit_or_zero_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MapMethod = Literal["tsne", "pca"]

_SMALL, _NORMAL, _LARGE = 12, 15, 18
_MOST_VECTORS = 5_000
# One to each of the colours that are told apart under every common colour blindness; the eighth, a
# grey, is too near to that of the other classes.
_MOST_CLASSES = 7
_OTHERS = "other classes"
_PICKED = "picked"
_OTHER_LOOKS = MethodStyle("#BDBDBD", ".", "")
_PERPLEXITY = 30.0
# Names are cut here: one long name would push the map aside.
_MOST_CHARACTERS = 24
# In points, of a legend's text, and of its handles with the space between columns.
_CHARACTER_WIDTH = 7.5
_HANDLE_WIDTH = 46.0


@dataclass(frozen=True, eq=False)
class _Items:
    """What is drawn: which rows, of which class, and which of them were picked."""

    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    picked: NDArray[np.bool_]
    total: int


def plot_embedding_map(
    before: ArrayLike,
    labels: ArrayLike,
    after: ArrayLike | None = None,
    *,
    picks: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    method: MapMethod = "tsne",
    names: tuple[str, str] = ("before", "after"),
    title: str = "",
    max_classes: int = _MOST_CLASSES,
    max_points: int = 2_000,
    seed: Seed = 0,
) -> Figure:
    """Draw texts by their embeddings, before and after alignment, in the colours of their classes.

    The largest classes have a colour and a marker each; all others are small grey dots, so that the
    picture can be read with fifty classes too. Picks of a round are ringed in black, and keep the
    look of their class, whichever it is.

    Parameters
    ----------
    before : PoolEmbeddings or array_like of float, shape (n, d)
        Vectors, such as frozen ones; scaled to length one.
    labels : array_like of int, shape (n,)
        The class of each text. -1 is unknown, and drawn with the other classes.
    after : array_like of float, shape (n, e), or None, default=None
        Vectors of the same texts, such as ``clf.embed(dataset)`` after a fit. None draws one map.
    picks : array_like of int or None, default=None
        Rows to mark, such as a query's.
    class_names : sequence of str or None, default=None
        The name of each class id; None takes the ids.
    method : {"tsne", "pca"}, default="tsne"
        "tsne" keeps neighbours together; sizes and distances of clusters mean nothing. "pca" is the
        plane of largest variance, each map its own: distances mean something, and classes overlap
        that are apart in other dimensions. Its axes say how much of the variance they show.
    names : tuple of str, default=("before", "after")
        What the maps are called.
    title : str, default=""
        Of the figure.
    max_classes : int, default=7
        Classes with a look of their own, from 1 to 7. With as many classes as that, or fewer, none
        is grey.
    max_points : int, default=2000
        More texts than this are sampled, and the picture says so; picks are always drawn. t-SNE
        takes some seconds for 2,000.
    seed : int, numpy.random.Generator or None, default=0
        Of the sample and of t-SNE.

    Returns
    -------
    matplotlib.figure.Figure
        One map or two beside each other, with one legend below.

    Raises
    ------
    ValueError
        If an argument is out of range, or vectors, labels and picks do not fit each other.

    References
    ----------
    L. van der Maaten and G. Hinton, "Visualizing Data using t-SNE", JMLR 2008.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(20, 5))
    >>> figure = plot_embedding_map(vectors, np.arange(20) % 2, vectors[:, :3], method="pca")
    >>> [ax.get_title() for ax in figure.axes]
    ['before', 'after']
    """
    _check_options(method, max_classes, max_points)
    spaces = _checked_spaces(before, after)
    known = _checked_labels(labels, len(spaces[0]))
    number = resolve_seed(seed)
    items = _sampled(known, _checked_picks(picks, len(known)), max_points, number)
    looks = _looks(known, class_names, max_classes)
    figure: Figure = require_extra("matplotlib.figure", "plot").Figure(
        (7.5 * len(spaces), 8.0), layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(1, len(spaces)))
    for ax, vectors, name in zip(panels, spaces, names, strict=False):
        _draw_map(ax, vectors[items.rows], items, looks, (method, number))
        ax.set_title(name if len(spaces) > 1 else title or name, fontsize=_LARGE)
    if title and len(spaces) > 1:
        figure.suptitle(title, fontsize=_LARGE)
    _note_sample(panels[-1], items, number)
    _draw_legend(figure, panels[0])
    return figure


def _check_options(method: str, max_classes: int, max_points: int) -> None:
    if method not in get_args(MapMethod):
        raise ValueError(f"method is {method!r}: pass one of {list(get_args(MapMethod))}.")
    if not 1 <= max_classes <= _MOST_CLASSES:
        raise ValueError(
            f"max_classes is {max_classes}: pass 1 to {_MOST_CLASSES}, which is how many colours "
            "are told apart."
        )
    if max_points < 2:
        raise ValueError(f"max_points is {max_points}: draw at least two texts.")


def _checked_spaces(before: Any, after: Any) -> list[NDArray[np.float32]]:  # noqa: ANN401
    spaces = [checked_matrix(before, "before")]
    if after is not None:
        spaces.append(checked_matrix(after, "after"))
    sizes = [len(space) for space in spaces]
    if len(set(sizes)) > 1 or sizes[0] < 2:
        raise ValueError(
            f"before and after have {sizes} rows: pass vectors of the same texts, at least two."
        )
    return [unit_or_zero_rows(space) for space in spaces]


def _checked_labels(labels: ArrayLike, size: int) -> NDArray[np.int64]:
    known = np.asarray(labels)
    if known.shape != (size,):
        raise ValueError(
            f"labels have the shape {known.shape} for {size} texts: pass one class id each."
        )
    # Labels of small-text may come as floats.
    if not np.isfinite(known.astype(np.float64)).all() or (known != known // 1).any():
        raise ValueError("labels hold what is no class id: pass integers, -1 where unknown.")
    return known.astype(np.int64)


def _checked_picks(picks: ArrayLike | None, size: int) -> NDArray[np.int64]:
    rows = np.empty(0, dtype=np.int64) if picks is None else np.atleast_1d(np.asarray(picks))
    if rows.size and (not np.issubdtype(rows.dtype, np.integer) or rows.ndim != 1):
        raise ValueError(f"picks is of {rows.dtype}, shape {rows.shape}: pass row numbers.")
    if rows.size and (rows.min() < 0 or rows.max() >= size):
        raise ValueError(
            f"picks reach from {rows.min()} to {rows.max()}, there are {size} texts: pass rows of "
            "the embeddings."
        )
    return rows.astype(np.int64)


def _sampled(
    classes: NDArray[np.int64], picks: NDArray[np.int64], max_points: int, seed: int
) -> _Items:
    """Return a sample of the texts in which all picks are."""
    picked = np.zeros(len(classes), dtype=bool)
    picked[picks] = True
    rest = np.flatnonzero(~picked)
    wanted = max(0, max_points - int(picked.sum()))
    if len(rest) > wanted:
        rest = derived_generator(seed, 0).choice(rest, wanted, replace=False)
    rows = np.sort(np.concatenate([np.flatnonzero(picked), rest]))
    return _Items(rows, classes[rows], picked[rows], len(classes))


def _looks(
    classes: NDArray[np.int64], class_names: Sequence[str] | None, max_classes: int
) -> dict[int, tuple[str, MethodStyle]]:
    """Return name and style of the largest classes; of equals those of lower ids."""
    ids, counts = np.unique(classes[classes >= 0], return_counts=True)
    if class_names is not None and len(ids) and ids[-1] >= len(class_names):
        raise ValueError(
            f"labels hold the class {ids[-1]}, class_names has {len(class_names)} names: pass one "
            "for each class id."
        )
    largest = np.sort(ids[np.argsort(-counts, kind="stable")[:max_classes]])
    styles = method_styles(str(one) for one in largest)
    return {
        int(one): (_shortened(str(one if class_names is None else class_names[one])), style)
        for one, style in zip(largest, styles.values(), strict=True)
    }


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_CHARACTERS else f"{name[: _MOST_CHARACTERS - 1]}…"


def _draw_map(
    ax: Axes,
    vectors: NDArray[np.float32],
    items: _Items,
    looks: dict[int, tuple[str, MethodStyle]],
    how: tuple[MapMethod, int],
) -> None:
    places, axis_names = _projected(vectors, *how)
    others = ~np.isin(items.classes, list(looks))
    if others.any():
        _draw_class(ax, places, others, items, (_OTHERS, _OTHER_LOOKS))
    for one, look in looks.items():
        _draw_class(ax, places, items.classes == one, items, look)
    if items.picked.any():
        _ring(ax, places[items.picked])
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(axis_names[0], fontsize=_NORMAL)
    ax.set_ylabel(axis_names[1], fontsize=_NORMAL)
    ax.margins(0.04)
    ax.set_aspect("equal", adjustable="datalim")


def _draw_class(
    ax: Axes,
    places: NDArray[np.float64],
    members: NDArray[np.bool_],
    items: _Items,
    look: tuple[str, MethodStyle],
) -> None:
    name, style = look
    many = len(items.rows) > _MOST_VECTORS
    for rows, size, order in ((members & ~items.picked, 24, 2), (members & items.picked, 60, 4)):
        ax.scatter(
            places[rows, 0],
            places[rows, 1],
            s=size,
            color=style.color,
            marker=style.marker if name != _OTHERS or order == 2 else "o",
            alpha=0.75 if order == 2 else 1.0,
            linewidths=0,
            # The legend names each class once, whether or not one of it is drawn unpicked.
            label=name if order == 2 else None,
            zorder=order - (name == _OTHERS),
            rasterized=many,
        )


def _ring(ax: Axes, places: NDArray[np.float64]) -> None:
    """Draw a black ring on white around each pick: seen on every colour."""
    for color, width in (("white", 3.6), ("black", 1.8)):
        ax.scatter(
            places[:, 0],
            places[:, 1],
            s=170,
            facecolors="none",
            edgecolors=color,
            linewidths=width,
            label=_PICKED if color == "black" else None,
            zorder=5,
        )


def _projected(
    vectors: NDArray[np.float32], method: MapMethod, seed: int
) -> tuple[NDArray[np.float64], tuple[str, str]]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    # Columns of zeros: one-dimensional vectors have no second component.
    padded = np.pad(vectors.astype(np.float64), ((0, 0), (0, max(0, 2 - vectors.shape[1]))))
    state = seed % 2**32
    # Texts that are all alike have no direction to start t-SNE from.
    if method == "pca" or len(padded) < 4 or np.ptp(padded, axis=0).max() == 0:
        model = PCA(2, random_state=state)
        with np.errstate(invalid="ignore"):  # shares of no variance
            places = model.fit_transform(padded)
        shares = np.nan_to_num(model.explained_variance_ratio_)
        first, second = (f"component {i + 1} ({share:.0%})" for i, share in enumerate(shares))
        return np.asarray(places), (first, second)
    perplexity = min(_PERPLEXITY, (len(padded) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", random_state=state)
    return np.asarray(model.fit_transform(padded), dtype=np.float64), ("t-SNE 1", "t-SNE 2")


def _note_sample(ax: Axes, items: _Items, seed: int) -> None:
    if len(items.rows) == items.total:
        return
    ax.annotate(
        f"{len(items.rows):,} of {items.total:,} texts,\nsampled with seed {seed}",
        xy=(0.985, 0.015),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=_SMALL,
        color="#404040",
        bbox={"boxstyle": "round,pad=0.3", "ec": "none", "fc": "white", "alpha": 0.8},
        zorder=6,
    )


def _draw_legend(figure: Figure, ax: Axes) -> None:
    """Draw one legend below the maps: classes in the order of their ids, then the rest."""
    collections = require_extra("matplotlib.collections", "plot")
    handles, names = ax.get_legend_handles_labels()
    last = [name for name in (_OTHERS, _PICKED) if name in names]
    order = [i for i, name in enumerate(names) if name not in last]
    order += [names.index(name) for name in last]
    legend = figure.legend(
        [handles[i] for i in order],
        [names[i] for i in order],
        loc="outside lower center",
        ncols=_columns([names[i] for i in order], float(figure.get_figwidth())),
        fontsize=_SMALL,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    sizes = {_OTHERS: 90.0, _PICKED: 110.0}
    for handle, i in zip(legend.legend_handles, order, strict=True):
        if isinstance(handle, collections.PathCollection):
            handle.set_alpha(1)
            handle.set_sizes(np.array([sizes.get(names[i], 60.0)]))


def _columns(names: Sequence[str], inches: float) -> int:
    """Return how many names of the longest one's width fit beside each other."""
    width = max(map(len, names)) * _CHARACTER_WIDTH + _HANDLE_WIDTH
    return max(1, min(len(names), int(72 * inches / width)))
