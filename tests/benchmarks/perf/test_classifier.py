from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from benchmarks.perf import app, contestants
from tests.tiny_models import checkpoint


def _run(titles_source: str, out: Path, *more: str) -> Result:
    sizes = ["--texts", "48", "--host-texts", "12", "--batch-size", "12", "--repeats", "2"]
    steps = ["--steps", "3", "--host-steps", "2"]
    where = ["--model", checkpoint(), "--dataset", titles_source, "--out", str(out)]
    return CliRunner().invoke(app, ["classifier", *sizes, *steps, *where, *more])


def _written(out: Path) -> dict[str, Any]:
    content = json.loads(out.read_text())
    assert isinstance(content, dict)
    return content


@pytest.fixture(scope="module")
def both_precisions(
    titles_source: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    """One run on a machine that has bfloat16, emulated where it has not."""
    out = tmp_path_factory.mktemp("perf") / "classifier.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contestants, "has_bfloat16", lambda device: True)
        result = _run(titles_source, out)
    assert result.exit_code == 0, result.output
    return result.output, _written(out)


def test_both_sides_are_timed_in_one_run(both_precisions: tuple[str, dict[str, Any]]) -> None:
    output, written = both_precisions
    sides = [(t["side"], t["precision"], t["max_length"]) for t in written["prediction"]]
    longest = written["settings"]["longest"]
    assert sides == [
        *(("host", "float32", length) for length in (longest, 128, 512)),
        ("ours", "float32", None),
        ("ours", "bfloat16", None),
    ]
    assert [len(t["seconds"]) for t in written["prediction"] + written["training"]] == [2] * 10
    assert f"padded to {longest}, batch 12 (cuts no text)" in output


def test_targets_are_the_issues(both_precisions: tuple[str, dict[str, Any]]) -> None:
    output, written = both_precisions
    bounds = [(t["at_least"], t["at_most"]) for t in written["targets"]]
    assert bounds == [
        (4, None),
        (15, None),
        (1.5, None),
        (6, None),
        (25, None),
        (2.5, None),
        (None, 1e-4),
        (None, None),
        (3, None),
        (None, 1.1),
        (None, None),
        (None, None),
    ]
    assert all(len(t["values"]) == 2 for t in written["targets"] if t["digits"] is not None)
    assert "at most 1.1" in output


def test_both_sides_predict_the_same(both_precisions: tuple[str, dict[str, Any]]) -> None:
    _, written = both_precisions
    (difference,) = written["targets"][6]["values"]
    assert 0 <= difference <= 1e-4
    assert written["targets"][6]["met"] is True
    (lower,) = written["targets"][7]["values"]
    assert difference < lower < 0.05


def test_ratios_follow_from_the_seconds(both_precisions: tuple[str, dict[str, Any]]) -> None:
    _, written = both_precisions
    host = next(t for t in written["prediction"] if t["max_length"] == 128)
    ours = next(t for t in written["prediction"] if t["side"] == "ours")
    by_hand = [
        (ours["num_texts"] / a) / (host["num_texts"] / b)
        for a, b in zip(ours["seconds"], host["seconds"], strict=True)
    ]
    assert written["targets"][0]["values"] == pytest.approx(by_hand)
    steps = {(t["side"], t["precision"]): t["seconds"] for t in written["training"]}
    pairs = zip(steps["ours", "float32"], steps["bare", "float32"], strict=True)
    assert written["targets"][9]["values"] == pytest.approx([a / b for a, b in pairs])


def test_without_bfloat16_the_rows_say_so(
    titles_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contestants, "has_bfloat16", lambda device: False)
    result = _run(titles_source, tmp_path / "a.json", "--max-length", "128")
    assert result.exit_code == 0, result.output
    written = _written(tmp_path / "a.json")
    assert {t["precision"] for t in written["prediction"] + written["training"]} == {"float32"}
    missing = [t for t in written["targets"] if "bfloat16" in t["measure"]]
    assert len(missing) == 5
    assert all(t["values"] == [] and t["met"] is None for t in missing)
    assert result.output.count("not measured: no bfloat16 in this hardware") == 5
    assert "512" not in result.output


def test_the_host_trains_at_the_smallest_length(titles_source: str, tmp_path: Path) -> None:
    result = _run(titles_source, tmp_path / "a.json", "--max-length", "64", "--max-length", "96")
    assert result.exit_code == 0, result.output
    host = _written(tmp_path / "a.json")["training"][0]
    assert (host["side"], host["max_length"]) == ("host", 64)
    asked = {t["measure"]: t["at_least"] for t in _written(tmp_path / "a.json")["targets"]}
    assert asked["the host's step at 64 tokens over ours, float32"] is None


def test_a_length_that_cuts_texts_is_refused(titles_source: str, tmp_path: Path) -> None:
    result = _run(titles_source, tmp_path / "a.json", "--max-length", "4")
    assert result.exit_code != 0
    assert "small-text would cut it" in str(result.exception)
    assert not (tmp_path / "a.json").exists()
