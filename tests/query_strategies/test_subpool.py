from __future__ import annotations

import pickle
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import (
    BreakingTies,
    EmbeddingKMeans,
    EmptyPoolException,
    LeastConfidence,
    PoolExhaustedException,
    PredictionEntropy,
    QueryStrategy,
    RandomSampling,
    SubsamplingQueryStrategy,
)
from small_text.integrations.pytorch.query_strategies import BADGE

from small_text_ext import SEALS, AnchorAL, RandomSubset
from small_text_ext.query_strategies.context import QueryContext
from small_text_ext.query_strategies.subpool import QueryRecord, SubpoolQueryStrategy
from tests.query_strategies.conftest import Pool

BASES = [
    LeastConfidence(),
    PredictionEntropy(),
    BreakingTies(),
    BADGE(2),
    EmbeddingKMeans(),
    RandomSampling(),
]


class FirstFew(SubpoolQueryStrategy):
    """A subpool of the first few unlabelled items."""

    def choose(self, context: QueryContext, record: QueryRecord) -> NDArray[np.int64]:
        return context.unlabeled[:4]


class Broken(QueryStrategy):
    """A base strategy that returns what it is told to."""

    def __init__(self, picks: list[int]) -> None:
        self.picks = picks

    def query(self, *_: Any, n: int = 10) -> NDArray[np.int64]:  # noqa: ANN401
        return np.array(self.picks)


@pytest.mark.parametrize("base", BASES, ids=str)
def test_any_base_strategy_picks_from_the_subpool(pool: Pool, base: QueryStrategy) -> None:
    anchoral = AnchorAL(base, pool.vectors, num_neighbors=10, subpool_size=400, seed=0)
    seals = SEALS(base, pool.vectors, num_neighbors=3, subpool_size=400, seed=0)
    for strategy in (anchoral, seals, RandomSubset(base, 400, seed=0)):
        picks = pool.query(strategy)
        assert strategy.last_query is not None
        subpool = strategy.last_query.subpool
        assert len(subpool) < len(pool.unlabeled)
        assert len(np.unique(picks)) == 10
        assert np.isin(picks, subpool).all()
        assert np.isin(subpool, pool.unlabeled).all()


@pytest.mark.parametrize("base", BASES[:5], ids=str)
def test_the_classifier_sees_subpool_and_labelled_texts_only(
    pool: Pool, base: QueryStrategy
) -> None:
    for strategy in (
        AnchorAL(base, pool.vectors, num_neighbors=10, subpool_size=400, seed=0),
        SEALS(base, pool.vectors, num_neighbors=3, subpool_size=400, seed=0),
        RandomSubset(base, 400, seed=0),
    ):
        pool.clf.seen.clear()
        pool.query(strategy)
        assert strategy.last_query is not None
        subpool = strategy.last_query.subpool
        allowed = pool.vectors[np.concatenate([subpool, pool.labeled])]
        assert 0 < sum(len(rows) for rows in pool.clf.seen) <= len(subpool) + len(pool.labeled)
        seen = {row.tobytes() for rows in pool.clf.seen for row in rows}
        assert seen <= {row.tobytes() for row in allowed}


def test_a_small_pool_is_handed_over_whole(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, seed=0)
    picks = pool.query(strategy)
    assert strategy.last_query is not None
    assert not strategy.last_query.filtered
    np.testing.assert_array_equal(strategy.last_query.subpool, pool.unlabeled)
    assert set(picks) == set(pool.query(LeastConfidence()))


def test_a_subpool_that_is_too_small_is_topped_up_at_random(pool: Pool) -> None:
    strategy = FirstFew(LeastConfidence(), 100, seed=0)
    picks = pool.query(strategy, n=9)
    assert strategy.last_query is not None
    subpool = strategy.last_query.subpool
    assert len(picks) == len(np.unique(subpool)) == 9
    assert strategy.last_query.num_topped_up == 5
    np.testing.assert_array_equal(subpool[:4], pool.unlabeled[:4])
    np.testing.assert_array_equal(pool.query(FirstFew(LeastConfidence(), 100, seed=0), n=9), picks)


def test_the_base_strategy_follows_the_seed_and_leaves_the_global_state(pool: Pool) -> None:
    strategy = RandomSubset(RandomSampling(), 100, seed=3)
    before = str(np.random.get_state())  # noqa: NPY002
    first, again = pool.query(strategy), pool.query(strategy)
    np.testing.assert_array_equal(first, again)
    assert before == str(np.random.get_state())  # noqa: NPY002
    other = pool.query(RandomSubset(RandomSampling(), 100, seed=4))
    assert set(first) != set(other)


def test_without_a_seed_the_base_strategy_draws_on(pool: Pool) -> None:
    strategy = RandomSubset(RandomSampling(), 1000)
    assert set(pool.query(strategy)) != set(pool.query(strategy))


