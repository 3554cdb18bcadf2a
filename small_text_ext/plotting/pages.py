"""A data map as one HTML page: hover an item to read it."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse

from small_text_ext._files import write_whole
from small_text_ext._pages import fill_template, script_json
from small_text_ext.plotting.map_points import read_points

_REGIONS = ("easy", "ambiguous", "hard")
# Shown in other forms, or beside each other as the place of the item.
_NOT_EXTRA = {
    "guid",
    "index",
    "confidence",
    "variability",
    "correctness",
    "correctness_fraction",
    "never_learnt",
}
_LABEL_COLUMNS = {"label", "predicted", "suggested", "suggested label", "suggested_label"}
_DIGITS = 5


def write_data_map_html(
    path: str | os.PathLike[str],
    metrics: pd.DataFrame,
    *,
    texts: Sequence[str],
    labels: ArrayLike | Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
    regions: Mapping[str, ArrayLike] | None = None,
    noise: pd.DataFrame | None = None,
    predicted: ArrayLike | Sequence[Any] | None = None,
    num_epochs: int | None = None,
    title: str = "Data map",
) -> None:
    """Write a data map as one page that needs nothing else, not even a network.

    Hovering an item shows its text, labels and metrics; items are filtered by class, region and
    text; a table of suspected label noise leads to the items. The page holds every text: share it
    where the texts may be shared. It stays quick for 50,000 items.

    Parameters
    ----------
    path : str or os.PathLike
        The file; one that is there is replaced in one step.
    metrics : pandas.DataFrame
        As in `plot_data_map`; the other numeric columns are shown too, and ``guid`` names the
        items, which are numbered without it.
    texts : sequence of str
        The text of each row of ``metrics``.
    labels : array-like or scipy.sparse.csr_matrix, or None, default=None
        Label of each row: class ids or names; lists of them, or a sparse matrix or array of zeros
        and ones of shape (items, classes), if multi-label. Ids below 0 are no label, as in
        small-text.
    class_names : sequence of str or None, default=None
        The name of each class id; None shows the ids.
    regions : mapping of str to array-like of int, or None, default=None
        Under "easy", "ambiguous" and "hard" positions of rows, as `TrainingDynamics.regions`
        returns them. An item may be in several, or in none.
    noise : pandas.DataFrame or None, default=None
        Suspected label noise, as `TrainingDynamics.suspected_noise` returns it. Rows are matched
        with ``metrics`` by ``guid``, or else by ``index``, the position. Columns are shown as they
        are; class ids in ``label``, ``predicted`` and ``suggested_label`` as names. Of a frame with
        a column ``suspected``, the suspected rows only.
    predicted : array-like or scipy.sparse.csr_matrix, or None, default=None
        Predicted labels, as ``labels``.
    num_epochs : int or None, default=None
        As in `plot_data_map`.
    title : str, default="Data map"
        Of the page.

    Raises
    ------
    ValueError
        If lengths differ, a region is unknown, a position, class or item does not exist, or as in
        `plot_data_map`. Nothing is written then.

    Examples
    --------
    >>> metrics = pd.DataFrame({"confidence": [0.9, 0.1], "variability": [0.1, 0.1],
    ...     "correctness": [2, 0]})
    >>> write_data_map_html("map.html", metrics, texts=["good film", "bad film"], labels=[1, 1],
    ...     class_names=["negative", "positive"], num_epochs=2)
    >>> "bad film" in Path("map.html").read_text(encoding="utf-8")
    True
    """
    points = read_points(metrics, num_epochs)
    labelled = _label_names(labels, class_names, len(points), "labels")
    guessed = _label_names(predicted, class_names, len(points), "predicted")
    classes = _all_classes(class_names, labelled, guessed)
    values = {
        "variability": _rounded(points.variability),
        "confidence": _rounded(points.confidence),
        "level": points.levels.tolist(),
        "levels": points.level_names,
        "guid": _item_names(metrics),
        "texts": _checked_texts(texts, len(points)),
        "classes": classes,
        "labels": _class_numbers(labelled, classes),
        "predicted": _class_numbers(guessed, classes),
        "metrics": _extra_metrics(metrics),
        "regions": _region_rows(regions or {}, len(points)),
        "noise": None if noise is None else _noise_table(noise, metrics, class_names),
    }
    template = resources.files(__package__).joinpath("data_map.html").read_text(encoding="utf-8")
    page = fill_template(template, {"title": html.escape(title), "data": script_json(values)})
    # Half a character, which a title may hold, has no encoding.
    content = page.encode("utf-8", "xmlcharrefreplace")
    write_whole(Path(path), lambda file: file.write(content))


def _checked_texts(texts: Sequence[str], num_items: int) -> list[str]:
    _check_length(texts, num_items, "texts")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"texts has {text!r} at position {row}: pass strings.")
    return list(texts)


def _check_length(values: Sequence[Any] | NDArray[Any], num_items: int, name: str) -> None:
    if len(values) != num_items:
        raise ValueError(
            f"{name} has {len(values)} entries and metrics {num_items} rows: pass one for each row."
        )


def _item_names(metrics: pd.DataFrame) -> list[str]:
    names = metrics["guid"] if "guid" in metrics else np.arange(len(metrics))
    return [str(name) for name in names]


def _label_names(
    labels: Any,  # noqa: ANN401
    class_names: Sequence[str] | None,
    num_items: int,
    argument: str,
) -> list[list[str]] | None:
    """Return the names of each item's classes, or None without labels."""
    if labels is None:
        return None
    lists = _label_lists(labels)
    _check_length(lists, num_items, argument)
    return [
        [name for value in values if (name := _class_name(value, class_names, argument))]
        for values in lists
    ]


