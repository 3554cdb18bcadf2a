from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.datasets import load_texts
from benchmarks.perf.shared import (
    Target,
    draw_texts,
    make_table,
    ratios,
    spread,
    target_table,
    write_measurement,
)
from benchmarks.suggestions import SuiteError


def _printed(table: object) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def test_the_median_decides_whether_a_target_is_met() -> None:
    values = (1.0, 3.0, 20.0)
    assert Target("a", values, at_least=3.0).met is True
    assert Target("a", values, at_least=3.1).met is False
    assert Target("a", values, at_most=3.0).met is True
    assert Target("a", values, at_most=2.9).met is False


def test_nothing_is_said_of_what_was_not_measured_or_not_asked_for() -> None:
    assert Target("a", (), at_least=3.0, reason="no GPU").met is None
    assert Target("a", (3.0,)).met is None


def test_the_table_of_targets_says_why_something_was_not_measured() -> None:
    text = _printed(
        target_table([Target("speed", (), 3.0, reason="no GPU"), Target("rest", (2.0,), at_most=1)])
    )
    assert "not measured: no GPU" in text
    assert "at least 3" in text
    assert "2.00 [2.00, 2.00]" in text
    assert "at most 1" in text


def test_brackets_in_cells_are_text() -> None:
    assert "1 [0, 2]" in _printed(make_table("t", ("a",), [("1 [0, 2]",)]))


def test_small_numbers_are_powers_of_ten() -> None:
    assert spread([2e-7, 1e-7, 3e-7], digits=None) == "2.0e-07 [1.0e-07, 3.0e-07]"


def test_ratios_need_equally_many_repeats() -> None:
    assert ratios([6.0, 8.0], [2.0, 4.0]) == (3.0, 2.0)
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_fewer_texts_are_the_first_of_more(titles_source: str) -> None:
    few, many = draw_texts(titles_source, 10), draw_texts(titles_source, 50)
    assert few.texts == many.texts[:10]
    assert many.texts != load_texts(titles_source).texts[:50]


def test_more_texts_than_there_are_is_an_error(titles_source: str) -> None:
    with pytest.raises(SuiteError, match=r"1000 texts are asked for, but .* has 240"):
        draw_texts(titles_source, 1000)


def test_a_measurement_is_written_with_its_machine(tmp_path: Path) -> None:
    write_measurement(None, {"a": 1})
    write_measurement(tmp_path / "a.json", {"a": 1})
    written = json.loads((tmp_path / "a.json").read_text())
    assert written["a"] == 1
    assert written["environment"]["threads"] >= 1
    assert "torch" in written["environment"]["packages"]
