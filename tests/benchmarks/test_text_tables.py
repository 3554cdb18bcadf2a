from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.datasets import MissingSourceError
from benchmarks.suggestions import SuiteError
from benchmarks.text_tables import TextTable, check_table_name, read_table, write_table

COLUMNS = {
    "id": ["a", "b", "c", "d"],
    "text": ['one, "two"\nthree', "dréi\u2028vier", "five\rsix", "seven\r"],
    "n": ["01", "NA", "", "2"],
}


@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.parquet", "X.CSV"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    write_table(tmp_path / name, COLUMNS)
    assert read_table(tmp_path / name).columns == COLUMNS
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_halves_of_surrogate_pairs_survive_in_json(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_table(path, {"text": ["half \ud83d"]})
    assert read_table(path).columns == {"text": ["half \ud83d"]}


def test_missing_keys_are_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "two", "id": 7}\n', encoding="utf-8")
    table = read_table(path)
    assert table.columns == {"text": ["one", "two"], "id": [None, 7]}
    with pytest.raises(SuiteError, match=r"row 0, column 'id': there is no id"):
        table.ids("id")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "text,text\na,b\n", "occurs twice"),
        ("x.csv", "text,id\na,b,c\n", "line 2: 3 cells, and 2 columns"),
        ("x.csv", "text\n", "has no rows"),
        ("x.csv", "", "has no rows"),
        ("x.csv", b"text\n\xff\n", "cannot be read as .csv"),
        ("x.jsonl", '{"text": "a"}\n{"text"\n', "line 2: no JSON"),
        ("x.jsonl", '["a"]\n', "line 1: .* is no object"),
        ("x.parquet", "no parquet", "cannot be read as .parquet"),
        ("x.txt", "text\n", "ends with none of .csv, .jsonl, .parquet"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SuiteError, match=message):
        read_table(path)


def test_names_and_cells_are_checked(tmp_path: Path) -> None:
    table = TextTable(tmp_path / "x.csv", {"text": ["a", " "], "id": [1, "1"]})
    with pytest.raises(SuiteError, match=r"Unknown column of .*'txt'\. Did you mean 'text'"):
        table.column("txt")
    with pytest.raises(SuiteError, match="row 1, column 'text': ' ' is no text"):
        table.texts("text")
    with pytest.raises(SuiteError, match="'1' occurs 2 times"):
        table.ids("id")
    assert table.ids(None) == ["0", "1"]
    with pytest.raises(MissingSourceError, match="no such file"):
        read_table(tmp_path / "y.csv")
    with pytest.raises(SuiteError, match="the name tells the format"):
        check_table_name(tmp_path / "y")
    with pytest.raises(SuiteError, match="several types"):
        write_table(tmp_path / "y.parquet", {"x": [1, "a"]})
    assert not (tmp_path / "y.parquet").exists()