def _label_lists(labels: Any) -> list[list[Any]]:  # noqa: ANN401
    if issparse(labels):
        labels = labels.toarray()
    if isinstance(labels, np.ndarray) and labels.ndim == 2:
        return [np.flatnonzero(row > 0).tolist() for row in labels]
    return [_as_list(value) for value in labels]


def _as_list(value: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(value, np.ndarray | list | tuple | set | frozenset):
        return list(value)
    return [value]


def _class_name(
    value: Any,  # noqa: ANN401
    class_names: Sequence[str] | None,
    argument: str,
) -> str | None:
    """Return the name of a class; None for what is no label."""
    if isinstance(value, str):
        return value
    if value is None or not value >= 0:
        return None
    number = int(value)
    if class_names is None:
        return str(number)
    if number >= len(class_names):
        raise ValueError(
            f"{argument} has the class {number}, and class_names has {len(class_names)} names: "
            "pass a name for each class."
        )
    return str(class_names[number])


def _all_classes(class_names: Sequence[str] | None, *labels: list[list[str]] | None) -> list[str]:
    """Return the classes in the order of their names, or else of their numbers."""
    seen = {name for lists in labels if lists for names in lists for name in names}
    if class_names is not None:
        known = dict.fromkeys(map(str, class_names))
        return [*known, *sorted(seen - set(known))]
    return sorted(seen, key=lambda name: (not name.isdecimal(), len(name) * name.isdecimal(), name))


def _class_numbers(lists: list[list[str]] | None, classes: list[str]) -> list[list[int]] | None:
    if lists is None:
        return None
    numbers = {name: number for number, name in enumerate(classes)}
    return [sorted({numbers[name] for name in names}) for names in lists]


def _extra_metrics(metrics: pd.DataFrame) -> dict[str, list[float | None]]:
    return {
        str(name): _rounded(metrics[name].to_numpy(dtype=np.float64, na_value=np.nan))
        for name in metrics.select_dtypes("number").columns
        if name not in _NOT_EXTRA
    }


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    """Return what JSON can hold: what is not finite is missing."""
    return [
        (int(value) if value.is_integer() else round(value, _DIGITS))
        if np.isfinite(value)
        else None
        for value in values.tolist()
    ]


def _region_rows(regions: Mapping[str, ArrayLike], num_items: int) -> list[dict[str, Any]]:
    unknown = [name for name in regions if name not in _REGIONS]
    if unknown:
        raise ValueError(f"regions has the names {unknown}: known are {list(_REGIONS)}.")
    found = []
    for name in _REGIONS:
        given = np.asarray(regions.get(name, []))
        if given.dtype == bool:
            raise ValueError(f"regions has a mask under {name!r}: pass positions (np.flatnonzero).")
        rows = given.astype(np.int64)
        wrong = rows[(rows < 0) | (rows >= num_items)]
        if len(wrong):
            raise ValueError(
                f"regions has the position {wrong[0]} under {name!r}: pass rows of metrics, from "
                f"0 to {num_items - 1}."
            )
        if name in regions:
            found.append({"name": name, "rows": rows.tolist()})
    return found


def _noise_table(
    noise: pd.DataFrame, metrics: pd.DataFrame, class_names: Sequence[str] | None
) -> dict[str, Any]:
    rows = _noise_rows(noise, metrics)
    if "suspected" in noise:
        suspected = noise["suspected"].to_numpy(dtype=bool)
        noise, rows = noise[suspected].drop(columns="suspected"), rows[suspected]
    columns = [_noise_column(noise[name], class_names) for name in noise.columns]
    return {
        "columns": [str(name) for name in noise.columns],
        "rows": [list(values) for values in zip(*columns, strict=True)],
        "points": rows.tolist(),
    }


def _noise_rows(noise: pd.DataFrame, metrics: pd.DataFrame) -> NDArray[np.int64]:
    """Return the row of ``metrics`` that each row of ``noise`` is about."""
    by = next((name for name in ("guid", "index") if name in noise and name in metrics), None)
    if by is None and "index" in noise:
        by, names = "index", pd.Index(range(len(metrics)))
    elif by is None:
        raise ValueError(
            f"noise has the columns {list(noise.columns)}: it needs a guid that metrics has too, "
            "or an index."
        )
    else:
        names = pd.Index(metrics[by])
    if not names.is_unique:
        repeated = names[names.duplicated()].tolist()[0]
        raise ValueError(f"metrics has the {by} {repeated!r} twice: pass one row for each item.")
    rows = names.get_indexer(pd.Index(noise[by]))
    if (rows < 0).any():
        unknown = noise[by].tolist()[int(np.argmax(rows < 0))]
        raise ValueError(f"noise has the {by} {unknown!r}, which metrics has not: drop such rows.")
    return np.asarray(rows, dtype=np.int64)


def _noise_column(column: pd.Series[Any], class_names: Sequence[str] | None) -> Iterable[Any]:
    name = str(column.name)
    if name in _LABEL_COLUMNS:
        named = [
            [_class_name(value, class_names, f"noise[{name!r}]") for value in _as_list(values)]
            for values in column
        ]
        return [", ".join(filter(None, names)) or None for names in named]
    if pd.api.types.is_bool_dtype(column):
        return ["yes" if value else "no" for value in column]
    if pd.api.types.is_numeric_dtype(column) and name != "guid":
        return _rounded(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return [None if pd.isna(value) else str(value) for value in column]
