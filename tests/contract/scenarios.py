"""Pools, labels, classifiers and learners that the contract checks run on.

Everything is small, seeded and clustered as sentence vectors are: a rare class lies in a region of
its own, and neighbours mostly share a label.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from small_text import (
    Classifier,
    EmbeddingMixin,
    PoolBasedActiveLearner,
    QueryStrategy,
    SklearnClassifier,
    SklearnClassifierFactory,
    SklearnDataset,
)

from small_text_ext import PoolEmbeddings
from small_text_ext._random import Seed
from small_text_ext.training.dynamics import TrainingDynamics
from tests.tiny_models import FILLERS, TOPICS

NUM_ROWS = 600
NUM_DIMENSIONS = 16
NUM_CLUSTERS = 12
NUM_CLASSES = 3
RARE_CLASS = 2
NUM_INITIAL = 30

Indices = NDArray[np.int64]


def cluster_centres(generator: np.random.Generator) -> NDArray[np.float64]:
    """Return the centres that a generator draws first."""
    return generator.standard_normal((NUM_CLUSTERS, NUM_DIMENSIONS))


@cache
def clustered_vectors(rows: int = NUM_ROWS, seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors around ``NUM_CLUSTERS`` centres, row i near centre i mod 12."""
    generator = np.random.default_rng(seed)
    centres = cluster_centres(generator)
    noise = generator.standard_normal((rows, NUM_DIMENSIONS))
    vectors = centres[np.arange(rows) % NUM_CLUSTERS] + 0.6 * noise
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors.astype(np.float32)
    unit.flags.writeable = False
    return unit


def texts_of_vectors(vectors: NDArray[np.float32], seed: int = 0) -> list[str]:
    """Return a text for each vector, made of the vector alone: similar vectors share words.

    The nearest centre gives a word, twice over; what the vector is like otherwise gives two to
    five more, of which nothing follows.
    """
    if len(vectors) == 0:
        return []
    nearest = (vectors @ cluster_centres(np.random.default_rng(seed)).T).argmax(axis=1)
    subjects = [word for topic in TOPICS for word in topic][:NUM_CLUSTERS]
    texts = []
    for vector, cluster in zip(vectors, nearest, strict=True):
        order = np.argsort(vector)[: 2 + int(abs(vector[0]) * 1000) % 4]
        others = [FILLERS[position % len(FILLERS)] for position in order]
        texts.append(" ".join([others[0], subjects[cluster], *others[1:], subjects[cluster]]))
    return texts


def clustered_labels(rows: int = NUM_ROWS, multi_label: bool = False) -> Any:  # noqa: ANN401
    """Return labels by cluster: class 2 is the rare one; multi-label rows have none to two."""
    cluster = np.arange(rows) % NUM_CLUSTERS
    labels = np.where(cluster == 0, RARE_CLASS, cluster % 2)
    if not multi_label:
        return labels
    dense = np.zeros((rows, NUM_CLASSES), dtype=np.int64)
    dense[np.arange(rows), labels] = 1
    dense[cluster == 3, 0] = 1
    dense[cluster == 5] = 0
    return csr_matrix(dense)


@dataclass(frozen=True)
class Context:
    """What a builder may use to make a strategy: the pool's vectors, and a seed."""

    multi_label: bool = False
    num_rows: int = NUM_ROWS
    seed: Seed = 7
    embeddings: PoolEmbeddings = field(init=False, compare=False)

    def __post_init__(self) -> None:
        vectors = np.array(clustered_vectors(self.num_rows))
        object.__setattr__(self, "embeddings", PoolEmbeddings.from_array(vectors))

    @property
    def y(self) -> Any:  # noqa: ANN401
        """The true labels of every row."""
        return clustered_labels(self.num_rows, self.multi_label)

    def dataset(self, known: Indices | None = None) -> SklearnDataset:
        """Return the root dataset; labels outside ``known`` are unlabelled where it is given."""
        y = self.y
        if known is not None:
            y = _hide_labels(y, known)
        x = np.array(clustered_vectors(self.num_rows))
        return SklearnDataset(x, y, target_labels=np.arange(NUM_CLASSES))

    def initial(self, draw: int = 0, below: int | None = None) -> Indices:
        """Return labelled indices, unsorted, with every class in them; ``draw`` picks others."""
        generator = np.random.default_rng([11, draw])
        candidates = generator.permutation(below or self.num_rows)
        rare = candidates[candidates % NUM_CLUSTERS == 0][:6]
        rest = np.setdiff1d(candidates, rare)
        chosen = np.concatenate([generator.permutation(rest)[: NUM_INITIAL - 6], rare])
        return generator.permutation(chosen).astype(np.int64)


def _hide_labels(y: Any, known: Indices) -> Any:  # noqa: ANN401
    if isinstance(y, csr_matrix):
        keep = np.zeros((y.shape[0], 1), dtype=y.dtype)
        keep[known] = 1
        hidden = csr_matrix(y.multiply(keep))
        hidden.eliminate_zeros()
        return hidden
    hidden = np.full_like(y, -1)
    hidden[known] = y[known]
    return hidden


