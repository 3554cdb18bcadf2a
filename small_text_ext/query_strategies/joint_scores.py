"""Diversity joined with weights, class balance and similarity: the score that a greedy pick has.

A score is a function of the squared distance of a text to what is selected, and of a state that
changes with every pick. Two rules join the terms, see `k_center_greedy`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext.pool.distances import RowBlocks, squared_of
from small_text_ext.pool.embeddings import PoolEmbeddings

Combine = Literal["product", "objective"]
Scores = NDArray[np.float64]
Rows = NDArray[np.int64]
Chosen = Rows | slice

# Products that are computed ahead of picks: 64 MB.
_AHEAD = 16_777_216
_LOWEST = -np.finfo(np.float64).max


@dataclass(frozen=True, eq=False)
class Weight:
    """A number for each text that says how much it is wanted, besides its distance.

    Attributes
    ----------
    values : array_like of float, shape (n,)
        One for each row of the embeddings.
    strength : float, default=1.0
        Exponent. 0 leaves the weight out; a negative one prefers small values.
    at_least, at_most : float or None, default=None
        Rows with a value outside are no candidates at all.
    """

    values: ArrayLike
    strength: float = 1.0
    at_least: float | None = None
    at_most: float | None = None

    def allowed(self, rows: Rows) -> NDArray[np.bool_]:
        """Tell which rows are within the limits.

        Parameters
        ----------
        rows : numpy.ndarray of int64, shape (m,)
            Rows of the embeddings.

        Returns
        -------
        numpy.ndarray of bool, shape (m,)
            Whether each may be picked.
        """
        values = np.asarray(self.values, dtype=np.float64)[rows]
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        return np.asarray(~((values < low) | (values > high)))


@dataclass(frozen=True, eq=False)
class ClassBalance:
    """Classes that picks should be balanced over.

    The score of a text is multiplied by the target share of its class over the share that the class
    has among what is selected (with one added to each class), to the power of ``strength``.

    Attributes
    ----------
    classes : array_like of int, shape (n,)
        The class of each row of the embeddings: the true one of what is selected, a predicted one
        of candidates.
    targets : array_like of float, shape (num_classes,), or None, default=None
        Wanted shares; any scale. None wants as many of each class.
    strength : float, default=1.0
        Exponent. 0 leaves balance out; large values fill the class that lacks most, whatever else.
    """

    classes: ArrayLike
    targets: ArrayLike | None = None
    strength: float = 1.0


def similarity_weight(
    embeddings: PoolEmbeddings | ArrayLike,
    examples: ArrayLike,
    strength: float = 1.0,
    **limits: float | None,
) -> Weight:
    """Return how similar each row is to the most similar of some examples, as a weight.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        The pool.
    examples : array_like of str, or of shape (d,) or (k, d)
        Texts (where the embeddings know their encoder) or vectors of what is wanted.
    strength : float, default=1.0
        Exponent; a negative one moves away from the examples.
    **limits : float or None
        ``at_least`` and ``at_most`` of `Weight`.

    Returns
    -------
    Weight
        Values in [0, 1]: 1 is the direction of an example, 0.5 a right angle, 0 the opposite.

    Examples
    --------
    >>> similarity_weight(np.eye(2), [1.0, 0.0]).values.tolist()
    [1.0, 0.5]
    """
    pool = as_pool(embeddings)
    wanted = pool.vectors_of(examples, "examples")
    squared = RowBlocks(pool, np.arange(len(pool))).nearest_squared(wanted)
    return Weight(1 - squared / 4, strength, **limits)


def weight_product(weights: Sequence[Weight], rows: Rows) -> Scores:
    """Return the product of weights, each to the power of its strength.

    Parameters
    ----------
    weights : sequence of Weight
        Checked ones; none gives ones.
    rows : numpy.ndarray of int64, shape (m,)
        Rows of the embeddings.

    Returns
    -------
    numpy.ndarray of float64, shape (m,)
        One factor for each row.
    """
    product = np.ones(len(rows))
    for weight in weights:
        product *= _power(np.asarray(weight.values, dtype=np.float64)[rows], weight.strength)
    return product


def as_pool(embeddings: PoolEmbeddings | ArrayLike) -> PoolEmbeddings:
    """Return embeddings as `PoolEmbeddings`.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n, d)
        As given; finite rows, none of them zero.

    Returns
    -------
    PoolEmbeddings
        Unit rows.
    """
    if isinstance(embeddings, PoolEmbeddings):
        return embeddings
    return PoolEmbeddings.from_array(embeddings)


class JointScore(ABC):
    """The scores of candidates, and what they depend on beside distances.

    Parameters
    ----------
    candidates, selected : numpy.ndarray of int64
        Rows of the embeddings.
    strength : float
        Exponent of diversity.
    weights : sequence of Weight
        Checked ones.
    balance : ClassBalance or None
        A checked one.
    """

    def __init__(
        self,
        candidates: Rows,
        selected: Rows,
        strength: float,
        weights: Sequence[Weight],
        balance: ClassBalance | None,
    ) -> None:
        self.strength = strength
        self._terms = [
            (np.asarray(weight.values, dtype=np.float64)[candidates], float(weight.strength))
            for weight in weights
            if weight.strength != 0
        ]
        self._balance = None if balance is None else _Shares(balance, candidates, selected)

    @property
    @abstractmethod
    def falls_with_distance(self) -> bool:
        """Whether a distance that is too large gives a score that is no smaller than the true one.

        Then scores can be bounded without the present distances.
        """

    @property
    def follows_distance(self) -> bool:
        """Whether a pick changes the scores of others by their distances alone."""
        return self._balance is None

    def of(self, squared: Scores, members: Rows | None = None) -> Scores:
        """Return scores.

        Parameters
        ----------
        squared : numpy.ndarray of float64, shape (m,)
            Squared distances to what is selected.
        members : numpy.ndarray of int64, shape (m,), or None, default=None
            Positions of the candidates in question; None for all.

        Returns
        -------
        numpy.ndarray of float64, shape (m,)
            Scores above minus infinity; the largest is the next pick.
        """
        chosen = slice(None) if members is None else members
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scores = self._joined(squared, chosen)
            if self._balance is not None:
                scores = scores * self._balance.factors(chosen)
        scores[np.isnan(scores)] = 0.0  # zero times infinity: what one term excludes is excluded
        return np.maximum(scores, _LOWEST, out=scores)

    def look_ahead(self, positions: Rows, vectors: NDArray[Any]) -> None:  # noqa: B027
        """Prepare for picks, most of which will be of some candidates.

        Parameters
        ----------
        positions : numpy.ndarray of int64, shape (k,)
            Those candidates, the likeliest first.
        vectors : numpy.ndarray, shape (k, d)
            Their unit vectors.
        """

    def add(self, position: int, vector: NDArray[Any], squared: float) -> None:
        """Note a pick.

        Parameters
        ----------
        position : int
            Among the candidates.
        vector : numpy.ndarray, shape (d,)
            Its unit vector.
        squared : float
            Its squared distance to what was selected before.
        """
        if self._balance is not None:
            self._balance.add(position)

    @abstractmethod
    def _joined(self, squared: Scores, chosen: Chosen) -> Scores:
        """Return a new array of scores without balance."""


class ProductScore(JointScore):
    """Distance to a power, times every weight to a power."""

    def __init__(
        self,
        candidates: Rows,
        selected: Rows,
        strength: float,
        weights: Sequence[Weight],
        balance: ClassBalance | None,
    ) -> None:
        super().__init__(candidates, selected, strength, weights, balance)
        self._constant = weight_product(weights, candidates)

    @property
    def falls_with_distance(self) -> bool:
        """Whether the strength is not negative, and neither is any product of weights."""
        return self.strength >= 0 and not (self._constant < 0).any()

    def _joined(self, squared: Scores, chosen: Chosen) -> Scores:
        return np.asarray(_power(squared, self.strength / 2) * self._constant[chosen])


class ObjectiveScore(JointScore):
    """Products of sums over what would be selected: the rule of Lightly's engine.

    Parameters
    ----------
    spread : SelectedSpread
        The distances among what is selected.
    candidates, selected, strength, weights, balance
        As for `JointScore`.
    """

    def __init__(
        self,
        spread: SelectedSpread,
        candidates: Rows,
        selected: Rows,
        strength: float,
        weights: Sequence[Weight],
        balance: ClassBalance | None,
    ) -> None:
        super().__init__(candidates, selected, strength, weights, balance)
        self._spread = spread
        self._sums = [
            float(np.asarray(weight.values, dtype=np.float64)[selected].sum())
            for weight in weights
            if weight.strength != 0
        ]

    @property
    def falls_with_distance(self) -> bool:
        """Whether the strength is not negative, and no weight is."""
        negative = any((values < 0).any() for values, _ in self._terms)
        return self.strength >= 0 and not negative and min(self._sums, default=0.0) >= 0

    @property
    def follows_distance(self) -> bool:
        """No: sums change with every pick."""
        return False

    def look_ahead(self, positions: Rows, vectors: NDArray[Any]) -> None:
        """Prepare for picks.

        Parameters
        ----------
        positions, vectors
            As for `JointScore.look_ahead`.
        """
        if self.strength != 0:
            self._spread.look_ahead(positions, vectors)

    def add(self, position: int, vector: NDArray[Any], squared: float) -> None:
        """Note a pick.

        Parameters
        ----------
        position, vector, squared
            As for `JointScore.add`.
        """
        super().add(position, vector, squared)
        if self.strength != 0:
            self._spread.add(position, vector, squared)
        self._sums = [
            total + float(values[position])
            for total, (values, _) in zip(self._sums, self._terms, strict=True)
        ]

    def _joined(self, squared: Scores, chosen: Chosen) -> Scores:
        scores = _power(_over_total(self._spread.total, squared), self.strength)
        for total, (values, exponent) in zip(self._sums, self._terms, strict=True):
            scores = scores * _power(_over_total(total, values[chosen]), exponent)
        return scores


def _over_total(total: float, values: Scores) -> Scores:
    """Return sums in units of the present one: the order stays, and large powers stay finite."""
    return (total + values) / abs(total) if total else values


class SelectedSpread:
    """The sum of squared distances of selected texts to their nearest selected ones.

    A pick can be nearer to a selected text than its nearest was only where that one is farther away
    than the pick is from the selection: no other is looked at. Products with likely picks are
    computed together, which is several times as fast as one by one.

    Parameters
    ----------
    selected, candidates : RowBlocks
        Vectors.
    num_picks : int
        How many will be added at most.
    """

    def __init__(self, selected: RowBlocks, candidates: RowBlocks, num_picks: int) -> None:
        self._selected, self._candidates = selected, candidates
        self._nearest = np.full(len(selected) + num_picks, np.inf)
        if len(selected) > 1:
            self._nearest[: len(selected)] = selected.nearest_squared_within()
        self._picks = np.empty(num_picks, dtype=np.int64)
        self._num_picks = 0
        known = self._nearest[: len(selected)]
        self.total = float(known[np.isfinite(known)].sum())
        self._ahead: dict[int, NDArray[Any]] = {}

    def look_ahead(self, positions: Rows, vectors: NDArray[Any]) -> None:
        """Compute the products of likely picks with what is selected.

        Parameters
        ----------
        positions : numpy.ndarray of int64, shape (k,)
            Among the candidates, the likeliest first.
        vectors : numpy.ndarray, shape (k, d)
            Their unit vectors.
        """
        size = len(self._selected) + self._num_picks
        likely = vectors[: _AHEAD // max(size, 1)]
        picked = self._candidates.take(self._picks[: self._num_picks])
        self._ahead.clear()  # before there are new ones
        products = np.concatenate([self._selected.products(likely), likely @ picked.T], axis=1)
        self._ahead = dict(zip(positions.tolist(), products, strict=False))

    def add(self, position: int, vector: NDArray[Any], squared: float) -> None:
        """Add a pick.

        Parameters
        ----------
        position : int
            Among the candidates.
        vector : numpy.ndarray, shape (d,)
            Its unit vector.
        squared : float
            Its squared distance to what was selected before.
        """
        size = len(self._selected) + self._num_picks
        far = np.flatnonzero(self._nearest[:size] > squared)
        products = self._ahead.pop(position, vector[:0])
        known = far[: np.searchsorted(far, len(products))]
        self._lower(known, squared_of(products[known]))
        self._lower_others(far[len(known) :], vector)
        if size:
            self._nearest[size] = squared
            self.total += squared
        self._picks[self._num_picks] = position
        self._num_picks += 1

    def _lower_others(self, members: Rows, vector: NDArray[Any]) -> None:
        first = len(self._selected)
        old, new = members[members < first], members[members >= first]
        if len(old) > first // 4:  # a product with all costs less than a copy of many
            self._lower(old, squared_of(self._selected.products(vector[None])[0, old]))
        else:
            self._lower(old, squared_of(self._selected.take(old) @ vector))
        self._lower(new, squared_of(self._candidates.take(self._picks[new - first]) @ vector))

    def _lower(self, members: Rows, distances: Scores) -> None:
        before = self._nearest[members]
        after = np.minimum(before, distances)
        known = np.where(np.isfinite(before), before, 0.0)
        self.total += float((after - known).sum())
        self._nearest[members] = after


class _Shares:
    """How many of each class are selected."""

    def __init__(self, balance: ClassBalance, candidates: Rows, selected: Rows) -> None:
        classes = np.asarray(balance.classes)
        self._classes = classes[candidates].astype(np.int64)
        known = classes[selected].astype(np.int64)
        if balance.targets is None:
            size = int(max(self._classes.max(initial=0), known.max(initial=0))) + 1
            self._targets = np.full(size, 1 / size)
        else:
            given = np.asarray(balance.targets, dtype=np.float64)
            self._targets = given / given.sum()
        self._counts = np.bincount(known, minlength=len(self._targets)).astype(np.float64)
        self._strength = balance.strength

    def factors(self, chosen: Chosen) -> Scores:
        lacking = self._targets / (self._counts + 1)
        # In units of the class that comes first, so that large powers stay finite.
        wanted = lacking[lacking > 0]
        lacking = lacking / (wanted.max() if self._strength >= 0 else wanted.min())
        return np.asarray(_power(lacking, self._strength)[self._classes[chosen]])

    def add(self, position: int) -> None:
        self._counts[self._classes[position]] += 1


def _power(values: Scores, exponent: float) -> Scores:
    """Raise to a power, quickly for those in use."""
    if exponent == 1:
        return values.copy()
    if exponent == 2:
        return np.asarray(np.square(values))
    if exponent == 0.5:
        return np.asarray(np.sqrt(values))
    return np.asarray(np.power(values, exponent))
