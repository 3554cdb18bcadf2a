from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from benchmarks.cli import app, console
from benchmarks.results import write_result
from tests.benchmarks.test_comparison import METRIC, side, unit


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def plain(result: Result) -> str:
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", result.output).split())


@pytest.fixture(autouse=True)
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns cuts the cells of a table off."""
    monkeypatch.setattr(console, "width", 160)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Results of two revisions, the second of which is worse by 0.02."""
    found = tmp_path / "before", tmp_path / "after"
    for folder, shift in zip(found, (0.0, -0.02), strict=True):
        for result in side("", [0.5 + shift, 0.6 + shift, 0.7 + shift]).results:
            write_result(result, folder)
        write_result(unit("random", 0, 0.4), folder)
    return found


def test_a_drop_beyond_the_tolerance_is_exit_code_1(folders: tuple[Path, Path]) -> None:
    arguments = ("compare", *folders, "--metric", METRIC)
    found = invoke(*arguments)
    assert found.exit_code == 0, found.output
    assert "anchoral" in found.output
    assert "-0.0200" in found.output
    assert invoke(*arguments, "--tolerance", 0.03).exit_code == 0
    dropped = invoke(*arguments, "--tolerance", 0.01)
    assert dropped.exit_code == 1
    said = plain(dropped)
    assert "drop sections:radio / mlp / anchoral: final_macro_f1 is worse by 0.02" in said
    assert "mlp / random" not in said
    assert invoke(*arguments, "--tolerance", 0.01, "--better", "lower").exit_code == 0
    swapped = ("compare", *reversed(folders), "--metric", METRIC, "--tolerance", 0.01)
    assert invoke(*swapped).exit_code == 0


def test_units_that_are_lost_are_exit_code_1(folders: tuple[Path, Path]) -> None:
    next(folders[1].rglob("random/seed-0.json")).unlink()
    arguments = ("compare", *folders, "--metric", METRIC)
    assert invoke(*arguments).exit_code == 0
    lost = invoke(*arguments, "--tolerance", 1)
    assert lost.exit_code == 1
    assert "lost sections:radio / mlp / random / seed 0: no final_macro_f1 in B" in plain(lost)


def test_numbers_go_to_a_json_file(folders: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "out" / "comparison.json"
    options = ("--metric", METRIC, "--tolerance", 0.01, "--json", path)
    assert invoke("compare", *folders, *options).exit_code == 1
    content = json.loads(path.read_text())
    assert content["dropped"] == 1
    rows = {row["method"]: row for row in content["rows"]}
    assert rows["anchoral"]["losses"] == 3
    assert rows["anchoral"]["difference"]["mean"] == pytest.approx(-0.02)
    assert rows["random"]["ties"] == 1


def test_methods_and_data_sets_can_be_named(folders: tuple[Path, Path]) -> None:
    arguments = ("compare", folders[0], "--methods", "random", "anchoral", "--metric", METRIC)
    found = invoke(*arguments, "--dataset", "sections:radio")
    assert found.exit_code == 0, found.output
    assert "+0.1000" in found.output
    assert "2 units have it on one side only" in plain(found)
    other = invoke(*arguments, "--dataset", "sections:radoi")
    assert other.exit_code == 2
    assert "Did you mean 'sections:radio'" in plain(other)
    both = invoke("compare", *folders, "--methods", "random", "anchoral")
    assert both.exit_code == 2


def test_export_writes_a_parquet_file(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "all.parquet"
    found = invoke("export", folders[0], "--out", path)
    assert found.exit_code == 0, found.output
    assert plain(found).startswith("8 rows")
    assert len(pd.read_parquet(path)) == 8
