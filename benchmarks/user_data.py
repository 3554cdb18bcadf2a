"""Loaders for your own data: ``csv:PATH`` and ``hub:NAME``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import (
    DATASETS,
    LabeledTexts,
    MissingSourceError,
    encode_labels,
)
from benchmarks.suggestions import SuiteError
from small_text_ext._extras import require_extra

_REQUIRED = ("text", "label")
_OPTIONAL = ("split", "label2", "group")
TEXT_COLUMNS = ("text", "sentence", "content", "comment_text", "review", "document")
_LABEL_COLUMNS = ("label", "labels", "coarse_label", "class", "category", "target")
_SPLITS = ("train", "test")


def load_csv(location: str) -> LabeledTexts:
    """Load a CSV file with a header.

    Parameters
    ----------
    location : str
        The file, UTF-8. Columns ``text`` and ``label`` are needed; ``split`` (train or test) fixes
        the test set, ``group`` keeps texts of one group on one side of a random split, and
        ``label2`` is a second annotator's label. Empty cells are errors.

    Returns
    -------
    LabeledTexts
        One text for each row; classes in alphabetical order.

    Raises
    ------
    MissingSourceError
        If there is no such file.
    SuiteError
        If a column is missing or occurs twice, or a cell cannot be used; the message names the
        file and the line.
    """
    path = Path(location).expanduser()
    if not path.is_file():
        raise MissingSourceError(f"csv:{location}: there is no such file.")
    columns = _read_columns(path)
    labels, names = encode_labels(columns["label"])
    return LabeledTexts(
        name=f"csv:{location}",
        texts=tuple(columns["text"]),
        labels=labels,
        class_names=names,
        licence=DATASETS["csv:"].licence,
        source=path.name,
        is_test=_given_split(path, columns.get("split")),
        groups=encode_labels(columns["group"])[0] if "group" in columns else None,
        second_labels=_second_labels(path, columns.get("label2"), names),
    )


def _read_columns(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = _checked_header(path, reader.fieldnames)
            columns: dict[str, list[str]] = {name: [] for name in names}
            for row in reader:
                for name in names:
                    columns[name].append(_cell(path, reader.line_num, name, row))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SuiteError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error
    if not columns["text"]:
        raise SuiteError(f"{path} has a header but no rows.")
    return columns


def _checked_header(path: Path, header: Sequence[str] | None) -> list[str]:
    names = list(header or ())
    missing = [name for name in _REQUIRED if name not in names]
    if missing:
        raise SuiteError(
            f"{path}, line 1: no column {' and no column '.join(map(repr, missing))}; found "
            f"{names}. Name them {', '.join(_REQUIRED)} (optional: {', '.join(_OPTIONAL)})."
        )
    if len(set(names)) != len(names):
        raise SuiteError(f"{path}, line 1: a column occurs twice in {names}.")
    return [name for name in names if name in (*_REQUIRED, *_OPTIONAL)]


def _cell(path: Path, line: int, name: str, row: dict[Any, Any]) -> str:
    value = row[name]
    if None in row:  # where csv.DictReader puts the surplus cells
        raise SuiteError(f"{path}, line {line}: more cells than columns. Quote texts with commas.")
    if value is None or not value.strip():
        raise SuiteError(f"{path}, line {line}, column '{name}': the cell is empty.")
    return str(value.strip())


def _given_split(path: Path, values: list[str] | None) -> NDArray[np.bool_] | None:
    if values is None:
        return None
    if set(values) != set(_SPLITS):
        raise SuiteError(
            f"{path}, column 'split': found {sorted(set(values))}; both train and test are needed, "
            "and nothing else."
        )
    return np.array([value == "test" for value in values])


def _second_labels(
    path: Path, values: list[str] | None, names: tuple[str, ...]
) -> NDArray[np.int64] | None:
    if values is None:
        return None
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise SuiteError(f"{path}, column 'label2': {unknown} do not occur in column 'label'.")
    return np.array([names.index(value) for value in values], dtype=np.int64)


def load_hub(
    location: str,
    config: str | None = None,
    revision: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
) -> LabeledTexts:
    """Load a data set through the ``datasets`` library: a name on the hub, or a local folder.

    Where it has the splits train and test, these are the pool and the test set; otherwise its only
    (or first) split is divided by the seed.

    Parameters
    ----------
    location : str
        Name on the hub, or a folder of CSV, JSON or Parquet files.
    config : str or None, default=None
        Name of the configuration.
    revision : str or None, default=None
        Commit, tag or branch; pin it for numbers that others should reproduce.
    text_column, label_column : str or None, default=None
        Columns to use; by default the first of the usual names that exists.

    Returns
    -------
    LabeledTexts
        The texts of train and test.

    Raises
    ------
    MissingSourceError
        If it cannot be loaded, with the library's own words.
    SuiteError
        If the columns cannot be told, or a text or label is missing or a list; the message names
        column and row.
    """
    splits = _load_splits(location, config, revision)
    wanted = list(_SPLITS) if set(_SPLITS) <= set(splits) else list(splits)[:1]
    features = splits[wanted[0]].features
    text = _column(f"hub:{location}", features, "text_column", text_column, TEXT_COLUMNS)
    label = _column(f"hub:{location}", features, "label_column", label_column, _LABEL_COLUMNS)
    values = _hub_values(location, splits, wanted, label)
    labels, names = _hub_labels(location, values, features[label])
    is_test = [name == "test" for name in wanted for _ in range(len(splits[name]))]
    return LabeledTexts(
        name=f"hub:{location}",
        texts=tuple(str(value) for value in _hub_values(location, splits, wanted, text)),
        labels=labels,
        class_names=names,
        licence=DATASETS["hub:"].licence,
        source=f"{location}@{revision}" if revision else location,
        is_test=np.array(is_test) if len(wanted) > 1 else None,
    )


def _load_splits(location: str, config: str | None, revision: str | None) -> dict[str, Any]:
    library = require_extra("datasets", "bench")
    try:
        return dict(library.load_dataset(location, name=config, revision=revision))
    except Exception as error:  # the library raises a dozen unrelated types here
        raise MissingSourceError(f"hub:{location} could not be loaded: {error}") from error


def _column(
    dataset: str,
    features: dict[str, Any],
    argument: str,
    given: str | None,
    usual: Sequence[str],
) -> str:
    candidates = [given] if given is not None else list(usual)
    for name in candidates:
        if name in features:
            return name
    raise SuiteError(
        f"{dataset} has the columns {sorted(features)}, none of them {candidates}: set {argument} "
        "in the suite's data set."
    )


def _hub_values(
    location: str, splits: dict[str, Any], wanted: Sequence[str], column: str
) -> list[Any]:
    values = []
    for name in wanted:
        for row, value in enumerate(splits[name][column]):
            # A number that is not equal to itself is how tables spell a missing one.
            if not isinstance(value, str | int | float) or value != value:
                raise SuiteError(
                    f"hub:{location}, split '{name}', column '{column}', row {row}: {value!r} is "
                    "neither a text nor a number. Drop such rows, or choose another column with "
                    "text_column or label_column."
                )
            values.append(value)
    return values


def _hub_labels(
    location: str,
    values: list[Any],
    feature: Any,  # noqa: ANN401 - a feature of the datasets library
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    names = getattr(feature, "names", None)
    if names is None:
        return encode_labels([str(value) for value in values])
    labels = np.asarray(values, dtype=np.int64)
    if (labels < 0).any():
        raise SuiteError(f"hub:{location} holds unlabelled texts (-1): choose a labelled split.")
    return labels, tuple(names)
