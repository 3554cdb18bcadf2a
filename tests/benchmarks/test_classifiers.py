from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import classifiers
from benchmarks.classifiers import (
    CLASSIFIERS,
    build_factory,
    check_classifier,
    classifier_kinds,
    try_classifier,
    with_model,
)
from benchmarks.encoders import MINILM_SHA256
from benchmarks.results import ClassifierRecord
from benchmarks.suggestions import SuiteError
from tests.tiny_models import tiny_model


def test_kinds_are_fitted_on_vectors_or_on_texts() -> None:
    assert set(classifier_kinds()) == set(CLASSIFIERS)
    features = {name: CLASSIFIERS[name].features for name in ("mlp", "transformer", "setfit")}
    assert features == {"mlp": "vectors", "transformer": "texts", "setfit": "texts"}


def test_an_unknown_parameter_is_refused() -> None:
    record = ClassifierRecord(id="x", kind="mlp", params={"learning_rate": 1})
    with pytest.raises(SuiteError, match="learning_rate"):
        build_factory(record, 2, 0)


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("transfomer", {}, "Did you mean 'transformer'"),
        ("transformer", {"num_epoch": 1}, "Did you mean 'num_epochs'"),
        ("transformer", {"tokenizer": "other"}, "'tokenizer' .* is set by the runner"),
        ("transformer", {"seed": 1}, "'seed' .* is set by the runner"),
        ("setfit", {"max_step": 1}, "Did you mean 'max_steps'"),
        ("setfit", {"output_dir": "x"}, "'output_dir' .* is set by the runner"),
        ("mlp", {"model": "minilm"}, "parameter of classifier 'mlp' 'model'"),
    ],
)
def test_names_are_checked_against_the_real_classes(
    kind: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(SuiteError, match=message):
        check_classifier(kind, params)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("mlp", {"lr": "abc"}),
        ("mlp", {"hidden_size": -1}),
        ("sklearn:LogisticRegression", {"C": -1.0}),
        ("sklearn:RandomForestClassifier", {"max_depth": "deep"}),
        ("transformer", {"num_epochs": 0}),
        ("transformer", {"max_length": 0}),
        ("transformer", {"class_weight": "balenced"}),
    ],
)
def test_a_value_that_the_class_refuses_is_named_before_the_run(
    kind: str, params: dict[str, object]
) -> None:
    try_classifier(ClassifierRecord(id="mine", kind=kind))
    with pytest.raises(SuiteError, match="classifier 'mine' cannot be built"):
        try_classifier(ClassifierRecord(id="mine", kind=kind, params=params))


def test_nothing_is_looked_for_when_a_classifier_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def unasked(name: str) -> None:
        raise AssertionError(f"{name} was looked for")

    monkeypatch.setattr(classifiers, "resolve_encoder", unasked)
    for kind in ("transformer", "setfit"):
        params = {"model": "nobody/nothing", "max_length": 16}
        try_classifier(ClassifierRecord(id="x", kind=kind, params=params))


def test_a_model_is_part_of_the_record() -> None:
    plain = ClassifierRecord(id="x", kind="mlp", params={"lr": 0.1})
    assert with_model(plain) is plain
    found = with_model(ClassifierRecord(id="x", kind="transformer", params={"num_epochs": 2}))
    assert found.params == {"num_epochs": 2}
    assert found.model is not None
    assert (found.model.id, found.model.fingerprint) == ("minilm", MINILM_SHA256)


def test_other_weights_are_another_record_and_are_refused_afterwards(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model")
    record = ClassifierRecord(id="mine", kind="transformer", params={"model": str(folder)})
    found = with_model(record)
    assert with_model(found) == found
    assert build_factory(found, 2, 0).new().model_args.model == str(folder)
    tiny_model(folder, seed=1)
    assert with_model(record).model != found.model
    with pytest.raises(SuiteError, match=r"model '.*' of classifier 'mine' .* have changed"):
        build_factory(found, 2, 0)
