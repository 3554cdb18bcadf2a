from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import SklearnDataset

from benchmarks.classifiers import build_factory
from benchmarks.results import ClassifierRecord
from benchmarks.vector_classifiers import SKLEARN_CLASSIFIERS, VECTOR_CLASSIFIERS


@pytest.fixture(scope="module")
def dataset() -> SklearnDataset:
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    return SklearnDataset(x, y, target_labels=np.arange(2))


def proba(kind: str, dataset: SklearnDataset, seed: int = 0) -> NDArray[np.float64]:
    factory = build_factory(ClassifierRecord(id="x", kind=kind), 2, seed)
    return np.asarray(factory.new().fit(dataset).predict_proba(dataset))


@pytest.mark.parametrize("kind", VECTOR_CLASSIFIERS)
def test_every_kind_learns_and_repeats_itself(kind: str, dataset: SklearnDataset) -> None:
    first = proba(kind, dataset)
    assert first.shape == (60, 2)
    assert (first.argmax(axis=1) == dataset.y).mean() > 0.6
    assert (proba(kind, dataset) == first).all()


def test_the_list_of_kinds_is_not_empty() -> None:
    assert "mlp" in VECTOR_CLASSIFIERS
    assert len(SKLEARN_CLASSIFIERS) >= 4
    assert {kind.features for kind in VECTOR_CLASSIFIERS.values()} == {"vectors"}
    assert not any(kind.takes_model for kind in VECTOR_CLASSIFIERS.values())


def test_the_seed_reaches_the_estimator(dataset: SklearnDataset) -> None:
    kind = "sklearn:RandomForestClassifier"
    assert (proba(kind, dataset, 0) != proba(kind, dataset, 1)).any()


def test_parameters_reach_model_and_training() -> None:
    record = ClassifierRecord(id="x", kind="mlp", params={"hidden_size": 7, "num_epochs": 2})
    classifier = build_factory(record, 3, seed=0, device="cpu").new()
    assert classifier.model_args.hidden_size == 7
    assert classifier.num_epochs == 2
    assert classifier.num_classes == 3
