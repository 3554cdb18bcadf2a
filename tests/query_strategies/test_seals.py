from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import LeastConfidence, RandomSampling

from small_text_ext import SEALS
from tests.query_strategies.conftest import Pool


class Published:
    """SEALS as published, one neighbour at a time: the first query searches all labels."""

    def __init__(self, vectors: NDArray[np.float32], k: int) -> None:
        self.vectors, self.k = vectors, k
        self.found: set[int] = set()
        self.searched: set[int] = set()

    def subpool(self, labeled: NDArray[np.int64], unlabeled: NDArray[np.int64]) -> set[int]:
        for item in set(labeled.tolist()) - self.searched:
            distances = 1 - self.vectors[unlabeled] @ self.vectors[item]
            nearest = np.argsort(distances, kind="stable")[: self.k]
            self.found |= set(unlabeled[nearest].tolist())
        self.searched = set(labeled.tolist())
        self.found -= self.searched
        return set(self.found)


def run(pool: Pool, strategy: SEALS, rounds: int) -> list[set[int]]:
    subpools = []
    for _ in range(rounds):
        picks = pool.query(strategy)
        assert strategy.last_query is not None
        subpools.append(set(strategy.last_query.subpool.tolist()))
        pool.labeled = np.concatenate([pool.labeled, picks])
    return subpools


def test_the_subpool_grows_as_published(pool: Pool) -> None:
    labeled = pool.labeled.copy()
    strategy = SEALS(LeastConfidence(), pool.vectors, num_neighbors=4, subpool_size=500, seed=0)
    subpools = run(pool, strategy, 4)
    published = Published(pool.vectors, 4)
    picked = pool.labeled[len(labeled) :]
    for number, subpool in enumerate(subpools):
        now = np.concatenate([labeled, picked[: 10 * number]])
        unlabeled = np.setdiff1d(np.arange(len(pool.vectors)), now)
        assert subpool == published.subpool(now, unlabeled)
    assert len(subpools[-1]) > len(subpools[0])


def test_only_new_labels_are_searched(pool: Pool) -> None:
    strategy = SEALS(LeastConfidence(), pool.vectors, num_neighbors=4, subpool_size=500, seed=0)
    picks = pool.query(strategy)
    assert strategy.last_query is not None
    assert len(strategy.last_query.anchors) == 50
    pool.labeled = np.concatenate([pool.labeled, picks])
    pool.query(strategy)
    np.testing.assert_array_equal(strategy.last_query.anchors, picks)


def test_asking_twice_changes_nothing(pool: Pool) -> None:
    strategy = SEALS(LeastConfidence(), pool.vectors, num_neighbors=4, subpool_size=500, seed=0)
    np.testing.assert_array_equal(pool.query(strategy), pool.query(strategy))


def test_a_label_that_is_taken_back_is_a_candidate_again(pool: Pool) -> None:
    strategy = SEALS(LeastConfidence(), pool.vectors, num_neighbors=20, subpool_size=400, seed=0)
    picks = pool.query(strategy)
    pool.labeled = np.concatenate([pool.labeled, picks])
    pool.query(strategy)
    pool.labeled = pool.labeled[:-1]
    pool.query(strategy)
    assert strategy.last_query is not None
    assert picks[-1] in strategy.last_query.subpool


def test_the_cap_offers_a_random_part(pool: Pool) -> None:
    arguments = {"num_neighbors": 8, "subpool_size": 400, "seed": 0}
    whole = SEALS(LeastConfidence(), pool.vectors, **arguments)
    capped = SEALS(LeastConfidence(), pool.vectors, max_subpool_size=60, **arguments)
    pool.query(whole)
    pool.query(capped)
    assert whole.last_query is not None
    assert capped.last_query is not None
    part = capped.last_query.subpool
    assert len(np.unique(part)) == 60 < capped.last_query.num_retrieved
    assert set(part) < set(whole.last_query.subpool)


def test_without_labels_it_starts_at_random(pool: Pool) -> None:
    strategy = SEALS(RandomSampling(), pool.vectors, subpool_size=400, seed=0)
    nothing = np.empty(0, dtype=int)
    picks = strategy.query(None, pool.dataset, np.arange(1500), nothing, nothing, n=10)
    assert len(np.unique(picks)) == 10


def test_memory_of_states_is_bounded(pool: Pool) -> None:
    strategy = SEALS(LeastConfidence(), pool.vectors, num_neighbors=2, subpool_size=400, seed=0)
    run(pool, strategy, 25)
    assert len(strategy._found) == 16


def test_the_cap_must_be_positive(pool: Pool) -> None:
    with pytest.raises(ValueError, match="max_subpool_size is 0"):
        SEALS(LeastConfidence(), pool.vectors, max_subpool_size=0)


def test_picks_come_from_the_candidates_under_a_small_cap(pool: Pool) -> None:
    arguments = {"num_neighbors": 8, "subpool_size": 400, "seed": 0}
    whole = SEALS(LeastConfidence(), pool.vectors, **arguments)
    capped = SEALS(LeastConfidence(), pool.vectors, max_subpool_size=5, **arguments)
    pool.query(whole)
    picks = pool.query(capped)
    assert whole.last_query is not None
    assert set(picks) <= set(whole.last_query.subpool)
