"""The arguments of a query: checked and cast in one place, for all strategies of this package."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from small_text.query_strategies import QueryStrategy

from small_text_ext._random import Seed

Indices = NDArray[np.int64]
Labels: TypeAlias = "NDArray[np.int64] | csr_matrix"


@dataclass(frozen=True)
class QueryContext:
    """The arguments of a query, checked and cast.

    Attributes
    ----------
    clf : small_text.classifiers.Classifier or None
        The current classifier.
    dataset : small_text.data.Dataset
        The dataset, or a view with re-based indices.
    unlabeled, labeled : numpy.ndarray of int64
        Indices into ``dataset``.
    y : numpy.ndarray of int64 or scipy.sparse.csr_matrix
        Labels of ``labeled``.
    n : int
        Texts asked for.
    """

    clf: Any
    dataset: Any
    unlabeled: Indices
    labeled: Indices
    y: Labels
    n: int


def integer_labels(y: Any) -> Labels:  # noqa: ANN401
    """Cast labels to integers: small-text hands out floats once a text was ignored.

    Parameters
    ----------
    y : array_like or scipy.sparse.csr_matrix
        Labels.

    Returns
    -------
    numpy.ndarray of int64 or scipy.sparse.csr_matrix
        The same labels; a sparse matrix as it is.
    """
    return y if issparse(y) else np.asarray(y).astype(np.int64)


class ContextQueryStrategy(QueryStrategy):
    """The template of all strategies here: the host's arguments, checked, become one context.

    Subclasses say how texts are picked, in :meth:`pick`.
    """

    def query(
        self,
        clf: Any,  # noqa: ANN401
        dataset: Any,  # noqa: ANN401
        indices_unlabeled: NDArray[Any],
        indices_labeled: NDArray[Any],
        y: Any,  # noqa: ANN401
        n: int = 10,
    ) -> Indices:
        """Query texts: small-text's contract.

        Parameters
        ----------
        clf : small_text.classifiers.Classifier
            The current classifier; None where the strategy asks none.
        dataset : small_text.data.Dataset
            The dataset, or a view of it.
        indices_unlabeled, indices_labeled : numpy.ndarray of int
            Indices into ``dataset``.
        y : numpy.ndarray or scipy.sparse.csr_matrix
            Labels of ``indices_labeled``.
        n : int, default=10
            Texts to pick.

        Returns
        -------
        numpy.ndarray of int64, shape (n,)
            Distinct members of ``indices_unlabeled``, in the order of :meth:`pick`.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As :meth:`pick` says.
        small_text.query_strategies.EmptyPoolException
            If there is no unlabelled text.
        small_text.query_strategies.PoolExhaustedException
            If there are fewer than ``n``.
        """
        self._validate_query_input(indices_unlabeled, n)
        check_at_least_one(n=n)
        return self.pick(query_context(clf, dataset, indices_unlabeled, indices_labeled, y, int(n)))

    @abstractmethod
    def pick(self, context: QueryContext) -> Indices:
        """Pick texts.

        Parameters
        ----------
        context : QueryContext
            The query; its pool has at least ``context.n`` texts.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            Distinct members of ``context.unlabeled``.
        """


def query_context(
    clf: Any,  # noqa: ANN401
    dataset: Any,  # noqa: ANN401
    indices_unlabeled: NDArray[Any],
    indices_labeled: NDArray[Any],
    y: Any,  # noqa: ANN401
    n: int = 1,
) -> QueryContext:
    """Cast the arguments of a query.

    Parameters
    ----------
    clf, dataset, indices_unlabeled, indices_labeled, y, n
        As for `ContextQueryStrategy.query`.

    Returns
    -------
    QueryContext
        Indices are copies.
    """
    unlabeled = np.array(indices_unlabeled, dtype=np.int64)
    labeled = np.array(indices_labeled, dtype=np.int64)
    return QueryContext(clf, dataset, unlabeled, labeled, integer_labels(y), n)


def check_at_least_one(**arguments: int) -> None:
    """Check that whole numbers are at least one.

    Parameters
    ----------
    **arguments : int
        Name and value.

    Raises
    ------
    TypeError
        If one is no whole number.
    ValueError
        If one is below 1.
    """
    for name, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name} is {value!r}: pass a whole number.")
        if value < 1:
            raise ValueError(f"{name} is {value}: pass at least 1.")


def seed_to_show(seed: Seed, resolved: int) -> int | None:
    """Return what ``str`` shows of a seed: a generator as the number drawn from it.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        As given.
    resolved : int
        As resolved.

    Returns
    -------
    int or None
        The seed.
    """
    return None if seed is None else resolved
