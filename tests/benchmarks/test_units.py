from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.datasets import MissingSourceError
from benchmarks.selection import Selection, select_suite
from benchmarks.units import available_methods, expand_units, find_encoder, prepare_datasets


def test_units_that_share_data_stand_together_and_are_all_different(suite_file: Path) -> None:
    suite = select_suite(Selection(str(suite_file)))
    datasets, skipped = prepare_datasets(suite)
    assert skipped == []
    units = expand_units(suite, datasets, find_encoder(suite))
    assert [unit.spec.seed.number for unit in units] == [0, 0, 0, 1, 1, 1]
    assert len({unit.hash for unit in units}) == len(units) == 6
    assert len({unit.spec.relative_path for unit in units}) == 6


def test_another_text_changes_every_hash(
    suite_file: Path, titles_csv: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(titles_csv.read_text(encoding="utf-8").replace("Ad sales", "Ad sale", 1))
    hashes = []
    for path in (titles_csv, other):
        raw = ["datasets.0.name=csv:" + str(path)]
        suite = select_suite(Selection(str(suite_file), overrides=raw))
        units = expand_units(suite, prepare_datasets(suite)[0], find_encoder(suite))
        hashes.append({unit.hash for unit in units})
    assert not hashes[0] & hashes[1]


def test_a_method_whose_package_is_missing_is_skipped_and_said(suite_file: Path) -> None:
    raw = ["methods.random.requires=no_such_package", "methods.anchoral.requires=numpy"]
    suite = select_suite(Selection(str(suite_file), overrides=raw))
    kept, skipped = available_methods(suite)
    assert list(kept.methods) == ["least-confidence", "anchoral"]
    assert skipped == ["random is left out: the package no_such_package is not installed."]


def test_a_data_set_that_is_needed_and_missing_is_an_error(suite_file: Path) -> None:
    raw = ["datasets.0.name=csv:/nowhere.csv"]
    for overrides in (raw, [*raw, "datasets.0.optional=true"]):
        with pytest.raises(MissingSourceError, match="no such file"):
            prepare_datasets(select_suite(Selection(str(suite_file), overrides=overrides)))
