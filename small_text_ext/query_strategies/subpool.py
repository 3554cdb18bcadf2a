"""Choose a subpool, then ask a base strategy: the template, and the random subset."""

from __future__ import annotations

import copy
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_text.query_strategies import QueryStrategy, ScoringMixin

from small_text_ext._random import Seed, derived_generator, preserved_global_state, resolve_seed
from small_text_ext.query_strategies.context import (
    ContextQueryStrategy,
    Indices,
    QueryContext,
    check_at_least_one,
    query_context,
    seed_to_show,
)

_NO_INDICES: Indices = np.empty(0, dtype=np.int64)


@dataclass
class QueryRecord:
    """What a query did: for looking at, never read back by a strategy.

    Attributes
    ----------
    subpool : numpy.ndarray of int64
        What the base strategy was offered, as indices into the dataset that was queried.
    anchors : numpy.ndarray of int64
        Labelled items whose neighbours were searched, as indices into that dataset.
    num_seed_anchors : int
        Anchors that are no item of the dataset.
    num_retrieved : int
        Distinct candidates that the search returned, before any cut or top-up.
    num_topped_up : int
        Random candidates added so that the base strategy had enough to choose from.
    filtered : bool
        Whether a subpool was chosen; False where the pool was small enough to be taken whole.
    seconds : dict of str to float
        Wall-clock seconds by step.
    """

    subpool: Indices = field(default_factory=lambda: _NO_INDICES)
    anchors: Indices = field(default_factory=lambda: _NO_INDICES)
    num_seed_anchors: int = 0
    num_retrieved: int = 0
    num_topped_up: int = 0
    filtered: bool = True
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time of a block to a step.

        Parameters
        ----------
        step : str
            Its name.

        Yields
        ------
        None
            Control.
        """
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start


class SubpoolQueryStrategy(ScoringMixin, ContextQueryStrategy):
    """Choose a subpool, then let a base strategy pick from it.

    The base strategy sees a view that holds the subpool and the labelled texts, with re-based
    indices, so that the classifier never scores anything else. A pool of at most
    ``subpool_size`` unlabelled texts is handed to it whole. Subclasses say which subpool, in
    :meth:`choose`.

    Parameters
    ----------
    base_query_strategy : small_text.query_strategies.QueryStrategy
        Any strategy.
    subpool_size : int
        Largest subpool, and the pool size up to which nothing is filtered.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks. Given a seed, the base strategy draws from it too:
        small-text's strategies use numpy's global state, which is seeded for the call and put
        back after it. (Its BADGE draws from the operating system; nothing makes it repeatable.)
        With None the base strategy draws from the global state as it would alone. A subpool
        strategy inside this one that has no seed of its own takes one from this one.
    """

    def __init__(
        self, base_query_strategy: QueryStrategy, subpool_size: int, seed: Seed = None
    ) -> None:
        if not isinstance(base_query_strategy, QueryStrategy):
            raise TypeError(
                f"base_query_strategy is {base_query_strategy!r}: pass an instance of a small-text "
                "QueryStrategy, such as LeastConfidence()."
            )
        check_at_least_one(subpool_size=subpool_size)
        self.base_query_strategy = base_query_strategy
        self.subpool_size = int(subpool_size)
        self.last_query: QueryRecord | None = None
        self._scored: tuple[NDArray[np.float64], Indices, int] | None = None
        self._base_is_seeded = seed is not None
        self._seed = resolve_seed(seed)
        if self._base_is_seeded:
            self.base_query_strategy = self._seeded_copy(base_query_strategy)

    @abstractmethod
    def choose(self, context: QueryContext, record: QueryRecord) -> Indices:
        """Choose the subpool.

        Parameters
        ----------
        context : QueryContext
            The query; its pool is larger than ``subpool_size``.
        record : QueryRecord
            Where to note what was done.

        Returns
        -------
        numpy.ndarray of int64
            Distinct members of ``context.unlabeled``, best first where there is an order.
        """

    def check(self, context: QueryContext) -> None:
        """Check what :meth:`choose` relies on, where the pool is too small for it to be asked.

        So a mistake shows at the first query, not when the pool outgrows ``subpool_size``.

        Parameters
        ----------
        context : QueryContext
            The query.
        """

    def pick(self, context: QueryContext) -> Indices:
        """Pick from the subpool; see `ContextQueryStrategy.pick`.

        Parameters
        ----------
        context : QueryContext
            The query.

        Returns
        -------
        numpy.ndarray of int64, shape (context.n,)
            In the order of the base strategy.

        Raises
        ------
        RuntimeError
            If the base strategy breaks the contract.
        """
        record = QueryRecord()
        record.subpool = self.subpool(context, record)
        view, positions = _view(context, record.subpool)
        with record.timed("base"), self._seeded(context):
            picks = self.base_query_strategy.query(
                context.clf, view, *positions, context.y, n=context.n
            )
        self._scored = self._scores_of_base(context, record.subpool)
        self.last_query = record
        chosen: Indices = record.subpool[self._checked(picks, len(record.subpool), context.n)]
        return chosen

    def subpool(self, context: QueryContext, record: QueryRecord) -> Indices:
        """Choose the subpool, or take the whole of a small pool, and top it up to ``n``.

        Parameters
        ----------
        context : QueryContext
            The query.
        record : QueryRecord
            Where to note what was done.

        Returns
        -------
        numpy.ndarray of int64
            Distinct members of ``context.unlabeled``, at least ``context.n``.
        """
        if len(context.unlabeled) <= self.subpool_size:
            record.filtered = False
            self.check(context)
            return context.unlabeled
        with record.timed("choose"):
            chosen = self.choose(context, record)
        missing = context.n - len(chosen)
        if missing <= 0:
            return chosen
        record.num_topped_up = missing
        # In the given order, so that a view of the dataset draws the same texts as the dataset.
        rest = context.unlabeled[~np.isin(context.unlabeled, chosen)]
        extra = self.generator(context, 1).choice(rest, missing, replace=False)
        return np.concatenate([chosen, extra])

    def generator(self, context: QueryContext, purpose: int = 0) -> np.random.Generator:
        """Return the generator of this query, derived from the seed and the number of labels.

        Parameters
        ----------
        context : QueryContext
            The query.
        purpose : int, default=0
            Tells the draws of one purpose from those of another.

        Returns
        -------
        numpy.random.Generator
            A new generator.
        """
        return derived_generator(self._seed, len(context.labeled), purpose)

    @property
    def last_scores(self) -> NDArray[np.float64] | None:
        """The base strategy's scores of the last query, None where it has none.

        One number for each item of the dataset that was queried (NaN for those that were not
        scored). A base strategy that scores another part than it was offered, such as
        ``SubsamplingQueryStrategy``, does not say which: then it is None too.
        """
        return None if self._scored is None else _spread(*self._scored)

    def score(
        self,
        clf: Any,  # noqa: ANN401
        dataset: Any,  # noqa: ANN401
        indices_unlabeled: NDArray[Any],
        indices_labeled: NDArray[Any],
        y: Any,  # noqa: ANN401
    ) -> NDArray[np.float64]:
        """Score the subpool and the labelled texts by the base strategy.

        Parameters
        ----------
        clf, dataset, indices_unlabeled, indices_labeled, y
            As for :meth:`query`.

        Returns
        -------
        numpy.ndarray of float64, shape (len(dataset),)
            Scores in the base strategy's sense, NaN for what was not scored.

        Raises
        ------
        TypeError
            If the base strategy has no scores.
        """
        if not isinstance(self.base_query_strategy, ScoringMixin):
            raise TypeError(f"{self.base_query_strategy} has no scores: query with it instead.")
        context = query_context(clf, dataset, indices_unlabeled, indices_labeled, y)
        subpool = self.subpool(context, QueryRecord())
        view, positions = _view(context, subpool)
        with self._seeded(context):
            scores = self.base_query_strategy.score(clf, view, *positions, context.y)
        self._scored = self._scores_of_base(context, subpool)
        items = np.concatenate([subpool, context.labeled])
        return _spread(np.asarray(scores), items, _length(context.dataset))

    def _seeded(self, context: QueryContext) -> Any:  # noqa: ANN401
        if not self._base_is_seeded:
            return nullcontext()
        seed = int(self.generator(context, 2).integers(2**31))
        return preserved_global_state(seed, torch=True)

    def _scores_of_base(
        self, context: QueryContext, subpool: Indices
    ) -> tuple[NDArray[np.float64], Indices, int] | None:
        base = self.base_query_strategy
        scores = base.last_scores if isinstance(base, ScoringMixin) else None
        items = np.concatenate([subpool, context.labeled])
        if scores is None or len(scores) != len(items):
            return None
        return np.asarray(scores, dtype=np.float64), items, _length(context.dataset)

    def _seeded_copy(self, base: QueryStrategy) -> QueryStrategy:
        """Return a subpool strategy without a seed as one with a seed; any other as it is."""
        if not isinstance(base, SubpoolQueryStrategy) or base._base_is_seeded:
            return base
        seeded = copy.copy(base)
        seeded._seed = int(derived_generator(self._seed, 3).integers(2**32))
        seeded._base_is_seeded = True
        seeded.base_query_strategy = seeded._seeded_copy(base.base_query_strategy)
        return seeded

    def _checked(self, picks: Any, num_offered: int, n: int) -> Indices:  # noqa: ANN401
        chosen: Indices = np.asarray(picks).astype(np.int64)
        if len(np.unique(chosen)) != n or not ((chosen >= 0) & (chosen < num_offered)).all():
            raise RuntimeError(
                f"{self.base_query_strategy} was offered {num_offered} texts and asked for {n}, "
                f"but returned {chosen.tolist()}: not {n} distinct unlabelled ones."
            )
        return chosen


class RandomSubset(SubpoolQueryStrategy):
    """Offer the base strategy a random part of the pool, drawn anew at every query.

    The baseline that tells what a chosen subpool is worth. Given another subpool strategy, it
    draws as many texts as that one would have chosen: the published comparison gives this
    baseline 10,000 texts and AnchorAL about 1,000, which mixes size with choice.

    Parameters
    ----------
    base_query_strategy : small_text.query_strategies.QueryStrategy
        Any strategy.
    subpool_size : int or SubpoolQueryStrategy, default=10000
        Texts to draw. A strategy (an ``AnchorAL`` with its own settings) has its size matched at
        every query, and says what pool is small enough to be taken whole.
    seed : int, numpy.random.Generator or None, default=None
        The same seed gives the same picks.

    References
    ----------
    RandSub in P. Lesci and A. Vlachos, "AnchorAL: Computationally Efficient Active Learning for
    Large and Imbalanced Datasets", NAACL 2024.

    Examples
    --------
    >>> from small_text import LeastConfidence
    >>> str(RandomSubset(LeastConfidence(), subpool_size=500, seed=0))
    'RandomSubset(base_query_strategy=LeastConfidence(), subpool_size=500, seed=0)'
    """

    def __init__(
        self,
        base_query_strategy: QueryStrategy,
        subpool_size: int | SubpoolQueryStrategy = 10_000,
        *,
        seed: Seed = None,
    ) -> None:
        matched = subpool_size if isinstance(subpool_size, SubpoolQueryStrategy) else None
        size = matched.subpool_size if matched is not None else subpool_size
        super().__init__(base_query_strategy, size, seed)
        self.matched = matched
        self.seed = seed_to_show(seed, self._seed)

    def choose(self, context: QueryContext, record: QueryRecord) -> Indices:
        """Draw texts from the pool.

        Parameters
        ----------
        context : QueryContext
            The query.
        record : QueryRecord
            Where to note what was done.

        Returns
        -------
        numpy.ndarray of int64
            The subpool.
        """
        size = self.subpool_size
        if self.matched is not None:
            size = len(self.matched.subpool(context, QueryRecord()))
        record.num_retrieved = size
        return self.generator(context).choice(context.unlabeled, size, replace=False)

    def __str__(self) -> str:
        size = self.subpool_size if self.matched is None else self.matched
        return (
            f"RandomSubset(base_query_strategy={self.base_query_strategy}, subpool_size={size}, "
            f"seed={self.seed})"
        )


def _view(context: QueryContext, subpool: Indices) -> tuple[Any, tuple[Indices, Indices]]:
    """Return the view of subpool and labelled texts, and their positions in it."""
    view = context.dataset[np.concatenate([subpool, context.labeled])]
    end = len(subpool) + len(context.labeled)
    return view, (np.arange(len(subpool)), np.arange(len(subpool), end))


def _length(dataset: Any) -> int:  # noqa: ANN401
    shape = getattr(dataset, "shape", None)  # a sparse matrix has a shape and no length
    return len(dataset) if shape is None else int(shape[0])


def _spread(scores: NDArray[Any], items: Indices, length: int) -> NDArray[np.float64]:
    """Spread scores of some items over the whole dataset, NaN elsewhere."""
    spread = np.full((length, *scores.shape[1:]), np.nan)
    spread[items] = scores
    return spread