def test_a_generator_as_seed_is_as_good_as_a_number(pool: Pool) -> None:
    picks = [
        pool.query(RandomSubset(RandomSampling(), 100, seed=np.random.default_rng(5)))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(picks[0], picks[1])


def test_other_labels_draw_another_subset(pool: Pool) -> None:
    strategy = RandomSubset(LeastConfidence(), 100, seed=0)
    pool.query(strategy)
    assert strategy.last_query is not None
    first = set(strategy.last_query.subpool)
    pool.labeled = np.append(pool.labeled, pool.unlabeled[-1])
    pool.query(strategy)
    assert first != set(strategy.last_query.subpool)


def test_a_matched_subset_is_as_large_as_the_other_subpool(pool: Pool) -> None:
    anchoral = AnchorAL(LeastConfidence(), pool.vectors, num_neighbors=20, subpool_size=500, seed=0)
    matched = RandomSubset(LeastConfidence(), anchoral, seed=0)
    pool.query(anchoral)
    pool.query(matched)
    assert anchoral.last_query is not None
    assert matched.last_query is not None
    assert len(matched.last_query.subpool) == len(anchoral.last_query.subpool) < 500
    assert set(matched.last_query.subpool) != set(anchoral.last_query.subpool)
    assert "subpool_size=AnchorAL(" in str(matched)


def test_scores_are_spread_over_the_dataset(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, num_neighbors=10, subpool_size=400, seed=0)
    assert strategy.last_scores is None
    pool.query(strategy)
    scores = strategy.last_scores
    assert scores is not None
    assert strategy.last_query is not None
    known = np.concatenate([strategy.last_query.subpool, pool.labeled])
    np.testing.assert_array_equal(np.sort(known), np.flatnonzero(~np.isnan(scores)))
    expected = pool.clf.predict_proba(pool.dataset[known]).max(axis=1)
    np.testing.assert_allclose(scores[known], expected)
    scored = strategy.score(pool.clf, pool.dataset, pool.unlabeled, pool.labeled, pool.y)
    np.testing.assert_allclose(scored, scores)


def test_a_base_strategy_without_scores_says_so(pool: Pool) -> None:
    strategy = RandomSubset(RandomSampling(), 100, seed=0)
    pool.query(strategy)
    assert strategy.last_scores is None
    with pytest.raises(TypeError, match="has no scores"):
        strategy.score(pool.clf, pool.dataset, pool.unlabeled, pool.labeled, pool.y)


@pytest.mark.parametrize("picks", [[0, 0, 1], [0, 1], [0, 1, 99], [-1, 0, 1], [0, 1, 2, 3]])
def test_a_base_strategy_that_breaks_the_contract_is_named(pool: Pool, picks: list[int]) -> None:
    with pytest.raises(RuntimeError, match="not 3 distinct unlabelled ones"):
        pool.query(RandomSubset(Broken(picks), 50, seed=0), n=3)


def test_empty_and_exhausted_pools_raise_the_exceptions_of_the_host(pool: Pool) -> None:
    strategy = RandomSubset(LeastConfidence(), 50, seed=0)
    with pytest.raises(EmptyPoolException):
        pool.query(strategy, indices_unlabeled=np.empty(0, dtype=int))
    with pytest.raises(PoolExhaustedException):
        pool.query(strategy, n=5, indices_unlabeled=np.arange(100, 103))


def test_seconds_are_noted_by_step(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, num_neighbors=10, subpool_size=400, seed=0)
    pool.query(strategy)
    assert strategy.last_query is not None
    assert set(strategy.last_query.seconds) == {"anchors", "search", "choose", "base"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSubset(LeastConfidence, 5), TypeError, "pass an instance"),
        (lambda: RandomSubset(LeastConfidence(), 0), ValueError, "subpool_size is 0"),
        (lambda: RandomSubset(LeastConfidence(), cast(Any, 1.5)), TypeError, "subpool_size is 1.5"),
        (lambda: RandomSubset(LeastConfidence(), 5, seed=-1), ValueError, "seed is -1"),
        (lambda: RandomSubset(LeastConfidence(), 5, seed=cast(Any, "a")), TypeError, "seed is 'a'"),
    ],
)
def test_bad_arguments(make: Any, error: type[Exception], message: str) -> None:  # noqa: ANN401
    with pytest.raises(error, match=message):
        make()


def test_a_seed_reaches_subpool_strategies_inside(pool: Pool) -> None:
    def picks(seed: int) -> set[int]:
        inner = RandomSubset(RandomSampling(), 40)
        return set(pool.query(RandomSubset(inner, 400, seed=seed)).tolist())

    assert picks(1) == picks(1)
    assert picks(1) != picks(2)


def test_scores_of_a_base_that_samples_again_are_not_guessed_at(pool: Pool) -> None:
    strategy = RandomSubset(SubsamplingQueryStrategy(LeastConfidence(), 50), 400, seed=0)
    assert len(np.unique(pool.query(strategy))) == 10
    assert strategy.last_scores is None


def test_scores_do_not_make_a_saved_learner_large(pool: Pool) -> None:
    strategy = RandomSubset(LeastConfidence(), 50, seed=0)
    pool.query(strategy)
    scores = strategy.last_scores
    assert scores is not None
    assert len(pickle.dumps(strategy)) < scores.nbytes
