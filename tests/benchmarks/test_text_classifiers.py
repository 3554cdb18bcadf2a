from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import TextDataset

from benchmarks.classifiers import build_factory, check_classifier, try_classifier
from benchmarks.results import ClassifierRecord
from benchmarks.text_classifiers import TEXT_CLASSIFIERS
from small_text_ext._extras import MissingExtraError
from small_text_ext._random import preserved_global_state
from tests.tiny_models import tiny_model, topic_texts

PARAMS: dict[str, dict[str, Any]] = {
    "transformer": {"num_epochs": 8, "lr": 0.01, "max_length": 16, "validation_set_size": 0},
    "lora": {"num_epochs": 8, "lr": 0.02, "max_length": 16, "validation_set_size": 0},
    "alignment": {"num_epochs": 8, "lr": 0.01, "max_length": 16},
    "aligned-setfit": {"num_epochs": 4, "train_batch_size": [8, 2], "max_length": 16},
    "setfit": {"max_steps": 2, "train_batch_size": [8, 2], "max_length": 16},
}
"""Parameters with which each kind learns in seconds."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def dataset() -> TextDataset:
    return TextDataset(topic_texts(40, 2), np.arange(40) % 2, target_labels=np.arange(2))


def factory(kind: str, model: Path, seed: int = 0, **params: Any) -> Any:  # noqa: ANN401
    content = {**PARAMS[kind], **params, "model": str(model)}
    return build_factory(ClassifierRecord(id="x", kind=kind, params=content), 2, seed, "cpu")


def fitted(factory: Any, dataset: TextDataset) -> NDArray[np.float64]:  # noqa: ANN401
    # The loop seeds the global generators before every fit.
    with preserved_global_state(0, torch=True):
        return np.asarray(factory.new().fit(dataset).predict_proba(dataset))


@pytest.mark.parametrize("kind", TEXT_CLASSIFIERS)
def test_every_kind_learns_and_repeats_itself(kind: str, model: Path, dataset: TextDataset) -> None:
    made = factory(kind, model)
    first = fitted(made, dataset)
    assert first.shape == (40, 2)
    assert (first.argmax(axis=1) == dataset.y).mean() > 0.8
    assert (fitted(made, dataset) == first).all()
    assert (fitted(factory(kind, model, seed=1), dataset) != first).any()


def test_there_are_kinds_with_parameters_to_learn_with() -> None:
    assert set(TEXT_CLASSIFIERS) == set(PARAMS)
    assert {kind.features for kind in TEXT_CLASSIFIERS.values()} == {"texts"}


def test_parameters_reach_encoder_and_training(model: Path) -> None:
    classifier = factory("transformer", model, precision="float32", warmup=0.1).new()
    assert (classifier.model_args.model, classifier.model_args.max_length) == (str(model), 16)
    assert (classifier.num_epochs, classifier.lr) == (8, 0.01)
    assert (classifier.precision, classifier.warmup, classifier.device) == ("float32", 0.1, "cpu")
    assert classifier.show_progress is False


def test_parameters_reach_small_text_s_setfit(model: Path) -> None:
    classifier = factory("setfit", model, use_differentiable_head=True).new()
    arguments = classifier.setfit_model_args
    assert (arguments.sentence_transformer_model, arguments.seed) == (str(model), 0)
    assert (arguments.max_steps, arguments.train_batch_size) == (2, (8, 2))
    assert (arguments.max_length, classifier.max_length) == (16, 16)
    assert (classifier.use_differentiable_head, classifier.device) == (True, "cpu")


def test_steps_of_setfit_read_as_many_texts_as_asked_for(model: Path, dataset: TextDataset) -> None:
    made = factory("setfit", model, text_passes=3, max_steps=-1)
    classifier = made.new().fit(dataset)
    # Pairs of 8: 16 texts a step.
    assert classifier.setfit_model_args.max_steps == round(3 * 40 / 16)


def test_small_text_does_not_change_the_specification(model: Path) -> None:
    table = {"warmup_proportion": 0.2}
    made = factory("setfit", model, trainer_kwargs=table)
    assert made.new().setfit_model_args.trainer_kwargs["warmup_proportion"] == 0.2
    assert table == {"warmup_proportion": 0.2}


def test_a_fit_of_setfit_prints_nothing_and_leaves_nothing(
    model: Path,
    dataset: TextDataset,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    made = factory("setfit", model)
    capfd.readouterr()
    made.new().fit(dataset)
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert logging.root.manager.disable == logging.NOTSET


def test_an_error_in_a_fit_of_setfit_is_not_silenced(model: Path) -> None:
    nothing = TextDataset([], np.empty(0, dtype=np.int64), target_labels=np.arange(3))
    with pytest.raises(ValueError, match="classes"):
        factory("setfit", model).new().fit(nothing)
    assert logging.root.manager.disable == logging.NOTSET


def test_without_setfit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setfit", None)
    for check in (
        check_classifier,
        lambda *_: try_classifier(ClassifierRecord(id="x", kind="setfit")),
    ):
        with pytest.raises(MissingExtraError, match=r"small-text-ext\[setfit\]"):
            check("setfit", {})
