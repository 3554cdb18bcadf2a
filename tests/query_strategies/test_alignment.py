from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import rel_entr
from sklearn.neighbors import NearestNeighbors
from small_text import SklearnDataset, TextDataset

from small_text_ext import (
    AnchorAL,
    EmbeddingAlignmentClassification,
    KNNEntropy,
    KNNMargin,
    LabeledContrastiveActiveLearning,
    PoolEmbeddings,
    PrototypeDisagreement,
    PrototypeGap,
    TransformerArguments,
)
from small_text_ext.pool.vectors import unit_rows
from small_text_ext.query_strategies import alignment
from tests.contract.scenarios import clustered_vectors, texts_of_vectors
from tests.query_strategies.conftest import CountingClassifier, Pool
from tests.tiny_models import checkpoint

STRATEGIES: list[Any] = [
    KNNMargin,
    KNNEntropy,
    PrototypeDisagreement,
    PrototypeGap,
    LabeledContrastiveActiveLearning,
]


def votes_of_a_loop(pool: Pool, k: int = 5, temperature: float = 0.1) -> NDArray[np.float64]:
    """Return soft votes of labelled neighbours, smoothed, for the unlabelled texts."""
    peer = NearestNeighbors(metric="cosine", algorithm="brute").fit(pool.vectors[pool.labeled])
    distances, ids = peer.kneighbors(pool.vectors[pool.unlabeled], k)
    rows = []
    for row, neighbors in zip(distances, ids, strict=True):
        shares = np.full(2, 1e-3 / 2)
        for distance, neighbor in zip(row, neighbors, strict=True):
            shares[pool.y[neighbor]] += np.exp(-distance / temperature)
        rows.append(shares / shares.sum())
    return np.array(rows)


def scores(pool: Pool, strategy: Any, **changes: Any) -> NDArray[np.float64]:  # noqa: ANN401
    pool.query(strategy, **changes)
    found: NDArray[np.float64] = strategy.last_scores
    return found[pool.unlabeled]


def test_margin_and_entropy_are_those_of_the_votes(pool: Pool) -> None:
    votes = votes_of_a_loop(pool)
    margin = scores(pool, KNNMargin(pool.vectors))
    np.testing.assert_allclose(margin, 1 - np.abs(votes[:, 0] - votes[:, 1]), atol=1e-4)
    entropy = scores(pool, KNNEntropy(pool.vectors))
    expected = -(votes * np.log2(votes)).sum(axis=1)
    np.testing.assert_allclose(entropy, expected, atol=1e-4)


def test_the_highest_scores_are_picked(pool: Pool) -> None:
    strategy = KNNMargin(pool.vectors)
    picks = pool.query(strategy, 7)
    found = strategy.last_scores
    assert found is not None
    assert np.isnan(found[pool.labeled]).all()
    assert found[picks].min() >= np.sort(found[pool.unlabeled])[-7]


def test_of_equal_votes_the_farthest_text_is_picked(pool: Pool) -> None:
    strategy = KNNMargin(pool.vectors, votes="hard", num_neighbors=1)
    picks = pool.query(strategy, 5)
    nearest = (pool.vectors[pool.unlabeled] @ pool.vectors[pool.labeled].T).max(axis=1)
    assert set(picks) == set(pool.unlabeled[np.argsort(nearest)[:5]])


def test_frozen_vectors_need_no_classifier(pool: Pool) -> None:
    pool.clf.seen.clear()
    for strategy in (KNNMargin, KNNEntropy, PrototypeDisagreement, PrototypeGap):
        alone = pool.query(strategy(pool.vectors), clf=None)
        assert alone.tolist() == pool.query(strategy(pool.vectors)).tolist()
    assert pool.clf.seen == []


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda cls: cls.__name__)
def test_the_vectors_of_the_classifier(pool: Pool, strategy: Any) -> None:  # noqa: ANN401
    """The classifier of this pool embeds a text as its frozen vector."""
    pool.clf.seen.clear()
    own = scores(pool, strategy("classifier"))
    assert len(np.concatenate(pool.clf.seen)) == len(pool.vectors)  # one pass, also for both
    np.testing.assert_allclose(own, scores(pool, strategy(pool.vectors)), atol=1e-6)
    np.testing.assert_array_equal(own, scores(pool, strategy(None)))


