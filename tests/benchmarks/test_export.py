from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.export import export_results
from benchmarks.results import NoResultsError, UnwritableError, write_result
from small_text_ext._extras import MissingExtraError
from tests.benchmarks.synthetic import make_failure, make_result


def test_a_row_for_each_unit_and_round(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    results = [make_result("anchoral", 0, (0.1, 0.2), subpool_size=40), make_result("seals", 3)]
    for result in (*results, make_failure("random", 1)):
        write_result(result, tmp_path)
    path = tmp_path / "tables" / "all.parquet"
    assert export_results(tmp_path, path) == 2 + 5 + 1
    frame = pd.read_parquet(path)
    assert len(frame) == 8
    first = frame[(frame["method.id"] == "anchoral") & (frame["round"] == 1)].iloc[0]
    assert first["spec_hash"] == results[0].spec_hash
    assert first["dataset.fingerprint"] == "f" * 64
    assert json.loads(first["dataset.class_names"]) == ["other", "radio"]
    assert json.loads(first["environment.packages"]) == results[0].environment.packages
    assert first["metrics.minority_f1"] == pytest.approx(0.1)
    assert first["seconds.query"] == pytest.approx(0.5)
    assert first["seed.number"] == 0
    assert sum(json.loads(first["subpool_counts"]).values()) == 40
    failed = frame[frame["status"] == "failed"].iloc[0]
    assert failed["error"].startswith("RuntimeError: out | of")
    assert pd.isna(failed["round"])


def test_an_empty_folder_a_missing_package_and_a_file_in_the_way_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow")
    with pytest.raises(NoResultsError, match="holds no results: run"):
        export_results(tmp_path, tmp_path / "x.parquet")
    write_result(make_result("seals", 0), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableError, match=r"x\.parquet could not be written"):
        export_results(tmp_path, tmp_path / "file" / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"small-text-ext\[parquet\]"):
        export_results(tmp_path, tmp_path / "x.parquet")
