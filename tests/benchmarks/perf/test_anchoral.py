from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.perf import app
from benchmarks.perf.frozen import CONTESTANTS
from tests.tiny_models import checkpoint


def test_both_sides_are_timed_in_one_run(tmp_path: Path) -> None:
    out = tmp_path / "perf.json"
    options = ["--pool", "1500", "--columns", "16", "--rounds", "3", "--repeats", "2"]
    result = CliRunner().invoke(app, ["anchoral", *options, "--out", str(out)])
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert set(written["seconds"]) == set(CONTESTANTS)
    assert all(len(runs) == 2 and len(runs[0]) == 3 for runs in written["seconds"].values())
    assert all(value > 0 for row in written["ratios"] for value in row["total"])
    assert "AnchorSubsampling, HNSW (its default)" in result.output


def test_a_round_of_an_encoder_is_timed_in_one_run(titles_source: str, tmp_path: Path) -> None:
    out = tmp_path / "perf.json"
    sizes = ["--pool", "10500", "--host-texts", "1000", "--repeats", "1"]
    where = ["--model", checkpoint(), "--dataset", titles_source, "--out", str(out)]
    result = CliRunner().invoke(app, ["anchoral", "--classifier", "transformer", *sizes, *where])
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text())
    assert {"float32", "host"} <= set(written["rounds"])
    assert written["rounds"]["float32"]["num_scored"] < 10_000
    assert written["rounds"]["host"]["num_scored"] == 1000
    assert [t["at_most"] for t in written["targets"]][::2] == [1.0] * (len(written["targets"]) // 2)
    assert "240 as they are" in result.output
    assert "EXTRAPOLATED" in result.output


@pytest.mark.parametrize(
    "options",
    [
        ["--classifier", "transformer", "--rounds", "3"],
        ["--classifier", "transformer", "--columns", "3"],
        ["--host-texts", "1000"],
        ["--classifier", "frozen", "--model", "minilm"],
    ],
)
def test_an_option_without_effect_is_refused(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["anchoral", *options])
    assert result.exit_code == 2
    assert "only" in result.output
