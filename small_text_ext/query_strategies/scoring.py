"""The template of strategies that give every text of the pool a score, and pick the highest."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from small_text.query_strategies import ScoringMixin

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies.context import (
    ContextQueryStrategy,
    Indices,
    QueryContext,
    query_context,
    seed_to_show,
)


@dataclass(frozen=True)
class Ratings:
    """What a strategy thinks of the unlabelled texts.

    Attributes
    ----------
    scores : numpy.ndarray of float64, shape (m,)
        The highest are picked.
    ties : numpy.ndarray of float64, shape (m,), or None
        What decides between equal scores, the highest first; None is their position.
    """

    scores: NDArray[np.float64]
    ties: NDArray[np.float64] | None = None

    def best(self, n: int) -> NDArray[np.int64]:
        """Return the positions of the best, best first; of equals the first.

        Parameters
        ----------
        n : int
            How many.

        Returns
        -------
        numpy.ndarray of int64, shape (n,)
            Positions.

        Examples
        --------
        >>> Ratings(np.array([0.1, 0.5, 0.5]), ties=np.array([9.0, 1.0, 2.0])).best(2).tolist()
        [2, 1]
        """
        keys = (-self.scores,) if self.ties is None else (-self.ties, -self.scores)
        return np.asarray(np.lexsort(keys)[:n], dtype=np.int64)


class PoolScoringStrategy(ScoringMixin, ContextQueryStrategy):
    """Rate every unlabelled text and pick the best.

    Subclasses say how, in :meth:`rate`.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None
        One vector for each text of the root dataset, or None.
    seed : int, numpy.random.Generator or None
        The same seed gives the same picks.
    """

    def __init__(self, embeddings: PoolEmbeddings | ArrayLike | None, seed: Seed) -> None:
        self.embeddings = as_embeddings(embeddings)
        self._seed = resolve_seed(seed)
        self.seed = seed_to_show(seed, self._seed)
        self._last_scores: NDArray[np.float64] | None = None

    @abstractmethod
    def rate(self, context: QueryContext) -> Ratings:
        """Rate the unlabelled texts.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        Ratings
            In the order of ``context.unlabeled``.
        """

    def pick(self, context: QueryContext) -> Indices:
        """Pick the best rated, best first; of equals the one that comes first in the pool.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            Distinct members of ``context.unlabeled``.
        """
        return context.unlabeled[self._rated(context).best(context.n)]

    def score(
        self,
        clf: Any,  # noqa: ANN401
        dataset: Any,  # noqa: ANN401
        indices_unlabeled: NDArray[Any],
        indices_labeled: NDArray[Any],
        y: Any,  # noqa: ANN401
    ) -> NDArray[np.float64]:
        """Score the unlabelled texts.

        Parameters
        ----------
        clf, dataset, indices_unlabeled, indices_labeled, y
            As for :meth:`query`.

        Returns
        -------
        numpy.ndarray of float64, shape (len(dataset),)
            Scores, the highest of which would be picked; NaN for labelled texts.
        """
        self._rated(query_context(clf, dataset, indices_unlabeled, indices_labeled, y))
        assert self._last_scores is not None
        return self._last_scores.copy()

    @property
    def last_scores(self) -> NDArray[np.float64] | None:
        """The scores of the last query, None before it: the highest were picked.

        One number for each item of the dataset that was queried, NaN for those not offered.
        """
        return self._last_scores

    def generator(self, context: QueryContext) -> np.random.Generator:
        """Return the generator of this query, derived from the seed and the number of labels.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.random.Generator
            A new generator.
        """
        return derived_generator(self._seed, len(context.labeled))

    def _rated(self, context: QueryContext) -> Ratings:
        ratings = self.rate(context)
        self._last_scores = np.full(root_levels(context.dataset)[0].size, np.nan)
        self._last_scores[context.unlabeled] = ratings.scores
        return ratings


def as_embeddings(embeddings: PoolEmbeddings | ArrayLike | None) -> PoolEmbeddings | None:
    """Return embeddings as `PoolEmbeddings`, None as None.

    Parameters
    ----------
    embeddings : PoolEmbeddings, array_like of shape (n, d), or None
        As given.

    Returns
    -------
    PoolEmbeddings or None
        The same vectors.
    """
    if embeddings is None or isinstance(embeddings, PoolEmbeddings):
        return embeddings
    return PoolEmbeddings.from_array(embeddings)


class Level(NamedTuple):
    """A dataset that the queried one is a view of, or that one itself.

    Attributes
    ----------
    dataset : small_text.data.Dataset
        The dataset.
    size : int
        Its length.
    positions : numpy.ndarray of int64
        Where in it the items of the queried dataset are.
    """

    dataset: Any
    size: int
    positions: NDArray[np.int64]


def root_levels(dataset: Any) -> list[Level]:  # noqa: ANN401
    """Walk a view up to the dataset at its root, whose positions know nothing of wrappers.

    Parameters
    ----------
    dataset : small_text.data.Dataset
        The root, or a view of a view of it.

    Returns
    -------
    list of Level
        From the given dataset to the root.

    Examples
    --------
    >>> from small_text import TextDataset
    >>> root = TextDataset(["a", "b", "c"], np.zeros(3, dtype=int), target_labels=np.arange(2))
    >>> [(level.size, level.positions.tolist()) for level in root_levels(root[[2, 0]])]
    [(2, [0, 1]), (3, [2, 0])]
    """
    chain = [dataset]
    while hasattr(chain[-1], "dataset") and hasattr(chain[-1], "selection"):
        chain.append(chain[-1].dataset)
    # From the root down: asked for its length, a view of vectors copies them.
    in_parent: list[NDArray[np.int64]] = [np.arange(len(chain[-1]))]
    for view in reversed(chain[:-1]):
        in_parent.append(np.atleast_1d(np.arange(len(in_parent[-1]))[view.selection]))
    in_parent.reverse()
    positions = np.arange(len(in_parent[0]))
    levels = [Level(dataset, len(positions), positions)]
    for level, of_child, own in zip(chain[1:], in_parent, in_parent[1:], strict=False):
        positions = of_child[positions]
        levels.append(Level(level, len(own), positions))
    return levels
