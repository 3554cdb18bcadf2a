from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext.pool.prototypes import PrototypeModel, class_prototypes, held_classes
from small_text_ext.pool.vectors import unit_rows


def drawn(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return unit_rows(np.random.default_rng(seed).normal(size=(rows, 6)))


def direction(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector))


def test_prototypes_are_weighted_mean_directions() -> None:
    vectors, held = drawn(4), np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]]) == 1
    weights = np.array([1.0, 2.0, 3.0, 4.0])[:, None] * np.ones(3)
    found = class_prototypes(vectors, held, weights)
    expected = direction(vectors[0] + 2 * vectors[1] + 3 * vectors[2])
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    np.testing.assert_allclose(
        class_prototypes(vectors, held)[1], direction(vectors[1] + vectors[3]), atol=1e-6
    )
    assert np.isnan(found[2]).all()


def test_labels_as_a_matrix() -> None:
    assert held_classes(np.array([2, 0]), 3).tolist() == [
        [False, False, True],
        [True, False, False],
    ]
    assert held_classes(np.array([[0, 1], [1, 1]]), 2).tolist() == [[False, True], [True, True]]


@pytest.mark.filterwarnings("error")
def test_a_softmax_over_the_cosines() -> None:
    vectors, labels, queries = drawn(9), np.arange(9) % 3, drawn(5, 1)
    proba = PrototypeModel.of(vectors, labels, 4, scale=4.0).proba(queries)
    powers = np.zeros((5, 4))
    for one in range(3):
        powers[:, one] = np.exp(4 * queries @ direction(vectors[labels == one].mean(axis=0)))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, (expected + 1e-3 / 4) / 1.001, rtol=1e-5)
    heavier = PrototypeModel.of(
        vectors, labels, 4, weights=np.where(labels == 1, 3.0, 1.0), scale=4.0
    ).proba(queries)
    plain, heavy = (1.001 * p - 1e-3 / 4 for p in (proba, heavier))
    np.testing.assert_allclose(heavy[:, 1] / heavy[:, 0], 3 * plain[:, 1] / plain[:, 0], rtol=1e-5)


@pytest.mark.filterwarnings("error")
def test_several_labels_are_the_nearer_mean() -> None:
    vectors, held = drawn(20), np.random.default_rng(2).integers(0, 2, size=(20, 3))
    held[:, 2] = 1
    proba = PrototypeModel.of(vectors, held, 3).proba(vectors)
    for label in range(2):
        with_it, without = (vectors[held[:, label] == one].mean(axis=0) for one in (1, 0))
        closer = vectors @ (direction(with_it) - direction(without))
        middle = (closer[held[:, label] == 1].mean() + closer[held[:, label] == 0].mean()) / 2
        expected = 1 / (1 + np.exp(-16.0 * (closer - middle).astype(np.float64)))
        np.testing.assert_allclose(proba[:, label], (expected + 5e-4) / 1.001, rtol=1e-4)
    np.testing.assert_allclose(proba[:, 2], 1, atol=1e-3)  # all have it
