"""The heads on vectors of their own: what they know, and what they do not."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from small_text_ext.classifiers.alignment_heads import (
    KNNHead,
    LabeledVectors,
    LogisticHead,
    PrototypeHead,
)
from tests.classifiers.data import vectors

HEADS = [KNNHead(), KNNHead(votes="hard"), PrototypeHead(), LogisticHead()]
NAMES = ["knn", "hard-knn", "prototypes", "logistic"]


def labeled(labels: Any, num_classes: int = 4, weights: Any = None) -> LabeledVectors:  # noqa: ANN401
    """Return vectors around three centres with labels."""
    labels = np.asarray(labels)
    factors = np.ones(labels.shape) if weights is None else np.broadcast_to(weights, labels.shape)
    return LabeledVectors(vectors(len(labels)), labels, factors.astype(np.float32), num_classes)


def fitted(head: Any, train: LabeledVectors) -> Any:  # noqa: ANN401
    made = pickle.loads(pickle.dumps(head))
    made.fit(train)
    return pickle.loads(pickle.dumps(made))


@pytest.mark.parametrize("head", HEADS, ids=NAMES)
def test_a_class_that_was_never_seen(head: Any) -> None:  # noqa: ANN401
    proba = fitted(head, labeled(np.arange(60) % 3)).proba(vectors(30, seed=1))
    assert proba.shape == (30, 4)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (proba.argmax(axis=1) == np.arange(30) % 3).mean() > 0.95
    assert proba[:, 3].min() > 0
    assert proba[:, 3].max() < 0.05


@pytest.mark.parametrize("head", HEADS, ids=NAMES)
def test_several_labels(head: Any) -> None:  # noqa: ANN401
    group = np.arange(60) % 3
    hot = np.stack([group != 1, group == 1, np.zeros(60), np.ones(60)], axis=1).astype(np.float32)
    proba = fitted(head, labeled(hot)).proba(vectors(30, seed=1))
    assert ((proba > 0.5) == (hot[:30] > 0)).mean() > 0.97
    assert proba.min() > 0
    assert proba.max() < 1


@pytest.mark.parametrize("head", HEADS, ids=NAMES)
@pytest.mark.filterwarnings("error")
def test_one_text_and_no_text(head: Any) -> None:  # noqa: ANN401
    made = fitted(head, labeled([2]))
    assert made.proba(vectors(5)).argmax(axis=1).tolist() == [2] * 5
    assert made.proba(vectors(5)[:0]).shape == (0, 4)
    several = fitted(head, labeled(np.array([[1.0, 0, 0, 0]])))
    assert (several.proba(vectors(5)) > 0.5).tolist() == [[True, False, False, False]] * 5
    assert several.proba(vectors(5)[:0]).shape == (0, 4)


@pytest.mark.parametrize("head", [KNNHead(k=40), PrototypeHead(scale=2), LogisticHead()], ids=str)
def test_heavier_texts_count_more(head: Any) -> None:  # noqa: ANN401
    labels = np.arange(60) % 3
    even = fitted(head, labeled(labels)).proba(vectors(30, seed=1))
    heavy = fitted(head, labeled(labels, weights=np.where(labels == 1, 5.0, 1.0)))
    assert heavy.proba(vectors(30, seed=1))[:, 1].mean() > even[:, 1].mean() + 0.005


def test_prototypes_are_means() -> None:
    train = labeled(np.arange(60) % 3)
    head = fitted(PrototypeHead(scale=8.0), train)
    query = vectors(1, seed=1)[0]
    shares = []
    for one in range(3):
        mean = train.vectors[np.arange(60) % 3 == one].mean(axis=0)
        shares.append(np.exp(8 * query @ mean / np.linalg.norm(mean)))
    expected = (np.array([*shares, 0]) / sum(shares) + 1e-3 / 4) / (1 + 1e-3)
    np.testing.assert_allclose(head.proba(query[None])[0], expected, rtol=1e-5)
    assert np.isnan(head.prototypes[3]).all()


def test_prototypes_of_several_labels_are_the_nearer_mean() -> None:
    hot = np.random.default_rng(1).integers(0, 2, size=(60, 4)).astype(np.float32)
    hot[:, 0] = np.arange(60) % 3 == 0
    train = labeled(hot)
    proba = fitted(PrototypeHead(), train).proba(train.vectors)
    with_it, without = (train.vectors[hot[:, 0] == one].mean(axis=0) for one in (1, 0))
    with_it, without = (mean / np.linalg.norm(mean) for mean in (with_it, without))
    closer = train.vectors @ (with_it - without)
    middle = (closer[hot[:, 0] == 1].mean() + closer[hot[:, 0] == 0].mean()) / 2
    expected = 1 / (1 + np.exp(-16.0 * (closer - middle).astype(np.float64)))
    np.testing.assert_allclose(proba[:, 0], (expected + 5e-4) / 1.001, rtol=1e-4)
