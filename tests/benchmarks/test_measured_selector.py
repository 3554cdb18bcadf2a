from __future__ import annotations

import numpy as np
from small_text import SklearnDataset

from benchmarks.measured_selector import MeasuredSelector
from small_text_ext import MLPClassification, MLPModelArguments
from small_text_ext.training.online_selection import ScoreSelector

X = np.random.default_rng(0).normal(size=(240, 6)).astype(np.float32)
DATA = SklearnDataset(X, (X[:, 0] > 0).astype(int), target_labels=np.arange(2))


def fitted(selector: ScoreSelector) -> MLPClassification:
    return MLPClassification(
        MLPModelArguments(), 2, batch_size=8, num_epochs=2, batch_selector=selector, seed=0
    ).fit(DATA)


def test_measuring_changes_nothing() -> None:
    plain, measured = (
        fitted(kind("uniform", selected_fraction=0.25))
        for kind in (ScoreSelector, MeasuredSelector)
    )
    assert plain.history_ == measured.history_


def test_a_score_that_does_not_ask_is_asked_for_once_an_epoch() -> None:
    selector = MeasuredSelector("uniform", selected_fraction=0.25)
    fitted(selector)
    frame = selector.log.frame()
    asked = frame[frame["already_correct"].notna()]
    assert asked["epoch"].tolist() == [0, 1]
    assert asked["already_correct"].between(0, 1).all()
    aside, selecting = selector.take()
    assert min(aside, selecting) > 0
    assert selector.take() == (0.0, 0.0)


def test_irrelevant_items_are_counted_by_their_ids() -> None:
    selector = MeasuredSelector("loss", selected_fraction=0.25)
    selector.irrelevant = np.arange(240) < 120
    fitted(selector)
    share = selector.log.frame()["irrelevant"]
    assert share.between(0.2, 0.8).any()
    selector.irrelevant = np.ones(240, dtype=bool)
    fitted(selector)
    assert (selector.log.frame()["irrelevant"] == 1).all()
