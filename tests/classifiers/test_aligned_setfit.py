"""SetFit with the contrastive stage of this package."""

from __future__ import annotations

from typing import Any

import dill
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from small_text import SetFitModelArguments, TextDataset

from small_text_ext.classifiers.aligned_setfit import (
    AlignedSetFitClassification,
    AlignedSetFitClassificationFactory,
)
from small_text_ext.training.alignment import AlignmentObjective, AlignmentPlan
from tests.classifiers import texts
from tests.contract.states import random_states
from tests.tiny_models import HIDDEN_SIZE, sentence_model, sentence_module

pytest.importorskip("setfit", reason="the extra setfit is not installed")

TRAIN, TEST = texts.single(48), texts.single(60, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a sentence encoder with a module that transformers knows nothing of."""
    dense = sentence_module("Dense", HIDDEN_SIZE, 12)
    return sentence_model(tmp_path_factory.mktemp("model"), "cls", 16, dense)


def arguments(folder: str, **options: Any) -> SetFitModelArguments:  # noqa: ANN401
    given = {"train_batch_size": (12, 2), "body_learning_rate": 4e-3, "seed": 1, **options}
    return SetFitModelArguments(folder, show_progress_bar=False, **given)


def test_factories_are_exchanged_and_classes_come_apart(folder: str) -> None:
    states = random_states()
    made = AlignedSetFitClassificationFactory(arguments(folder), 3, {"num_epochs": 10})
    clf = made.new().fit(TRAIN)
    assert random_states() == states
    assert clf.history_ is not None
    assert clf.history_.num_steps == 40
    frozen = AlignedSetFitClassification(arguments(folder), 3, num_epochs=0).fit(TRAIN)
    before = SentenceTransformer(folder, device="cpu").encode(TEST.x)
    np.testing.assert_allclose(frozen.embed(TEST), before, atol=1e-5)
    assert clf.embed(TEST).shape == (60, 12)
    right, at_first = ((c.predict(TEST) == TEST.y).mean() for c in (clf, frozen))
    assert right > 0.9
    assert right > at_first
    proba = clf.predict_proba(TEST)
    np.testing.assert_array_equal(made.new().fit(TRAIN).predict_proba(TEST), proba)
    np.testing.assert_array_equal(dill.loads(dill.dumps(clf)).predict_proba(TEST), proba)


def test_several_labels_a_plan_and_steps(folder: str) -> None:
    train = texts.multi(30)
    clf = AlignedSetFitClassification(
        arguments(folder, max_steps=5),
        3,
        multi_label=True,
        objective=AlignmentObjective("cosine_mse", pairs="one"),
        plan=AlignmentPlan(memory="datapoint", batches="random", batch_size=10),
        gradient_cache_chunk=4,
    ).fit(train)
    assert clf.history_ is not None
    assert clf.history_.num_steps == 5
    # Not predict: small-text's own fails for several labels.
    assert clf.predict_proba(train).shape == (30, 3)


def test_the_differentiable_head_and_a_second_fit(folder: str) -> None:
    clf = AlignedSetFitClassification(
        arguments(folder, max_length=9), 3, num_epochs=1, use_differentiable_head=True
    )
    first = clf.fit(TRAIN).embed(TEST)
    second = clf.fit(TRAIN).embed(TEST)
    assert np.abs(first - second).max() > 1e-3


def test_bad_input(folder: str) -> None:
    model_args = arguments(folder)
    with pytest.raises(ValueError, match="num_epochs is -1"):
        AlignedSetFitClassificationFactory(model_args, 3, {"num_epochs": -1})
    with pytest.raises(ValueError, match="gradient_cache_chunk is 0"):
        AlignedSetFitClassification(model_args, 3, gradient_cache_chunk=0)
    unlabelled = TextDataset(TRAIN.x, np.full(48, -1), target_labels=np.arange(3))
    with pytest.raises(ValueError, match="48 unlabelled items"):
        AlignedSetFitClassification(model_args, 3).fit(unlabelled)