def test_prototypes_against_votes(pool: Pool) -> None:
    votes = votes_of_a_loop(pool)
    means = [pool.vectors[pool.labeled][pool.y == one].mean(axis=0) for one in (0, 1)]
    cosines = np.stack([pool.vectors @ (m / np.linalg.norm(m)) for m in means], axis=1)
    powers = np.exp(16 * cosines[pool.unlabeled].astype(np.float64))
    other = (powers / powers.sum(axis=1, keepdims=True) + 5e-4) / 1.001
    mean = (votes + other) / 2
    expected = (rel_entr(votes, mean) + rel_entr(other, mean)).sum(axis=1) / 2
    found = scores(pool, PrototypeDisagreement(pool.vectors))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_votes_against_the_head_of_the_classifier(pool: Pool) -> None:
    votes = votes_of_a_loop(pool)
    other = pool.clf.predict_proba(pool.dataset[pool.unlabeled])
    mean = (votes + other) / 2
    expected = (rel_entr(votes, mean) + rel_entr(other, mean)).sum(axis=1) / 2
    found = scores(pool, PrototypeDisagreement(pool.vectors, against="classifier"))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_texts_of_no_known_class_are_new() -> None:
    generator = np.random.default_rng(0)
    classes = np.repeat(np.arange(4), 30)  # of the last one nothing is labelled
    vectors = unit_rows(np.eye(8)[classes] + 0.05 * generator.normal(size=(120, 8)))
    labeled = np.array([0, 1, 30, 31, 60, 61])
    pool = Pool(vectors, classes, labeled)
    picks = pool.query(PrototypeGap(vectors), 30, clf=None)
    assert set(classes[picks]) == {3}
    between = unit_rows(vectors[0:1] + vectors[30:31])
    pool = Pool(np.concatenate([vectors[:90], between]), np.append(classes[:90], 0), labeled)
    strategy = PrototypeGap(pool.vectors, measure="margin")
    assert pool.query(strategy, 1, clf=None).tolist() == [90]


def test_of_one_class_the_margin_is_novelty(pool: Pool) -> None:
    one = pool.labeled[pool.y == 0]
    given = {"indices_labeled": one, "y": np.zeros(len(one))}
    margin = pool.query(PrototypeGap(pool.vectors, measure="margin"), **given)
    assert margin.tolist() == pool.query(PrototypeGap(pool.vectors), **given).tolist()


