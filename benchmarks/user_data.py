"""Loader for your own data: ``csv:PATH``."""

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

_COLUMN_OPTIONS = ("text_column", "label_column", "second_label_column")
_OPTIONAL = ("text2", "split", "label2", "group")
_SPLITS = ("train", "test")


def load_csv(location: str, **options: str) -> LabeledTexts:
    """Load a CSV file with a header.

    Parameters
    ----------
    location : str
        The file, UTF-8. Columns ``text`` and ``label`` are needed; ``text2`` makes pairs of
        texts, ``split`` (train or test) fixes the test set, ``group`` keeps texts of one group on
        one side of a random split, and ``label2`` is a second annotator's label. Empty cells are
        errors.
    **options : str
        ``text_column`` and ``label_column`` name the needed columns where they are called something
        else. ``second_label_column`` names one that holds something else that is known of each
        text, such as its publisher; its values need not be classes.

    Returns
    -------
    LabeledTexts
        One text for each row; classes in alphabetical order.

    Raises
    ------
    MissingSourceError
        If there is no such file.
    SuiteError
        If a column is missing or occurs twice, or a cell or an option cannot be used; the message
        names the file and the line.
    """
    path = Path(location).expanduser()
    for name in options:
        if name not in _COLUMN_OPTIONS:
            raise SuiteError(f"csv:{location}: '{name}' is of hub: data sets: leave it out.")
    if not path.is_file():
        raise MissingSourceError(
            f"csv:{location}: there is no such file. Put a file with the columns text and label "
            "there (or name others with text_column and label_column), or name its place: --set "
            "datasets.0.name=csv:PATH for the first data set of the suite; a test set of another "
            "distribution is left out with --set 'datasets.0.out_of_distribution=[]'."
        )
    text, label = options.get("text_column", "text"), options.get("label_column", "label")
    other = options.get("second_label_column")
    columns = _read_columns(path, (text, label) if other is None else (text, label, other))
    labels, names = encode_labels(columns[label])
    if other is None:
        second, second_names = _second_labels(path, columns.get("label2"), label, names), None
    else:
        second, second_names = encode_labels(columns[other])
    return LabeledTexts(
        name=f"csv:{location}",
        texts=tuple(columns[text]),
        labels=labels,
        class_names=names,
        licence=DATASETS["csv:"].licence,
        source=path.name,
        is_test=_given_split(path, columns.get("split")),
        groups=encode_labels(columns["group"])[0] if "group" in columns else None,
        second_texts=tuple(columns["text2"]) if "text2" in columns else None,
        second_labels=second,
        second_names=second_names,
    )


def _read_columns(path: Path, required: Sequence[str]) -> dict[str, list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = _checked_header(path, reader.fieldnames, required)
            columns: dict[str, list[str]] = {name: [] for name in names}
            for row in reader:
                for name in names:
                    columns[name].append(_cell(path, reader.line_num, name, row))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SuiteError(f"{path} cannot be read as CSV in UTF-8: {error}.") from error
    if not columns[required[0]]:
        raise SuiteError(f"{path} has a header but no rows.")
    return columns


def _checked_header(path: Path, header: Sequence[str] | None, required: Sequence[str]) -> list[str]:
    names = list(header or ())
    missing = [name for name in required if name not in names]
    if missing:
        raise SuiteError(
            f"{path}, line 1: no column {' and no column '.join(map(repr, missing))}; found "
            f"{names}. Name them {', '.join(required)} (optional: {', '.join(_OPTIONAL)}), or set "
            f"{', '.join(_COLUMN_OPTIONS)} in the suite's data set."
        )
    if len(set(names)) != len(names):
        raise SuiteError(f"{path}, line 1: a column occurs twice in {names}.")
    return [name for name in names if name in (*required, *_OPTIONAL)]


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
    path: Path, values: list[str] | None, column: str, names: tuple[str, ...]
) -> NDArray[np.int64] | None:
    if values is None:
        return None
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise SuiteError(f"{path}, column 'label2': {unknown} do not occur in column '{column}'.")
    return np.array([names.index(value) for value in values], dtype=np.int64)
