from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import pool_maps
from benchmarks.encoders import resolve_encoder
from benchmarks.pool_maps import find_source, find_texts, pool_map, pool_map_path
from benchmarks.results import UnitSpec
from benchmarks.runner import prepare_run
from benchmarks.selection import Selection, select_suite
from benchmarks.specs import DatasetEntry
from benchmarks.suggestions import SuiteError
from benchmarks.units import prepare_dataset
from tests.benchmarks.stand_ins import LocalHub


@pytest.fixture
def spec(suite_file: Path, tmp_path: Path) -> UnitSpec:
    selection = Selection(str(suite_file), seeds=1, classifiers=["mlp"], methods=["random"])
    return prepare_run(select_suite(selection), tmp_path).units[0].spec


def test_the_map_holds_every_text_of_the_pool_by_its_place_in_the_data_set(
    spec: UnitSpec, tmp_path: Path
) -> None:
    metrics = pool_map(spec, tmp_path)
    assert len(metrics) == 192
    assert metrics["guid"].is_unique
    assert metrics["guid"].max() < 240
    shares = metrics["correctness_fraction"]
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.mean() > 0.7, "one title in five is wanted"


def test_a_map_is_made_once_and_its_file_is_whole(
    spec: UnitSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pool_map(spec, tmp_path)
    files = [path for path in (tmp_path / "maps").rglob("*") if path.is_file()]
    assert files == [tmp_path / pool_map_path(spec)]

    def again(*_: Any) -> None:  # noqa: ANN401
        raise AssertionError("fitted twice")

    monkeypatch.setattr(pool_maps, "make_pool_map", again)
    read = pool_map(spec, tmp_path)
    assert np.array_equal(made.to_numpy(), read.to_numpy())


def test_nothing_is_left_of_a_fit_that_fails(
    spec: UnitSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:  # noqa: ANN401
        raise RuntimeError("no memory")

    monkeypatch.setattr(pool_maps, "make_pool_map", broken)
    with pytest.raises(RuntimeError, match="no memory"):
        pool_map(spec, tmp_path)
    assert not (tmp_path / pool_map_path(spec)).exists()


def test_methods_share_a_map_and_whatever_changes_it_has_another(spec: UnitSpec) -> None:
    def changed(part: str, **values: Any) -> Path:  # noqa: ANN401
        record = getattr(spec, part).model_copy(update=values)
        return pool_map_path(spec.model_copy(update={part: record}))

    own = pool_map_path(spec)
    assert changed("method", id="other", strategy="LeastConfidence") == own
    assert changed("protocol", rounds=7, query_size=9) == own
    others = [
        changed("seed", data=1),
        changed("seed", model=1),
        changed("classifier", params={"num_epochs": 3}),
        changed("classifier", plugin="0"),
        changed("dataset", fingerprint="0"),
        changed("encoder", fingerprint="0"),
        changed("protocol", test_size=0.5),
    ]
    assert len({own, *others}) == len(others) + 1


def test_another_version_makes_its_own_map(spec: UnitSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    own = pool_map_path(spec)
    monkeypatch.setattr("small_text_ext.__version__", "0.0.0")
    assert pool_map_path(spec) != own


def test_vectors_that_come_with_the_data_need_no_encoder(
    local_hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection = Selection(
        "anchoral-agnews-bus",
        seeds=1,
        methods=["random"],
        overrides=["rounds=1", "query_size=2", "initial_size=10", "initial_minority=1"],
    )
    unit = prepare_run(select_suite(selection), tmp_path).units[0].spec
    assert unit.encoder.id.startswith("all-mpnet-base-v2, published")
    monkeypatch.setattr(pool_maps, "resolve_encoder", lambda name: pytest.fail(name))
    source = find_source(unit)
    assert source.embeddings.is_dir()
    assert len(source.labels) == unit.dataset.num_texts


def test_what_cannot_be_recorded_has_no_map(spec: UnitSpec, tmp_path: Path) -> None:
    logistic = spec.classifier.model_copy(
        update={"id": "logistic", "kind": "sklearn:LogisticRegression"}
    )
    with pytest.raises(SuiteError, match="the map of the pool needs"):
        pool_map(spec.model_copy(update={"classifier": logistic}), tmp_path)


@pytest.mark.parametrize("keep", [True, False])
def test_a_slice_is_found_again_by_its_fingerprint(keep: bool) -> None:
    entry = DatasetEntry(name="bbc-news", minority=("tech",), max_texts=1_000, keep_minority=keep)
    prepared = prepare_dataset(entry)
    found = find_texts(prepared.record)
    assert found.fingerprint == prepared.data.fingerprint
    assert found.texts == prepared.data.texts


def test_what_a_result_does_not_keep_is_asked_of_its_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    # The suite as it is today, but on data that lie on every machine.
    suite = {
        "name": "mine",
        "datasets": [{"name": "bbc-news", "max_texts": 600, "min_per_class": 100}],
        "classifiers": {"mlp": {}},
        "methods": {"random": {}},
    }
    monkeypatch.setattr(pool_maps, "read_suite", lambda name: suite)
    entry = DatasetEntry(name="bbc-news", max_texts=600, min_per_class=100)
    record = prepare_dataset(entry).record
    assert find_texts(record, "mine").fingerprint == record.fingerprint
    with pytest.raises(SuiteError, match="other data"):
        find_texts(record)


def test_other_data_under_the_same_name_are_refused() -> None:
    record = prepare_dataset(DatasetEntry(name="bbc-news", max_texts=50)).record
    with pytest.raises(SuiteError, match="'bbc-news' has the fingerprint 000"):
        find_texts(record.model_copy(update={"fingerprint": "0" * 64}), "no-such-suite")


def test_another_encoder_is_refused(
    spec: UnitSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = resolve_encoder("minilm")
    other = replace(resolved, fingerprint="1" * 64)
    monkeypatch.setattr(pool_maps, "resolve_encoder", lambda name: other)
    with pytest.raises(SuiteError, match="encoder 'minilm' has the fingerprint 1111"):
        pool_map(spec, tmp_path)
