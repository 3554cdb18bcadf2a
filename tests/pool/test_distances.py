from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from small_text_ext.pool import distances
from small_text_ext.pool.distances import RowBlocks, squared_of
from small_text_ext.pool.embeddings import PoolEmbeddings


@pytest.fixture
def pool() -> PoolEmbeddings:
    return PoolEmbeddings.from_array(np.random.default_rng(0).normal(size=(97, 5)))


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("held", [True, False])
def test_distances_are_those_of_one_matrix(
    pool: PoolEmbeddings,
    device: str | None,
    precision: Any,  # noqa: ANN401
    held: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(distances, "_BLOCK_ROWS", 10)
    monkeypatch.setattr(distances, "_BLOCK_COLUMNS", 4)
    if not held:
        monkeypatch.setattr(distances, "_HELD_BYTES", 0)
    rows = np.random.default_rng(1).permutation(97)[:60]
    vectors = np.array(pool, dtype=np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    blocks = RowBlocks(pool, rows, precision, device)
    squared = ((vectors[rows][:, None] - vectors[None]) ** 2).sum(axis=2)
    atol = 4e-6 if precision == "float32" else 1e-12
    np.testing.assert_allclose(
        blocks.nearest_squared(pool[:23]), squared[:, :23].min(axis=1), atol=atol
    )
    among = squared[:, rows] + np.diag(np.full(60, np.inf))
    np.testing.assert_allclose(blocks.nearest_squared_within(), among.min(axis=1), atol=atol)
    taken = blocks.take(np.array([3, 0]))
    np.testing.assert_allclose(taken, vectors[rows[[3, 0]]], atol=1e-7)
    np.testing.assert_allclose(blocks.products(taken), taken @ vectors[rows].T, atol=1e-6)


def test_one_row_has_no_other(pool: PoolEmbeddings) -> None:
    assert RowBlocks(pool, np.array([4])).nearest_squared_within().tolist() == [0.0]


def test_what_is_equal_but_for_rounding_is_equal() -> None:
    assert (
        squared_of(np.array([0.3, 0.1 + 0.2])).tolist()[0] == squared_of(np.array([0.1 + 0.2]))[0]
    )
    assert squared_of(np.array([1.0000001, 0.9999999], dtype=np.float32)).tolist() == [0.0, 0.0]
    assert squared_of(np.array([0.99999], dtype=np.float32))[0] > 0