def test_contrastive_neighbors_are_labeled(pool: Pool) -> None:
    found = scores(pool, LabeledContrastiveActiveLearning(num_neighbors=4))
    known = pool.clf.predict_proba(pool.dataset[pool.labeled])
    present = pool.clf.predict_proba(pool.dataset[pool.unlabeled])
    peer = NearestNeighbors(metric="cosine", algorithm="brute").fit(pool.vectors[pool.labeled])
    ids = peer.kneighbors(pool.vectors[pool.unlabeled], 4, return_distance=False)
    expected = [
        np.mean([rel_entr(known[i], present[row]).sum() for i in ids[row]])
        for row in range(len(present))
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_several_labels() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 20)  # no label, the first, the second, both
    vectors = unit_rows(np.eye(6)[groups] + 0.05 * generator.normal(size=(80, 6)))
    between, odd = unit_rows(vectors[:1] + vectors[20:21]), np.eye(6)[5:]
    vectors, groups = np.concatenate([vectors, between, odd]), np.append(groups, [0, 0])
    held = np.stack([groups % 2, groups // 2], axis=1)
    labeled = np.array([0, 1, 20, 21, 40, 41, 60, 61])
    pool = Pool(vectors, np.zeros(82, dtype=np.int64), labeled)
    changes = {"clf": None, "y": csr_matrix(held[labeled])}
    for strategy in (KNNMargin, KNNEntropy):
        picks = pool.query(strategy(vectors, temperature=0.05), 2, **changes)
        assert set(picks) == {80, 81}
    newest = pool.query(PrototypeGap(vectors), 74, **changes)
    assert newest[0] == 81
    assert set(groups[newest[-18:]]) == {0}  # what is like texts without a label is not new
    with pytest.raises(ValueError, match=r"multi-label.*measure='novelty'"):
        pool.query(PrototypeGap(vectors, measure="margin"), 1, **changes)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda cls: cls.__name__)
def test_blocks_change_nothing(
    pool: Pool,
    strategy: Any,  # noqa: ANN401
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = scores(pool, strategy(pool.vectors))
    monkeypatch.setattr(alignment, "_BLOCK", 100)
    np.testing.assert_allclose(scores(pool, strategy(pool.vectors)), whole, atol=1e-6)


def test_memory_is_that_of_a_block() -> None:
    rows, size = 60_000, 64
    vectors = np.random.default_rng(0).normal(size=(rows, size)).astype(np.float32)
    pool = PoolEmbeddings.from_array(vectors)
    dataset = SklearnDataset(pool, np.zeros(rows, dtype=int), target_labels=np.arange(50))
    labeled = np.arange(2_000)
    unlabeled = np.arange(2_000, rows)
    strategy = KNNMargin(pool)
    tracemalloc.start()
    strategy.query(None, dataset, unlabeled, labeled, labeled % 50, n=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6  # all cosines are 464 MB, and their order twice that


def test_votes_in_the_models_vectors_under_frozen_anchors(pool: Pool) -> None:
    anchored = AnchorAL(
        KNNMargin("classifier"), pool.vectors, num_neighbors=20, subpool_size=150, seed=1
    )
    pool.clf.seen.clear()
    picks = pool.query(anchored, 5)
    assert np.isin(picks, pool.unlabeled).all()
    assert anchored.last_query is not None
    assert len(np.concatenate(pool.clf.seen)) == len(anchored.last_query.subpool) + len(
        pool.labeled
    )


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda cls: cls.__name__)
def test_what_is_missing(pool: Pool, strategy: Any) -> None:  # noqa: ANN401
    none: dict[str, Any] = {"indices_labeled": np.array([], dtype=int), "y": np.array([])}
    with pytest.raises(ValueError, match=r"nothing is labelled: pick the first"):
        pool.query(strategy(pool.vectors), **none)
    with pytest.raises(TypeError, match="there is none yet"):
        pool.query(strategy("classifier"), clf=None)
    with pytest.raises(ValueError, match="no level holds the same content"):
        pool.query(strategy(pool.vectors[:70]))


def test_a_head_is_needed_to_disagree_with(pool: Pool) -> None:
    for strategy in (
        PrototypeDisagreement(pool.vectors, against="classifier"),
        LabeledContrastiveActiveLearning(pool.vectors),
    ):
        with pytest.raises(TypeError, match="there is none yet"):
            pool.query(strategy, clf=None)


def test_vectors_that_are_not_numbers_are_an_error(pool: Pool) -> None:
    class Broken(CountingClassifier):
        def embed(self, data_set: Any, return_proba: bool = False) -> Any:  # noqa: ANN401
            return np.full((len(data_set), 3), np.nan)

    with pytest.raises(ValueError, match="embeddings hold NaN"):
        pool.query(KNNMargin("classifier"), clf=Broken())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KNNMargin("frozen"), "embeddings is 'frozen'"),
        (lambda: KNNMargin(num_neighbors=0), "num_neighbors is 0"),
        (lambda: KNNEntropy(votes="loud"), "votes is 'loud'"),  # type: ignore[arg-type]
        (lambda: KNNEntropy(temperature=0.0), "temperature is 0"),
        (lambda: PrototypeDisagreement(against="knn"), "against is 'knn'"),  # type: ignore[arg-type]
        (lambda: PrototypeDisagreement(scale=float("nan")), "scale is nan"),
        (lambda: PrototypeDisagreement(num_neighbors=0), "num_neighbors is 0"),
        (lambda: PrototypeGap(measure="gap"), "measure is 'gap'"),  # type: ignore[arg-type]
        (lambda: LabeledContrastiveActiveLearning(num_neighbors=0), "num_neighbors is 0"),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match=message):
        make()


def test_vectors_and_head_of_an_aligned_encoder() -> None:
    """Its head votes as the strategy does: margins are the same, and nothing is disagreed on."""
    texts = texts_of_vectors(np.array(clustered_vectors(240)))
    cluster = np.arange(240) % 12
    dataset = TextDataset(texts, cluster % 2, target_labels=np.arange(2))
    labeled = np.arange(48)
    unlabeled = np.setdiff1d(np.arange(240), labeled)
    arguments = TransformerArguments(checkpoint(), config_kwargs={"num_hidden_layers": 1})
    clf = EmbeddingAlignmentClassification(
        arguments, 2, num_epochs=2, lr=4e-3, precision="float32", seed=0
    )
    clf.fit(dataset[labeled])
    proba = clf.predict_proba(dataset[unlabeled])
    for strategy in (
        KNNMargin("classifier"),
        PrototypeDisagreement("classifier", against="classifier"),
        LabeledContrastiveActiveLearning(),
    ):
        picks = strategy.query(clf, dataset, unlabeled, labeled, cluster[labeled] % 2, n=5)
        assert np.isin(picks, unlabeled).all()
        found = strategy.last_scores
        assert found is not None
        if isinstance(strategy, KNNMargin):  # the head is the same vote of the same neighbours
            margins = 1 - np.abs(proba[:, 0] - proba[:, 1])
            np.testing.assert_allclose(found[unlabeled], margins, atol=1e-4)
        if isinstance(strategy, PrototypeDisagreement):
            np.testing.assert_allclose(found[unlabeled], 0, atol=1e-6)
