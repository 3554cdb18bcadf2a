"""What a SetFit classifier tells its recorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_text import SetFitModelArguments, TextDataset

from benchmarks.encoders import resolve_encoder
from small_text_ext.classifiers.setfit import (
    RecordedSetFitClassification,
    RecordedSetFitClassificationFactory,
)
from small_text_ext.protocols import dynamics_of
from small_text_ext.training.dynamics import DynamicsRecorder

pytest.importorskip("setfit", reason="the extra setfit is not installed")
pytestmark = pytest.mark.slow

TEXTS = [
    *(f"a wonderful film with a great story, number {number}" for number in range(5)),
    *(f"a terrible and boring film, number {number}" for number in range(5)),
]
WRONG = 2


def train_set() -> TextDataset:
    labels = np.repeat([1, 0], 5)
    labels[WRONG] = 0
    return TextDataset(TEXTS, labels, target_labels=np.arange(2))


def arguments(folder: Path, **options: Any) -> SetFitModelArguments:  # noqa: ANN401
    return SetFitModelArguments(
        resolve_encoder("minilm").folder,
        num_epochs=(3, 4),
        train_batch_size=(8, 5),
        seed=1,
        show_progress_bar=False,
        output_dir=str(folder),
        **options,
    )


@pytest.mark.parametrize(("differentiable", "num_epochs"), [(False, 3), (True, 4)])
def test_the_last_epoch_is_what_the_classifier_predicts(
    tmp_path: Path, differentiable: bool, num_epochs: int
) -> None:
    recorder = DynamicsRecorder("epoch_end")
    factory = RecordedSetFitClassificationFactory(
        arguments(tmp_path),
        2,
        {"recorder": recorder, "use_differentiable_head": differentiable, "max_length": 32},
    )
    clf = factory.new()
    clf.fit(train_set())
    dynamics = dynamics_of(clf)
    assert dynamics is recorder.dynamics
    assert recorder.dynamics.logits.shape == (num_epochs, 10, 2)
    last = np.exp(recorder.dynamics.logits[-1].astype(float))
    proba = last / last.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, clf.predict_proba(train_set()), atol=1e-5)
    epochs = recorder.dynamics.logits
    assert not np.allclose(epochs[0], epochs[-1])
    assert recorder.dynamics.labels.tolist() == train_set().y.tolist()
    assert recorder.dynamics.metrics()["confidence"].idxmin() == WRONG


def test_steps_may_end_before_the_epochs_do_or_after(tmp_path: Path) -> None:
    recorder = DynamicsRecorder("epoch_end")
    model_args = arguments(tmp_path, max_steps=20, sampling_strategy="unique")
    clf = RecordedSetFitClassification(model_args, 2, recorder=recorder, max_length=32)
    clf.fit(train_set())
    # Pairs in batches of 8 make 8 steps an epoch; the arguments say three epochs, 20 steps are 2.5.
    assert recorder.dynamics.num_epochs == 3
    assert not hasattr(clf, "_observed")


def test_only_what_follows_an_epoch_can_be_recorded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="observe='epoch_end'"):
        RecordedSetFitClassification(arguments(tmp_path), 2, recorder=DynamicsRecorder("training"))
    with pytest.raises(TypeError, match="has no recorder"):
        RecordedSetFitClassificationFactory(arguments(tmp_path), 2, {})
