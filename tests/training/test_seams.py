from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_text import SklearnDataset

from small_text_ext.classifiers.mlp import MLPClassification, MLPModelArguments
from small_text_ext.training.dynamics import HeldOutRecorder
from small_text_ext.training.seams import (
    BatchSelector,
    CandidateBatch,
    FitPlan,
    Recorder,
    UniformSelector,
)
from tests.classifiers import texts
from tests.training.doubles import ListRecorder


def plan(batch_size: int = 4, seed: int = 1) -> FitPlan:
    return FitPlan(
        ids=torch.arange(40),
        num_classes=2,
        num_epochs=3,
        batch_size=batch_size,
        multi_label=False,
        seed=seed,
    )


def batch(size: int, num_selected: int) -> CandidateBatch:
    return CandidateBatch(
        ids=torch.arange(size),
        labels=torch.zeros(size, dtype=torch.int64),
        source=torch.zeros(size, 3),
        score=lambda training=False: torch.zeros(size, 2),
        num_selected=num_selected,
        epoch=0,
    )


def test_several_passes_are_calls_of_score_unless_the_model_makes_them_at_once() -> None:
    modes: list[bool] = []

    def score(training: bool = False) -> torch.Tensor:
        modes.append(training)
        return torch.full((20, 2), float(len(modes)))

    passes = replace(batch(20, 4), score=score).samples(3)
    assert modes == [True] * 3
    assert passes[:, 0, 0].tolist() == [1, 2, 3]
    at_once = replace(batch(20, 4), sample=lambda number: torch.full((number, 20, 2), 7.0))
    assert at_once.samples(5).shape == (5, 20, 2)


def test_the_protocols_name_what_the_classes_have() -> None:
    assert isinstance(UniformSelector(8), BatchSelector)
    assert isinstance(ListRecorder("training"), Recorder)
    assert not isinstance(object(), BatchSelector)


def test_uniform_selector_draws_the_asked_number_without_replacement() -> None:
    selector = UniformSelector(20)
    assert selector.begin(plan()) == 20
    drawn = [selector.select(batch(20, 4)) for _ in range(200)]
    assert all(len(set(selection.positions.tolist())) == 4 for selection in drawn)
    assert all(selection.weights is None for selection in drawn)
    counts = torch.cat([selection.positions for selection in drawn]).bincount(minlength=20)
    assert counts.min() > 15  # 40 are expected: every position is drawn


def test_uniform_selector_repeats_itself_from_the_plan_alone() -> None:
    first, second = UniformSelector(20), UniformSelector(20)
    first.begin(plan())
    first.select(batch(20, 4))
    first.begin(plan())  # a second fit does not remember the first
    second.begin(plan())
    assert torch.equal(first.select(batch(20, 4)).positions, second.select(batch(20, 4)).positions)
    second.begin(plan(seed=2))
    assert not torch.equal(
        first.select(batch(20, 10)).positions, second.select(batch(20, 10)).positions
    )


def test_uniform_selector_leaves_nothing_to_choose_from_a_small_candidate_batch() -> None:
    assert UniformSelector(2).begin(plan(batch_size=4)) == 4


def test_uniform_selector_pickles() -> None:
    selector = UniformSelector(20)
    selector.begin(plan())
    twin = pickle.loads(pickle.dumps(selector))
    assert torch.equal(selector.select(batch(20, 4)).positions, twin.select(batch(20, 4)).positions)


def test_uniform_selector_refuses_an_empty_candidate_batch() -> None:
    with pytest.raises(ValueError, match="candidate_batch_size is 0"):
        UniformSelector(0)


@pytest.mark.parametrize("kind", ["head", "encoder"])
def test_a_recorder_that_wants_to_know_is_told_when_an_epoch_is_trained(kind: str) -> None:
    told: list[tuple[str, int]] = []

    class Clock(HeldOutRecorder):
        def epoch_trained(self, epoch: int) -> None:
            told.append(("trained", epoch))

        def record(self, ids: Any, logits: Any, labels: Any, epoch: int) -> None:  # noqa: ANN401
            told.append(("shown", epoch))
            super().record(ids, logits, labels, epoch)

    if kind == "head":
        x = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
        train_set: Any = SklearnDataset(x, np.arange(24) % 2, target_labels=np.arange(2))
        clf: Any = MLPClassification(MLPModelArguments(), 2, num_epochs=2, seed=0)
    else:
        train_set, clf = texts.single(24), texts.classifier(num_epochs=2, batch_size=8)
    clf.recorder = Clock(train_set)
    clf.fit(train_set)
    assert told == [("trained", 0), ("shown", 0), ("trained", 1), ("shown", 1)]
