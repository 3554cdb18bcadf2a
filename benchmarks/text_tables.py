"""Tables of texts in files: CSV, JSONL or Parquet, read and written whole."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.datasets import MissingSourceError
from benchmarks.suggestions import SuiteError, unknown_name
from small_text_ext._extras import require_extra
from small_text_ext._files import write_whole

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class TextTable:
    """A table and the file that it is from.

    Parameters
    ----------
    path : pathlib.Path
        The file, for messages.
    columns : mapping of str to sequence
        Equally long ones by name.
    """

    path: Path
    columns: Columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> Sequence[Any]:
        """Return a column.

        Raises
        ------
        SuiteError
            If there is none of this name; the message names the nearest.
        """
        if name not in self.columns:
            raise unknown_name(f"column of {self.path}", name, self.columns)
        return self.columns[name]

    def texts(self, name: str) -> list[str]:
        """Return a column of texts.

        Raises
        ------
        SuiteError
            If there is no such column, or a cell is empty or no text.
        """
        values = self.column(name)
        for row, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                raise SuiteError(
                    f"{self.path}, row {row}, column '{name}': {value!r} is no text. Drop such "
                    "rows, or choose another column."
                )
        return list(values)

    def ids(self, name: str | None) -> list[str]:
        """Return a column of ids as strings, or row numbers from 0 where there is none.

        Raises
        ------
        SuiteError
            If an id occurs twice or is missing.
        """
        if name is None:
            return [str(row) for row in range(len(self))]
        values = self.column(name)
        missing = [row for row, value in enumerate(values) if value is None or value == ""]
        if missing:
            raise SuiteError(f"{self.path}, row {missing[0]}, column '{name}': there is no id.")
        ids = [str(value) for value in values]
        most, times = Counter(ids).most_common(1)[0] if ids else ("", 0)
        if times > 1:
            raise SuiteError(
                f"{self.path}, column '{name}': '{most}' occurs {times} times. Give every text an "
                "id of its own, or drop the column, and rows are counted."
            )
        return ids


def read_table(path: Path) -> TextTable:
    """Read a table.

    Parameters
    ----------
    path : pathlib.Path
        A file whose name ends with ``.csv`` (UTF-8, with a header), ``.jsonl`` (an object a line)
        or ``.parquet``.

    Returns
    -------
    TextTable
        All columns; cells of a CSV file are strings as they stand.

    Raises
    ------
    MissingSourceError
        If there is no such file.
    SuiteError
        If it cannot be read, or has no rows.
    """
    kind = _kind(path)
    if not path.is_file():
        raise MissingSourceError(f"{path}: there is no such file.")
    try:
        columns = _READERS[kind](path)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise SuiteError(f"{path} cannot be read as {kind}: {error}.") from error
    table = TextTable(path, columns)
    if not len(table):
        raise SuiteError(f"{path} has no rows.")
    return table


def write_table(path: Path, columns: Columns) -> None:
    """Write a table whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file, named as for :func:`read_table`.
    columns : mapping of str to sequence
        Equally long ones.
    """
    content = _WRITERS[_kind(path)](columns)
    write_whole(path, lambda file: file.write(content))


def check_table_name(path: Path) -> None:
    """Check that a file may be written as a table.

    Raises
    ------
    SuiteError
        If its name ends otherwise than those of :func:`read_table`.
    """
    _kind(path)


def _kind(path: Path) -> str:
    if path.suffix.lower() not in _READERS:
        raise SuiteError(
            f"{path}: the name tells the format, and ends with none of {', '.join(_READERS)}."
        )
    return path.suffix.lower()


def _read_csv(path: Path) -> Columns:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise SuiteError(f"{path}, line 1: a column occurs twice in {header}.")
        rows = []
        for row in reader:
            if len(row) != len(header) and row:
                raise SuiteError(
                    f"{path}, line {reader.line_num}: {len(row)} cells, and {len(header)} columns. "
                    "Quote texts with commas."
                )
            rows += [row] if row else []
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def _read_jsonl(path: Path) -> Columns:
    rows = []
    # Not by str.splitlines, which takes some characters inside texts for ends of lines.
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SuiteError(f"{path}, line {number}: no JSON ({error}).") from error
        if not isinstance(row, dict):
            raise SuiteError(f"{path}, line {number}: {line[:40]!r} is no object of columns.")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _read_parquet(path: Path) -> Columns:
    arrow, parquet = require_extra("pyarrow", "bench"), require_extra("pyarrow.parquet", "bench")
    try:
        columns: Columns = parquet.read_table(path).to_pydict()
    except arrow.ArrowException as error:
        raise SuiteError(f"{path} cannot be read as .parquet: {error}.") from error
    return columns


def _csv_bytes(columns: Columns) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)  # its line ends are RFC 4180's: cells that hold a part are quoted
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue().encode("utf-8", "backslashreplace")


def _jsonl_bytes(columns: Columns) -> bytes:
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    lines = [json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows]
    # Halves of surrogate pairs, which UTF-8 has no place for, become the escapes that JSON has.
    return "".join(lines).encode("utf-8", "backslashreplace")


def _parquet_bytes(columns: Columns) -> bytes:
    arrow, parquet = require_extra("pyarrow", "bench"), require_extra("pyarrow.parquet", "bench")
    buffer = io.BytesIO()
    try:
        table = arrow.table({name: list(cells) for name, cells in columns.items()})
    except arrow.ArrowException as error:
        raise SuiteError(f"A column holds cells of several types: {error}.") from error
    parquet.write_table(table, buffer)
    return buffer.getvalue()


_READERS: Mapping[str, Callable[[Path], Columns]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
_WRITERS: Mapping[str, Callable[[Columns], bytes]] = {
    ".csv": _csv_bytes,
    ".jsonl": _jsonl_bytes,
    ".parquet": _parquet_bytes,
}
