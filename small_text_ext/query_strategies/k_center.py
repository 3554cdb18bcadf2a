"""Farthest-first selection, exact, at tens of thousands of picks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from small_text_ext._random import Seed, derived_generator, resolve_seed
from small_text_ext.pool.distances import DistancePrecision, RowBlocks, squared_of
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies.joint_scores import (
    ClassBalance,
    Combine,
    JointScore,
    ObjectiveScore,
    ProductScore,
    SelectedSpread,
    Weight,
)
from small_text_ext.query_strategies.selection_tasks import Rows, selection_task

# Picks between two passes over the pool, and candidates that are kept up to date in between.
_PENDING = 128
_ACTIVE = 256
# Selected rows that are read at a time.
_SELECTED_ROWS = 8_192
# Of two unit vectors that point away from each other: the distance to a selection that is empty.
_LARGEST_SQUARED = 4.0


def k_center_greedy(
    embeddings: PoolEmbeddings | ArrayLike,
    n: int,
    selected: ArrayLike | None = None,
    weights: ArrayLike | Weight | Sequence[Weight] | None = None,
    *,
    candidates: ArrayLike | None = None,
    combine: Combine = "product",
    strength: float = 1.0,
    balance: ClassBalance | None = None,
    minimum_distance: float | None = None,
    precision: DistancePrecision = "float32",
    device: str | None = None,
    seed: Seed = 0,
    show_progress: bool | None = False,
) -> Rows:
    """Pick rows one by one, each the farthest from everything selected so far.

    With weights, each pick is the best compromise between distance and weight. The order is kept:
    the first k of n picks are the picks that k would have given, so one run serves every smaller
    budget.

    Parameters
    ----------
    embeddings : PoolEmbeddings or array_like, shape (n_rows, d)
        Vectors, scaled to length one; distances are Euclidean, in [0, 2].
    n : int
        Picks, at least 1.
    selected : array_like of int, or None, default=None
        Rows that are selected already, such as those that are labelled. None, or none: the first
        pick is the one of the largest weight, without weights a random one.
    weights : array_like of shape (n_rows,), Weight, sequence of Weight, or None, default=None
        How much each row is wanted, besides its distance: uncertainty, similarity to examples
        (`similarity_weight`), anything. Limits of a `Weight` are applied first.
    candidates : array_like of int, or None, default=None
        Rows to pick from. None: all that are not selected.
    combine : {"product", "objective"}, default="product"
        How distance d and weights w_k become the score of a row. "product" is
        ``d**strength * prod(w_k**strength_k)``: a row of weight 0 is never picked before others.
        "objective" is ``(D + d**2)**strength * prod((W_k + w_k)**strength_k)``, where D is the sum,
        over what is selected, of squared distances to the nearest other selected row, and W_k that
        of weights: a trade of shares, in which the terms count less the more is selected.
    strength : float, default=1.0
        Exponent of the distance. 0 picks by weights alone, a negative one prefers what is near.
    balance : ClassBalance or None, default=None
        Classes to balance, as one more factor of the score.
    minimum_distance : float or None, default=None
        Rows nearer than that to what is selected are not picked. There are fewer picks where no
        other is left.
    precision : {"float32", "float64"}, default="float32"
        Arithmetic of distances. In "float32", squared distances below 4e-6 are 0, and rows whose
        scores differ by less than the rounding of a product may change places. "float64" is
        exact to twelve decimals of squared distances, and takes twice as long.
    device : str or None, default=None
        A torch device ("cuda", "cpu") on which distances are computed and candidates are kept. None
        computes with numpy.
    seed : int, numpy.random.Generator or None, default=0
        Decides between equal scores, of duplicates among others: in the order of one random
        permutation of the rows.
    show_progress : bool or None, default=False
        A progress bar over the picks; None shows it on a terminal only.

    Returns
    -------
    numpy.ndarray of int64, shape (n,) or shorter
        Rows, in the order of the picks.

    Raises
    ------
    TypeError, ValueError
        If more is asked for than there is, candidates are selected, rows, vectors or weights are
        unusable.

    Notes
    -----
    Distances only fall while picks are made. So scores from distances that are out of date are
    upper bounds, and while the best of them belongs to a row whose distance is up to date, it is
    the true best. Between two passes over the pool, which bring every row up to date by one matrix
    product, this gives up to 128 picks. Beyond the vectors this takes memory for some numbers a
    row. Where scores can rise (a negative strength, or negative weights), there is a pass for
    every pick. "objective" with weights takes in addition one product of the selected vectors with
    themselves at the start, and for every 128 picks or so one with 256 candidates, in up to 64 MB
    (128 MB in "float64"); without weights it picks as "product" does, and costs as little.

    Differences from the published code: that of Sener and Savarese, and small-text's, compute all
    distances anew at every pick, or update all at every pick; picks are the same. "objective" is
    the rule of ``lightly-mundig`` 0.1.16, which breaks ties otherwise, starts at the first row
    where nothing is selected, and sums in single precision: with thousands of selected rows it
    cannot tell squared distances apart that differ by some 1e-4, and takes either row.

    References
    ----------
    T. Gonzalez, "Clustering to Minimize the Maximum Intercluster Distance", TCS 1985. O. Sener and
    S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR
    2018.

    Examples
    --------
    >>> angles = np.radians([0, 10, 90, 180])
    >>> vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    >>> k_center_greedy(vectors, 3, selected=[0]).tolist()
    [3, 2, 1]
    >>> k_center_greedy(vectors, 1, selected=[0], weights=[0.5, 1.0, 1.0, 0.1]).tolist()
    [2]
    """
    check_options(combine, strength, minimum_distance, precision)
    task = selection_task(embeddings, n, selected, weights, candidates, combine)
    pool, rows, known = task.pool, task.candidates, task.selected
    _check_balance(balance, np.concatenate([rows, known]), len(pool))
    blocks = RowBlocks(pool, rows, precision, device)
    arguments = rows, known, float(strength), task.weights, balance
    # By distances alone, both rules pick the same, and one need not know the sum.
    alone = strength > 0 and balance is None and all(w.strength == 0 for w in task.weights)
    score: JointScore
    if combine == "product" or alone:
        score = ProductScore(*arguments)
    else:
        score = ObjectiveScore(_spread(pool, known, blocks, n, strength, device), *arguments)
    # Drawn for all rows, so that what else is a candidate changes nothing.
    order = derived_generator(resolve_seed(seed)).permutation(len(pool))[rows]
    squared = _squared_to_selected(blocks, pool, known)
    least = 0.0 if minimum_distance is None else minimum_distance**2
    search = _Search(blocks, squared, score, order, least)
    disable = None if show_progress is None else not show_progress
    with tqdm(total=int(n), desc="pick", disable=disable) as bar:
        return rows[search.picks(int(n), bar.update)]


class _Search:
    """The greedy picks of `k_center_greedy`, block by block; see its notes."""

    def __init__(
        self,
        blocks: RowBlocks,
        squared: NDArray[np.float64],
        score: JointScore,
        order: Rows,
        least: float,
    ) -> None:
        self._blocks, self._squared, self._score = blocks, squared, score
        self._order, self._least = order, least
        self._taken = np.zeros(len(blocks), dtype=bool)

    def picks(self, n: int, report: Callable[[int], object]) -> Rows:
        falls = self._score.falls_with_distance
        num_pending, num_active = (_PENDING, _ACTIVE) if falls else (1, 1)
        picks: list[Rows] = []
        left = n
        while left > 0:
            made, vectors = self._block(min(left, num_pending), num_active)
            if not len(made):
                break  # nothing is far enough
            picks.append(made)
            left -= len(made)
            report(len(made))
            if left > 0:
                nearest = self._blocks.nearest_squared(vectors)
                np.minimum(self._squared, nearest, out=self._squared)
        return np.concatenate([np.empty(0, dtype=np.int64), *picks])

    def _block(self, limit: int, num_active: int) -> tuple[Rows, NDArray[Any]]:
        """Pick from those that are kept up to date, as long as no other could be better."""
        scores = self._scores()
        active = _foremost(scores, self._order, num_active)
        vectors = self._blocks.take(active)
        if len(active) > 1:
            self._score.look_ahead(active, vectors)
        among = squared_of(vectors @ vectors.T)
        own, bound = self._split(scores, active)
        places: list[int] = []
        while True:
            place = _first_of_best(own, self._order[active])
            best = active[place]
            if own[place] == -np.inf or (own[place], -self._order[best]) < bound:
                break
            self._score.add(int(best), vectors[place], float(self._squared[best]))
            self._taken[best] = True
            places.append(place)
            if len(places) == limit:
                break
            self._squared[active] = np.minimum(self._squared[active], among[place])
            if self._score.follows_distance:
                own = self._scores(active)
            else:
                own, bound = self._split(self._scores(), active)
        return active[places], vectors[places]

    def _scores(self, members: Rows | None = None) -> NDArray[np.float64]:
        chosen = slice(None) if members is None else members
        squared = self._squared[chosen]
        scores = self._score.of(squared, members)
        scores[self._taken[chosen]] = -np.inf
        if self._least > 0:
            scores[squared < self._least] = -np.inf
        return scores

    def _split(
        self, scores: NDArray[np.float64], active: Rows
    ) -> tuple[NDArray[np.float64], tuple[float, int]]:
        """Return the scores of the active ones, and the best score and rank of all others."""
        own = scores[active]
        scores[active] = -np.inf
        other = _first_of_best(scores, self._order)
        return own, (float(scores[other]), -int(self._order[other]))


def _foremost(scores: NDArray[np.float64], order: Rows, number: int) -> Rows:
    """Return the first candidates by score, of equals by order: else equals take turns in vain."""
    number = min(number, len(scores))
    least = np.partition(scores, len(scores) - number)[len(scores) - number]
    better, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
    room = number - len(better)
    chosen = np.concatenate([better, equal[np.argpartition(order[equal], room - 1)[:room]]])
    return np.asarray(chosen[np.lexsort((order[chosen], -scores[chosen]))])


def _first_of_best(scores: NDArray[np.float64], order: Rows) -> int:
    tied = np.flatnonzero(scores == scores.max())
    return int(tied[0] if len(tied) == 1 else tied[order[tied].argmin()])


def _squared_to_selected(
    blocks: RowBlocks, pool: PoolEmbeddings, selected: Rows
) -> NDArray[np.float64]:
    squared = np.full(len(blocks), _LARGEST_SQUARED)
    for low in range(0, len(selected), _SELECTED_ROWS):
        part = pool[selected[low : low + _SELECTED_ROWS]]
        squared = np.minimum(squared, blocks.nearest_squared(part))
    return squared


def _spread(
    pool: PoolEmbeddings,
    selected: Rows,
    candidates: RowBlocks,
    n: int,
    strength: float,
    device: str | None,
) -> SelectedSpread:
    # Without diversity in the score, what is selected is not compared with itself.
    rows = selected if strength != 0 else selected[:0]
    precision: DistancePrecision = "float64" if candidates.dtype == np.float64 else "float32"
    return SelectedSpread(RowBlocks(pool, rows, precision, device), candidates, n)


def _check_balance(balance: ClassBalance | None, rows: Rows, num_rows: int) -> None:
    if balance is None:
        return
    classes = np.asarray(balance.classes)
    if classes.shape != (num_rows,) or not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(
            f"the classes to balance have the shape {classes.shape} and the type {classes.dtype}: "
            f"pass an integer for each of {num_rows} rows."
        )
    targets = None if balance.targets is None else np.asarray(balance.targets, dtype=np.float64)
    if targets is not None and not (
        targets.ndim == 1 and (targets >= 0).all() and 0 < targets.sum() < np.inf
    ):
        raise ValueError(f"targets are {targets}: pass a share of at least 0 for each class.")
    used = classes[rows]
    size = np.inf if targets is None else len(targets)
    if used.size and (used.min() < 0 or used.max() >= size):
        raise ValueError(
            f"the classes to balance reach from {used.min()} to {used.max()}: pass class ids from "
            "0, and a target for each."
        )
    if not np.isfinite(balance.strength):
        raise ValueError(f"the strength of balance is {balance.strength}: pass a finite number.")


def check_options(
    combine: str, strength: float, minimum_distance: float | None, precision: str
) -> None:
    """Check the options of `k_center_greedy` that stand by themselves.

    Parameters
    ----------
    combine, strength, minimum_distance, precision
        As there.

    Raises
    ------
    ValueError
        If one is unknown or out of range.
    """
    if combine not in get_args(Combine):
        raise ValueError(f"combine is {combine!r}: pass one of {list(get_args(Combine))}.")
    if not np.isfinite(strength):
        raise ValueError(f"strength is {strength}: pass a finite number.")
    if minimum_distance is not None and not 0 <= minimum_distance <= 2:
        raise ValueError(
            f"minimum_distance is {minimum_distance}: pass a distance of unit vectors, from 0 to 2."
        )
    if precision not in get_args(DistancePrecision):
        raise ValueError(
            f"precision is {precision!r}: pass one of {list(get_args(DistancePrecision))}."
        )
