from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import SklearnDataset

from benchmarks.classifiers import (
    SKLEARN_CLASSIFIERS,
    build_factory,
    classifier_kinds,
    try_classifier,
)
from benchmarks.results import ClassifierRecord
from benchmarks.suggestions import SuiteError


@pytest.fixture(scope="module")
def dataset() -> SklearnDataset:
    x = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    return SklearnDataset(x, y, target_labels=np.arange(2))


def proba(kind: str, dataset: SklearnDataset, seed: int = 0) -> NDArray[np.float64]:
    factory = build_factory(ClassifierRecord(id="x", kind=kind), 2, seed)
    return np.asarray(factory.new().fit(dataset).predict_proba(dataset))


@pytest.mark.parametrize("kind", classifier_kinds())
def test_every_kind_learns_and_repeats_itself(kind: str, dataset: SklearnDataset) -> None:
    first = proba(kind, dataset)
    assert first.shape == (60, 2)
    assert (first.argmax(axis=1) == dataset.y).mean() > 0.6
    assert (proba(kind, dataset) == first).all()


def test_the_list_of_kinds_is_not_empty() -> None:
    assert "mlp" in classifier_kinds()
    assert len(SKLEARN_CLASSIFIERS) >= 4


def test_the_seed_reaches_the_estimator(dataset: SklearnDataset) -> None:
    kind = "sklearn:RandomForestClassifier"
    assert (proba(kind, dataset, 0) != proba(kind, dataset, 1)).any()


def test_parameters_reach_model_and_training() -> None:
    record = ClassifierRecord(id="x", kind="mlp", params={"hidden_size": 7, "num_epochs": 2})
    classifier = build_factory(record, 3, seed=0, device="cpu").new()
    assert classifier.model_args.hidden_size == 7
    assert classifier.num_epochs == 2
    assert classifier.num_classes == 3


def test_an_unknown_parameter_is_refused() -> None:
    record = ClassifierRecord(id="x", kind="mlp", params={"learning_rate": 1})
    with pytest.raises(SuiteError, match="learning_rate"):
        build_factory(record, 2, 0)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("mlp", {"lr": "abc"}),
        ("mlp", {"hidden_size": -1}),
        ("sklearn:LogisticRegression", {"C": -1.0}),
        ("sklearn:RandomForestClassifier", {"max_depth": "deep"}),
    ],
)
def test_a_value_that_the_class_refuses_is_named_before_the_run(
    kind: str, params: dict[str, object]
) -> None:
    try_classifier(ClassifierRecord(id="mine", kind=kind))
    with pytest.raises(SuiteError, match="classifier 'mine' cannot be built"):
        try_classifier(ClassifierRecord(id="mine", kind=kind, params=params))
