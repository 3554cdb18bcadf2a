from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.datasets import MissingSourceError, load_texts
from benchmarks.selection import Selection, select_suite
from benchmarks.specs import DatasetEntry
from benchmarks.suggestions import SuiteError
from benchmarks.units import (
    available_methods,
    check_values,
    expand_units,
    find_encoder,
    prepare_dataset,
    prepare_datasets,
)
from tests.tiny_models import tiny_model


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
    said = "the package no_such_package is not installed (pip install no_such_package)."
    assert skipped == [f"random is left out: {said}"]


def test_a_suite_of_methods_that_all_miss_a_package_is_an_error(suite_file: Path) -> None:
    names = list(select_suite(Selection(str(suite_file))).methods)
    raw = [f"methods.{name}.requires=no_such_package" for name in names]
    with pytest.raises(SuiteError, match=r"nothing is left to run.*pip install no_such_package"):
        available_methods(select_suite(Selection(str(suite_file), overrides=raw)))


def test_a_data_set_that_is_needed_and_missing_is_an_error(suite_file: Path) -> None:
    raw = ["datasets.0.name=csv:/nowhere.csv"]
    for overrides in (raw, [*raw, "datasets.0.optional=true"]):
        with pytest.raises(MissingSourceError, match="no such file"):
            prepare_datasets(select_suite(Selection(str(suite_file), overrides=overrides)))


def test_other_weights_of_a_model_change_the_hashes_of_its_classifier_alone(
    suite_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    suite = select_suite(
        Selection(str(suite_file), classifiers=["logistic", "transformer"], model=str(folder))
    )
    datasets, _ = prepare_datasets(suite)
    hashes: dict[str, list[set[str]]] = {"logistic": [], "transformer": []}
    for seed in (0, 1):
        tiny_model(folder, seed=seed)
        units = expand_units(suite, datasets, find_encoder(suite))
        for name, found in hashes.items():
            found.append({unit.hash for unit in units if unit.spec.classifier.id == name})
    assert hashes["logistic"][0] == hashes["logistic"][1]
    assert not hashes["transformer"][0] & hashes["transformer"][1]


def test_a_ceiling_s_parameters_are_tried_with_the_classifiers_it_runs_with(
    suite_file: Path,
) -> None:
    ceiling = ["methods.full-data.strategy=full-data", "methods.full-data.C=2.0"]
    suite = select_suite(
        Selection(str(suite_file), classifiers=["logistic", "mlp"], overrides=ceiling)
    )
    check_values(suite)
    everywhere = suite.methods["full-data"].model_copy(update={"classifiers": None})
    methods = {**suite.methods, "full-data": everywhere}
    with pytest.raises(SuiteError, match="parameter of classifier 'mlp' 'C'"):
        check_values(suite.model_copy(update={"methods": methods}))


def test_a_slice_may_keep_all_wanted_texts() -> None:
    entry = DatasetEntry(name="bbc-news", minority=("tech", "sports"), max_texts=1_000)
    drawn = prepare_dataset(entry).data
    kept = prepare_dataset(entry.model_copy(update={"keep_minority": True})).data
    total = load_texts("bbc-news").counts()
    assert len(drawn) == len(kept) == 1_000
    assert kept.counts() == {
        "other": 1_000 - total["tech"] - total["sports"],
        "tech": total["tech"],
        "sports": total["sports"],
    }
    assert 0.6 < drawn.counts()["tech"] / (total["tech"] * 1_000 / 2_225) < 1.4
    with pytest.raises(SuiteError, match="keep_minority"):
        prepare_dataset(entry.model_copy(update={"keep_minority": True, "max_texts": 100}))


def test_a_classifier_may_have_fewer_seeds_and_the_option_holds_for_all(suite_file: Path) -> None:
    def seeds_of(selection: Selection) -> dict[str, set[int]]:
        suite = select_suite(selection)
        datasets, _ = prepare_datasets(suite)
        found: dict[str, set[int]] = {}
        for unit in expand_units(suite, datasets, find_encoder(suite)):
            found.setdefault(unit.spec.classifier.id, set()).add(unit.spec.seed.number)
        return found

    own = ["classifiers.mlp.seeds=3", "classifiers.gauss.kind=sklearn:GaussianNB"]
    assert seeds_of(Selection(str(suite_file), overrides=own)) == {
        "logistic": {0, 1},
        "gauss": {0, 1},
        "mlp": {0, 1, 2},
    }
    asked = seeds_of(Selection(str(suite_file), seeds=1, overrides=own))
    assert asked == {"logistic": {0}, "gauss": {0}, "mlp": {0}}
