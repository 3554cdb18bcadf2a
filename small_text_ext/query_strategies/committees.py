"""Models that are trained within a query, on what is labelled, to be compared with each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from sklearn.linear_model import LogisticRegression

from small_text_ext._random import preserved_global_state
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.protocols import class_probabilities
from small_text_ext.query_strategies.context import Indices, QueryContext, integer_labels
from small_text_ext.query_strategies.dynamics_models import Representations, Scale
from small_text_ext.query_strategies.scoring import root_levels

# Texts that are read and predicted at a time.
_BLOCK = 16_384

Model = Callable[[Any], NDArray[np.float64]]
"""Takes what its source reads of m texts, returns probabilities (m, num_classes)."""


class ModelSource(ABC):
    """Trains models on parts of what is labelled, and lets them predict.

    Parameters
    ----------
    context : QueryContext
        The query; at least one text is labelled.
    num_classes : int
        Columns of all probabilities; see `number_of_classes`.
    """

    def __init__(self, context: QueryContext, num_classes: int) -> None:
        self.context = context
        self.num_classes = num_classes

    @abstractmethod
    def fit(self, positions: Indices, seed: int) -> Model:
        """Train a model.

        Parameters
        ----------
        positions : numpy.ndarray of int64
            Which labelled texts it is taught, as positions in ``context.labeled``; some may occur
            more than once.
        seed : int
            For what draws from the global random state, which is put back after it.

        Returns
        -------
        callable
            The model.
        """

    @abstractmethod
    def read(self, dataset: Any, items: Indices) -> Any:  # noqa: ANN401
        """Read what models see of texts.

        Parameters
        ----------
        dataset : small_text.data.Dataset
            The queried dataset, or what it is a view of.
        items : numpy.ndarray of int64
            Positions in it.

        Returns
        -------
        Any
            The texts.
        """

    def predict(self, models: Sequence[Model], items: Indices) -> NDArray[np.float64]:
        """Return what models predict for items of the queried dataset; each is read once.

        Parameters
        ----------
        models : sequence of callable
            Of this source.
        items : numpy.ndarray of int64, shape (m,)
            Indices into the queried dataset.

        Returns
        -------
        numpy.ndarray of float64, shape (len(models), m, num_classes)
            Probabilities.
        """
        return self._predicted(models, self.context.dataset, items)

    def predict_at_root(self, models: Sequence[Model], items: Indices) -> NDArray[np.float64]:
        """Return what models predict for items of the dataset at the root of all views.

        Parameters
        ----------
        models : sequence of callable
            Of this source.
        items : numpy.ndarray of int64, shape (m,)
            Positions in the root dataset.

        Returns
        -------
        numpy.ndarray of float64, shape (len(models), m, num_classes)
            Probabilities.
        """
        root = root_levels(self.context.dataset)[-1]
        _check_positions(items, root.size)
        return self._predicted(models, root.dataset, items)

    def _predicted(
        self,
        models: Sequence[Model],
        dataset: Any,  # noqa: ANN401
        items: Indices,
    ) -> NDArray[np.float64]:
        found = np.empty((len(models), len(items), self.num_classes))
        for start in range(0, len(items), _BLOCK):
            block = slice(start, start + _BLOCK)
            texts = self.read(dataset, items[block])
            for member, model in enumerate(models):
                found[member, block] = model(texts)
        return found


class HeadSource(ModelSource):
    """Logistic regressions on one vector per text: frozen ones, or the classifier's own.

    A class that a regression is not taught has the probability zero.

    Parameters
    ----------
    context : QueryContext
        The query.
    num_classes : int
        Columns of all probabilities.
    embeddings : PoolEmbeddings or None
        Frozen vectors; None asks the present classifier's ``embed``.
    C : float
        Inverse penalty, on vectors scaled to a mean squared length of one.
    hold_out : small_text.data.Dataset or None, default=None
        Labelled texts, or vectors, that every regression is taught beside its own; with
        ``embeddings`` only.
    """

    def __init__(
        self,
        context: QueryContext,
        num_classes: int,
        embeddings: PoolEmbeddings | None,
        C: float,
        hold_out: Any = None,  # noqa: ANN401
    ) -> None:
        super().__init__(context, num_classes)
        self._embeddings, self._C = embeddings, C
        self._vectors = Representations(context, embeddings)
        known = np.asarray(self._vectors.of(context.labeled), dtype=np.float64)
        labels = dense_labels(context.y, num_classes)
        self._others: Indices = np.empty(0, dtype=np.int64)
        if hold_out is not None:
            assert embeddings is not None
            self._others = np.arange(len(known), len(known) + len(hold_out))
            known = np.concatenate([known, embeddings.vectors_of(hold_out.x, "hold_out")])
            labels = np.concatenate([labels, _held_out_labels(hold_out.y, labels, num_classes)])
        self._scale = Scale.of(known)
        self._known, self._labels = self._scale(known), labels

    def fit(self, positions: Indices, seed: int) -> Model:
        """Fit a regression; see `ModelSource.fit`. Nothing is drawn."""
        rows = np.concatenate([positions, self._others])
        return fit_head(self._known[rows], self._labels[rows], self.num_classes, self._C)

    def read(self, dataset: Any, items: Indices) -> Any:  # noqa: ANN401
        """Return scaled vectors; see `ModelSource.read`."""
        vectors = self._vectors
        if dataset is not self.context.dataset:
            vectors = Representations(replace(self.context, dataset=dataset), self._embeddings)
        return self._scale(vectors.of(items))

    def predict_at_root(self, models: Sequence[Model], items: Indices) -> NDArray[np.float64]:
        """Predict rows of the embeddings, where there are any; see `ModelSource`."""
        if self._embeddings is None:
            return super().predict_at_root(models, items)
        _check_positions(items, len(self._embeddings))
        vectors = self._scale(self._embeddings[items])
        return np.stack([model(vectors) for model in models])


class FactorySource(ModelSource):
    """Classifiers of any small-text factory.

    Parameters
    ----------
    context : QueryContext
        The query.
    num_classes : int
        Columns of all probabilities.
    factory : Any
        Its ``new()`` makes a classifier.
    """

    def __init__(self, context: QueryContext, num_classes: int, factory: Any) -> None:  # noqa: ANN401
        super().__init__(context, num_classes)
        self._factory = factory

    def fit(self, positions: Indices, seed: int) -> Model:
        """Fit a classifier; see `ModelSource.fit`."""
        # The labels of a dataset may be hidden, wrong, or those of an experiment: only the
        # learner's count.
        train_set = self.context.dataset[self.context.labeled[positions]].clone()
        train_set.y = self.context.y[positions]
        with preserved_global_state(seed, torch=True):
            clf = self._factory.new()
            clf.fit(train_set)
        return lambda texts: class_probabilities(clf, texts, self.num_classes)

    def read(self, dataset: Any, items: Indices) -> Any:  # noqa: ANN401
        """Return a view; see `ModelSource.read`."""
        return dataset[items]


def fit_head(
    vectors: NDArray[np.float64], labels: NDArray[Any], num_classes: int, C: float
) -> Model:
    """Fit a logistic regression; in a multi-label task one for each class.

    Parameters
    ----------
    vectors : numpy.ndarray of float64, shape (n, d)
        Scaled vectors.
    labels : numpy.ndarray, shape (n,) of int64, or (n, num_classes) of bool
        Labels; not all classes need to occur.
    num_classes : int
        Columns of the predictions.
    C : float
        Inverse penalty, as in scikit-learn.

    Returns
    -------
    callable
        Vectors (m, d) to probabilities (m, num_classes): zero for a class that does not occur.

    Examples
    --------
    >>> model = fit_head(np.array([[-1.0], [1.0]]), np.array([0, 2]), 3, C=10.0)
    >>> model(np.array([[0.0]])).round(3).tolist()
    [[0.5, 0.0, 0.5]]
    """
    if labels.ndim == 2:
        heads = [fit_head(vectors, column.astype(np.int64), 2, C) for column in labels.T]
        return lambda rows: np.stack([head(rows)[:, 1] for head in heads], axis=1)
    classes = np.unique(labels)
    model = (
        LogisticRegression(C=C, max_iter=1000).fit(vectors, labels) if len(classes) > 1 else None
    )

    def probabilities(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros((len(rows), num_classes))
        found[:, classes] = 1.0 if model is None else model.predict_proba(rows)
        return found

    return probabilities


def number_of_classes(context: QueryContext, hold_out: Any = None) -> int:  # noqa: ANN401
    """Return how many classes a query is about.

    Parameters
    ----------
    context : QueryContext
        The query.
    hold_out : small_text.data.Dataset or None, default=None
        Further labels.

    Returns
    -------
    int
        Those of the classifier, or of the labels where they have more.
    """
    of_classifier = int(getattr(context.clf, "num_classes", 0))
    labels = [context.y] if hold_out is None else [context.y, integer_labels(hold_out.y)]
    return max(of_classifier, *map(_classes_of, labels))


def dense_labels(y: Any, num_classes: int) -> NDArray[Any]:  # noqa: ANN401
    """Return labels as an array.

    Parameters
    ----------
    y : numpy.ndarray of int or scipy.sparse.csr_matrix
        Labels.
    num_classes : int
        Columns, in a multi-label task.

    Returns
    -------
    numpy.ndarray, shape (n,) of int64, or (n, num_classes) of bool
        The same labels.
    """
    if not issparse(y):
        return np.asarray(y).astype(np.int64)
    dense = np.zeros((y.shape[0], num_classes), dtype=bool)
    dense[:, : y.shape[1]] = csr_matrix(y).toarray() != 0
    return dense


def crossfit_positions(
    labels: NDArray[Any], num_members: int, generator: np.random.Generator
) -> list[Indices]:
    """Deal labelled texts to folds, class by class, and return what is outside of each.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        At least two; multi-label texts are dealt by their set of labels.
    num_members : int
        Folds; of fewer texts each is a fold.
    generator : numpy.random.Generator
        Deals.

    Returns
    -------
    list of numpy.ndarray of int64
        For each member the positions that it is taught. A class of one text is unknown to one
        member.

    Examples
    --------
    >>> parts = crossfit_positions(np.array([0, 0, 1, 1]), 2, np.random.default_rng(0))
    >>> [len(part) for part in parts]
    [2, 2]
    """
    groups = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    # One class after the other, each in random order, is dealt in turn.
    order = np.lexsort((generator.permutation(len(groups)), groups))
    number = min(num_members, len(groups))
    return [np.sort(order[np.arange(len(order)) % number != fold]) for fold in range(number)]


def bootstrap_positions(
    labels: NDArray[Any], num_members: int, generator: np.random.Generator
) -> list[Indices]:
    """Draw as many labelled texts as there are, with replacement, for each member.

    Parameters
    ----------
    labels : numpy.ndarray, shape (n,) or (n, num_classes)
        Where classes exclude each other, each keeps its number of texts, so that none is lost.
    num_members : int
        How often.
    generator : numpy.random.Generator
        Draws.

    Returns
    -------
    list of numpy.ndarray of int64, shape (n,)
        For each member the positions that it is taught.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1])
    >>> draws = bootstrap_positions(labels, 3, np.random.default_rng(0))
    >>> [labels[draw].tolist() for draw in draws]
    [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1]]
    """
    everything = np.arange(len(labels))
    groups = [everything]
    if labels.ndim == 1:
        groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return [
        np.concatenate([generator.choice(group, len(group)) for group in groups])
        for _ in range(num_members)
    ]


def _held_out_labels(y: Any, labels: NDArray[Any], num_classes: int) -> NDArray[Any]:  # noqa: ANN401
    """Return the labels of a hold-out set, of the kind of the others."""
    if issparse(y) != (labels.ndim == 2):
        raise ValueError(
            f"multi_label is {issparse(y)} for hold_out and {labels.ndim == 2} for the labels of "
            "the query: they belong to different tasks."
        )
    held_out = dense_labels(y, num_classes)
    if not issparse(y) and (held_out < 0).any():
        raise ValueError(
            f"hold_out has {int((held_out < 0).sum())} texts without a label: leave them out."
        )
    return held_out


def _classes_of(y: Any) -> int:  # noqa: ANN401
    if issparse(y):
        return int(y.shape[1])
    return int(y.max()) + 1 if len(y) else 0


def _check_positions(items: Indices, size: int) -> None:
    if len(items) and items.max() >= size:
        raise ValueError(
            f"targets hold the position {items.max()}, and the root dataset has {size} texts: pass "
            "positions in it."
        )
