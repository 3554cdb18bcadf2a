from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from small_text import PoolExhaustedException, RandomSampling
from small_text.query_strategies.coresets import greedy_coreset

from small_text_ext import AnchorAL, FacilityLocation, KCenterGreedy, TypiClust
from small_text_ext.protocols import dense_proba
from small_text_ext.query_strategies.diversity import (
    Weight,
    facility_location,
    k_center_greedy,
    similarity_weight,
    typiclust,
)
from small_text_ext.query_strategies.uncertainty import uncertainty_weights
from tests.query_strategies.conftest import CountingClassifier, Pool

STRATEGIES = [KCenterGreedy, FacilityLocation, TypiClust]


def margins(pool: Pool) -> Any:  # noqa: ANN401
    return uncertainty_weights(dense_proba(pool.clf, pool.dataset))


@pytest.mark.parametrize(
    ("strategy", "function"),
    [
        (KCenterGreedy, k_center_greedy),
        (FacilityLocation, facility_location),
        (TypiClust, typiclust),
    ],
)
def test_a_strategy_picks_what_its_function_does(pool: Pool, strategy: Any, function: Any) -> None:  # noqa: ANN401
    made = strategy(pool.vectors, seed=3)
    seed = np.random.default_rng([3, len(pool.labeled)])
    expected = function(pool.vectors, 20, pool.labeled, seed=seed)
    assert pool.query(made, 20).tolist() == expected.tolist()
    seed = np.random.default_rng([3, len(pool.labeled)])
    weighted = strategy(pool.vectors, uncertainty="margin", uncertainty_strength=2, seed=3)
    weight = Weight(np.maximum(margins(pool), 1e-6), 2.0)
    expected = function(pool.vectors, 20, pool.labeled, weight, seed=seed)
    assert pool.query(weighted, 20).tolist() == expected.tolist()


def test_picks_are_those_of_the_host(pool: Pool) -> None:
    """Whose core-set is right where the unlabelled texts come first: it mixes positions else."""
    picks = pool.query(KCenterGreedy(pool.vectors, seed=0), 15)
    first = np.concatenate([pool.unlabeled, pool.labeled])
    positions = np.split(np.arange(len(first)), [len(pool.unlabeled)])
    theirs = greedy_coreset(pool.vectors[first], *positions, 15, "euclidean", normalized=True)
    assert picks.tolist() == first[theirs].tolist()


def test_the_objective_counts_the_uncertainty_of_what_is_labelled(pool: Pool) -> None:
    strategy = KCenterGreedy(pool.vectors, uncertainty="margin", combine="objective", seed=3)
    expected = k_center_greedy(
        pool.vectors, 20, pool.labeled, margins(pool), combine="objective", seed=9
    )
    assert pool.query(strategy, 20).tolist() == expected.tolist()


def test_the_classifier_is_asked_where_it_counts_alone(pool: Pool) -> None:
    pool.clf.seen.clear()
    pool.query(KCenterGreedy(pool.vectors, seed=0))
    assert not pool.clf.seen
    pool.query(KCenterGreedy(pool.vectors, uncertainty="entropy", seed=0))
    assert [len(seen) for seen in pool.clf.seen] == [len(pool.unlabeled)]


@pytest.mark.parametrize("combine", ["product", "objective"])
def test_the_classifier_is_asked_once(pool: Pool, combine: Any) -> None:  # noqa: ANN401
    pool.clf.seen.clear()
    options: dict[str, Any] = {"uncertainty": "margin", "balance_strength": 1, "combine": combine}
    pool.query(KCenterGreedy(pool.vectors, **options, seed=0))
    of_labeled = len(pool.labeled) if combine == "objective" else 0
    assert [len(seen) for seen in pool.clf.seen] == [len(pool.unlabeled) + of_labeled]


@pytest.mark.parametrize("strength", [1.0, 0.0])
def test_texts_below_a_minimum_come_last(pool: Pool, strength: float) -> None:
    weights = margins(pool)
    unsure = np.flatnonzero(weights >= 0.1)
    unsure = np.setdiff1d(unsure, pool.labeled)
    assert 5 < len(unsure) < 1000
    strategy = KCenterGreedy(
        pool.vectors,
        uncertainty="margin",
        minimum_uncertainty=0.1,
        uncertainty_strength=strength,
        seed=0,
    )
    picks = pool.query(strategy, len(unsure) + 5)
    assert set(picks[: len(unsure)]) == set(unsure)
    assert (weights[picks[len(unsure) :]] < 0.1).all()


def test_balance_asks_for_the_class_that_lacks(pool: Pool) -> None:
    predicted = dense_proba(pool.clf, pool.dataset).argmax(axis=1)
    picks = pool.query(KCenterGreedy(pool.vectors, balance_strength=50, seed=0), 20)
    assert (predicted[picks] == 1).all()  # five of fifty labels are of this class
    assert (predicted[pool.query(KCenterGreedy(pool.vectors, seed=0), 20)] == 1).mean() < 0.5


def test_balance_is_for_one_class_a_text(pool: Pool) -> None:
    strategy = KCenterGreedy(pool.vectors, balance_strength=1.0)
    with pytest.raises(ValueError, match=r"balance_strength is 1\.0 in a multi-label task"):
        pool.query(strategy, y=csr_matrix(np.eye(2, dtype=int)[pool.y]))


