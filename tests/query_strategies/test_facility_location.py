from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext._random import derived_generator
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies.facility_location import facility_location, neighbor_graph
from small_text_ext.query_strategies.joint_scores import Weight
from tests.query_strategies.plain_selection import random_pool


def plain(
    pool: PoolEmbeddings,
    n: int,
    selected: list[int],
    weights: NDArray[np.float64],
    k: int | None = None,
) -> list[int]:
    """Compute every gain anew from the matrix of all pairs."""
    rows = np.array(pool, dtype=np.float32)
    similar = np.maximum(rows @ rows.T, 0).astype(np.float64)
    np.fill_diagonal(similar, 1.0)
    rest = [row for row in range(len(rows)) if row not in selected]
    covered = similar[:, selected].max(axis=1, initial=0.0)[rest]
    similar = similar[np.ix_(rest, rest)]
    if k is not None:
        for row in similar:
            row[np.argsort(-row)[k:]] = 0.0
    order = derived_generator(0).permutation(len(rows))
    picks: list[int] = []
    for _ in range(n):
        gains = np.maximum(similar - covered[:, None], 0).sum(axis=0) * weights[rest]
        open_ = [i for i, row in enumerate(rest) if row not in picks]
        best = max(open_, key=lambda i: (round(gains[i], 4), -order[rest[i]]))
        picks.append(rest[best])
        covered = np.maximum(covered, similar[:, best])
    return picks


@pytest.mark.parametrize("k", [None, 3])
def test_lazy_gains_give_the_picks_of_all_gains(k: int | None) -> None:
    for seed in range(40):
        generator = np.random.default_rng(seed)
        pool = random_pool(generator)
        selected = generator.choice(len(pool), int(generator.integers(0, 3)), replace=False)
        # Before gains are used up, which rounding alone would order.
        n = max(1, (len(pool) - len(selected)) // (3 if k else 6))
        weights = generator.uniform(0.2, 1, size=len(pool)) if seed % 2 else np.ones(len(pool))
        picks = facility_location(
            pool, n, selected, weights, num_neighbors=len(pool) if k is None else k
        )
        assert picks.tolist() == plain(pool, n, selected.tolist(), weights, k)


def test_one_run_serves_every_smaller_budget() -> None:
    vectors = np.random.default_rng(0).normal(size=(80, 6))
    many = facility_location(vectors, 70, num_neighbors=5)
    assert len(set(many)) == 70
    assert many[:9].tolist() == facility_location(vectors, 9, num_neighbors=5).tolist()


def test_a_row_is_its_own_neighbour_among_duplicates() -> None:
    vectors = np.repeat(np.eye(2), 5, axis=0)
    graph = neighbor_graph(PoolEmbeddings.from_array(vectors), np.arange(10), 3)
    assert graph.neighbors[:, 0].tolist() == list(range(10))
    assert all(len(set(row)) == 3 for row in graph.neighbors.tolist())
    np.testing.assert_allclose(graph.similarities, 1.0, atol=1e-6)


def test_the_seed_decides_between_equals() -> None:
    firsts = {int(facility_location(np.eye(8), 1, seed=seed)[0]) for seed in range(20)}
    assert len(firsts) > 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 6}, "n is 6, and there are 5 candidates"),
        ({"n": 1, "num_neighbors": 0}, "num_neighbors is 0"),
        ({"n": 1, "weights": -np.ones(5)}, "weights reach down to -1.0 after their strength"),
        ({"n": 1, "weights": Weight(-np.ones(5), 0.5)}, "no power of 0.5"),
        ({"n": 1, "weights": np.ones(4)}, r"shape \(4,\)"),
        ({"n": 1, "selected": [0], "candidates": [0]}, "1 of the candidates are selected"),
    ],
    ids=str,
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        facility_location(np.eye(5), **arguments)