class FrozenVectorClassifier(SklearnClassifier, EmbeddingMixin):
    """small-text's scikit-learn classifier, with the given vectors as its embeddings.

    The host's has no ``embed``, so no embedding-based strategy runs on it. ``rows_seen`` keeps
    the vectors of every text that was scored.
    """

    def __init__(self, multi_label: bool = False) -> None:
        super().__init__(LogisticRegression(C=10), NUM_CLASSES, multi_label=multi_label)
        self.rows_seen: list[bytes] = []
        self.mapped: tuple[NDArray[Any], Any] | None = None

    def fit(self, train_set: Any, weights: Any = None) -> FrozenVectorClassifier:  # noqa: ANN401
        super().fit(train_set, weights)
        self.mapped = np.asarray(train_set.x), train_set.y
        return self

    @property
    def dynamics_(self) -> TrainingDynamics | None:
        """A map of the training set: what was learnt grows over five made-up epochs.

        At first the model has a taste for the first class, so that the rare one is hard.
        """
        if self.mapped is None:
            return None
        x, y = self.mapped
        proba = np.clip(self.model.predict_proba(x), 1e-6, 1 - 1e-6)
        columns = np.arange(NUM_CLASSES) if self.multi_label else self.model.classes_.astype(int)
        logits = np.full((len(x), NUM_CLASSES), -10.0)
        logits[:, columns] = np.log(proba) - (np.log1p(-proba) if self.multi_label else 0)
        taste = np.linspace(2, -2, NUM_CLASSES)
        epochs = [share * logits + (1 - share) * taste for share in (0.0, 0.1, 0.2, 0.3, 1.0)]
        labels = y.toarray() != 0 if self.multi_label else np.asarray(y).astype(int)
        return TrainingDynamics.from_logits(np.stack(epochs), labels)

    def predict_proba(self, data_set: Any, multi_label_threshold: float = 0.5) -> Any:  # noqa: ANN401
        self.rows_seen.extend(np.asarray(row).tobytes() for row in data_set.x)
        return super().predict_proba(data_set, multi_label_threshold=multi_label_threshold)

    def embed(
        self,
        data_set: Any,  # noqa: ANN401
        return_proba: bool = False,
        multi_label_threshold: float = 0.5,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        vectors = np.asarray(data_set.x)
        if return_proba:
            return vectors, self.predict_proba(data_set, multi_label_threshold)
        self.rows_seen.extend(row.tobytes() for row in vectors)
        return vectors


class FrozenVectorClassifierFactory(SklearnClassifierFactory):
    """Makes a ``FrozenVectorClassifier``."""

    def __init__(self, multi_label: bool = False) -> None:
        super().__init__(LogisticRegression(C=10), NUM_CLASSES)
        self.multi_label = multi_label

    def new(self) -> FrozenVectorClassifier:
        return FrozenVectorClassifier(self.multi_label)


@dataclass(frozen=True)
class Situation:
    """The arguments of one query."""

    clf: Classifier | None
    dataset: Any
    indices_unlabeled: Indices
    indices_labeled: Indices
    y: Any

    def query(self, strategy: QueryStrategy, n: int = 10) -> Indices:
        """Ask a strategy, as the host's learner does."""
        picks: Indices = strategy.query(
            self.clf, self.dataset, self.indices_unlabeled, self.indices_labeled, self.y, n=n
        )
        return picks


def situation(
    context: Context, labeled: Indices | None = None, ignored: Sequence[int] = ()
) -> Situation:
    """Return a query on the root dataset with a fitted classifier."""
    labeled = context.initial() if labeled is None else labeled
    dataset = context.dataset()
    y = dataset.y[labeled]
    train = SklearnDataset(dataset.x[labeled], y, target_labels=np.arange(NUM_CLASSES))
    clf = FrozenVectorClassifier(context.multi_label).fit(train)
    unlabeled = np.setdiff1d(np.arange(context.num_rows), np.append(labeled, ignored))
    return Situation(clf, dataset, unlabeled.astype(np.int64), labeled, y)


def with_labels(root: Situation, labeled: Indices, y: Any) -> Situation:  # noqa: ANN401
    """Return a query with other labelled items, and a classifier whose map is that of those."""
    clf = copy.copy(root.clf)
    assert isinstance(clf, FrozenVectorClassifier)
    clf.mapped = root.dataset.x[labeled], y
    return replace(root, clf=clf, indices_labeled=labeled, y=y)


def on_view(root: Situation, unlabeled: Indices) -> tuple[Situation, Indices]:
    """Re-base a query on the rows ``unlabeled`` and the labelled ones, as the host's wrappers do.

    Returns
    -------
    tuple of Situation and numpy.ndarray
        The query on the view, and for each position of the view its row in the root dataset.
    """
    selection = np.concatenate([unlabeled, root.indices_labeled])
    rebased = replace(
        root,
        dataset=root.dataset[selection],
        indices_unlabeled=np.arange(len(unlabeled)),
        indices_labeled=np.arange(len(unlabeled), len(selection)),
    )
    return rebased, selection


def start_learner(
    context: Context,
    strategy: QueryStrategy,
    dataset: Any = None,  # noqa: ANN401
    initial: Indices | None = None,
) -> PoolBasedActiveLearner:
    """Return the host's learner, initialised with labels of every class."""
    dataset = context.dataset() if dataset is None else dataset
    factory = FrozenVectorClassifierFactory(context.multi_label)
    learner = PoolBasedActiveLearner(factory, strategy, dataset)
    learner.initialize(context.initial() if initial is None else initial)
    return learner


def run_rounds(
    learner: PoolBasedActiveLearner, context: Context, rounds: int, n: int = 10
) -> list[list[int]]:
    """Query and label with the true labels; return the picks of each round, sorted."""
    picks = []
    for _ in range(rounds):
        queried = learner.query(num_samples=n)
        learner.update(context.y[queried])
        picks.append(sorted(int(index) for index in queried))
    return picks