def test_picks_are_like_the_examples(pool: Pool) -> None:
    wanted = pool.vectors[pool.truth == 1][0]
    strategy = KCenterGreedy(pool.vectors, examples=wanted, similarity_strength=60, seed=0)
    picks = pool.query(strategy, 20)
    expected = k_center_greedy(pool.vectors, 20, pool.labeled, _at_least_tiny(pool, wanted), seed=9)
    assert picks.tolist() == expected.tolist()
    assert (pool.truth[picks] == 1).mean() > 10 * pool.truth.mean()


def _at_least_tiny(pool: Pool, wanted: Any) -> Weight:  # noqa: ANN401
    weight = similarity_weight(pool.vectors, wanted)
    return Weight(np.maximum(np.asarray(weight.values), 1e-6), 60.0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_views_and_wrappers_change_nothing(pool: Pool, strategy: Any) -> None:  # noqa: ANN401
    options = {"uncertainty": "margin", "seed": 1}
    offered = pool.unlabeled[::3]
    expected = pool.query(strategy(pool.vectors, **options), indices_unlabeled=offered)
    selection = np.concatenate([offered, pool.labeled])
    made = pickle.loads(pickle.dumps(strategy(pool.vectors, **options)))
    picks = pool.query(
        made,
        dataset=pool.dataset[selection],
        indices_unlabeled=np.arange(len(offered)),
        indices_labeled=np.arange(len(offered), len(selection)),
    )
    assert selection[picks].tolist() == expected.tolist()
    anchored = AnchorAL(made, pool.vectors, num_neighbors=10, subpool_size=200, seed=0)
    assert len(set(pool.query(anchored))) == 10
    assert anchored.last_query is not None
    assert np.isin(pool.query(anchored), anchored.last_query.subpool).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_starts_without_labels(pool: Pool, strategy: Any) -> None:  # noqa: ANN401
    nothing = np.empty(0, dtype=int)
    arguments: dict[str, Any] = {
        "indices_unlabeled": np.arange(1500),
        "indices_labeled": nothing,
        "y": nothing,
    }
    picks = pool.query(strategy(pool.vectors, seed=0), clf=None, **arguments)
    assert len(set(picks)) == 10
    with pytest.raises(TypeError, match=f"{strategy.__name__} asks the classifier"):
        pool.query(strategy(pool.vectors, uncertainty="margin"), clf=None, **arguments)


def test_a_classifier_has_probabilities(pool: Pool) -> None:
    with pytest.raises(TypeError, match="SimpleNamespace gives no class probabilities"):
        pool.query(KCenterGreedy(pool.vectors, uncertainty="margin"), clf=SimpleNamespace())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_labels_may_be_many_a_text(pool: Pool, strategy: Any) -> None:  # noqa: ANN401
    clf = CountingClassifier(multi_label=True)
    clf.fit(pool.dataset[pool.labeled])
    y = csr_matrix(np.eye(2, dtype=int)[pool.y])
    made = strategy(pool.vectors, uncertainty="entropy", uncertainty_strength=3, seed=0)
    picks = pool.query(made, clf=clf, y=y)
    assert picks.tolist() != pool.query(strategy(pool.vectors, seed=0), clf=clf, y=y).tolist()
    # Of two classes whose probabilities sum to one, both measures are the same.
    assert picks.tolist() == pool.query(made).tolist()


def test_picks_cover_more_than_random_ones(pool: Pool) -> None:
    """The largest distance to a label: the promise of k-center, on a pool of thirty clusters."""
    radii = {}
    for name, strategy in {
        "k-center": KCenterGreedy(pool.vectors, seed=0),
        "random": RandomSampling(),
    }.items():
        chosen = np.concatenate([pool.labeled, pool.query(strategy, 100)])
        radii[name] = (2 - 2 * pool.vectors @ pool.vectors[chosen].T).min(axis=1).max()
    assert radii["k-center"] < 0.8 * radii["random"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_text_is_labelled_or_not(pool: Pool, strategy: Any) -> None:  # noqa: ANN401
    made = strategy(pool.vectors)
    with pytest.raises(ValueError, match="50 texts are labelled and unlabelled at once"):
        pool.query(made, indices_unlabeled=np.arange(1500))
    with pytest.raises(ValueError, match="indices reach from 0 to 1500"):
        pool.query(made, indices_unlabeled=np.array([1500]), indices_labeled=np.array([0]), n=1)
    with pytest.raises(PoolExhaustedException):
        pool.query(made, 1451)
    with pytest.raises(ValueError, match="n is 0"):
        pool.query(made, 0)


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        (KCenterGreedy, {"uncertainty": "bald"}, "uncertainty is 'bald'"),
        (KCenterGreedy, {"combine": "sum"}, "combine is 'sum'"),
        (KCenterGreedy, {"precision": "half"}, "precision is 'half'"),
        (KCenterGreedy, {"strength": np.nan}, "strength is nan"),
        (KCenterGreedy, {"balance_strength": np.inf}, "balance_strength is inf"),
        (KCenterGreedy, {"minimum_uncertainty": 0.5}, "minimum_uncertainty is 0.5"),
        (KCenterGreedy, {"examples": [1.0, 0.0]}, "examples has dimension 2"),
        (FacilityLocation, {"uncertainty_strength": np.nan}, "uncertainty_strength is nan"),
        (FacilityLocation, {"num_neighbors": 0}, "num_neighbors is 0"),
        (TypiClust, {"max_clusters": 0}, "max_clusters is 0"),
        (TypiClust, {"min_cluster_size": 0}, "min_cluster_size is 0"),
    ],
    ids=str,
)
def test_bad_options(strategy: Any, options: dict[str, Any], message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        strategy(np.eye(4), **options)
