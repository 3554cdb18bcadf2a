"""Neighbours by blocks against scikit-learn's, and the checks; votes are tested with the heads."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from small_text_ext.pool.neighbors import (
    checked_matrix,
    knn_votes,
    nearest_neighbors,
    unit_or_zero_rows,
)


def drawn(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_blocks_give_the_neighbors_of_the_whole(rows: int) -> None:
    queries, references = drawn(50, 1), drawn(40)
    peer = NearestNeighbors(metric="cosine", algorithm="brute").fit(references)
    distances, ids = peer.kneighbors(queries, 4)
    found = nearest_neighbors(queries, references, k=4, block_bytes=rows * 40 * 4)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.similarities, 1 - distances, atol=1e-6)


def test_votes_are_the_softmax_of_cosines() -> None:
    queries, references, labels = drawn(5, 1), drawn(9), np.arange(9) % 3
    found = nearest_neighbors(queries, references, k=9)
    cosines = unit_or_zero_rows(queries) @ unit_or_zero_rows(references).T
    strength = np.exp(cosines.astype(np.float64) / 0.1)
    shares = np.stack([strength[:, labels == one].sum(axis=1) for one in range(3)], axis=1)
    expected = shares / shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(knn_votes(found, labels, 3, smoothing=0), expected, rtol=1e-4)


def test_rows_of_zeros_stay() -> None:
    scaled = unit_or_zero_rows(np.array([[0, 5], [0, 0]], dtype=np.float32))
    assert scaled.tolist() == [[0, 1], [0, 0]]


def test_bad_input() -> None:
    with pytest.raises(TypeError, match=r"k is 2\.5: pass an integer"):
        nearest_neighbors(drawn(1), drawn(2), k=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k is 0"):
        nearest_neighbors(drawn(1), drawn(2), k=0)
    with pytest.raises(ValueError, match="embeddings hold NaN"):
        checked_matrix([[1.0, np.nan]], "embeddings")
    with pytest.raises(ValueError, match=r"embeddings have the shape \(2,\)"):
        checked_matrix([1.0, 2.0], "embeddings")
