"""What rows a greedy selection is asked for: checked once, for every method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies.joint_scores import Weight, as_pool

Rows = NDArray[np.int64]


class SelectionTask(NamedTuple):
    """What to pick from.

    Attributes
    ----------
    pool : PoolEmbeddings
        Unit rows.
    candidates : numpy.ndarray of int64
        Rows to pick from, within the limits of all weights.
    selected : numpy.ndarray of int64
        Rows that are selected already.
    weights : list of Weight
        One value of each for each row of the pool.
    """

    pool: PoolEmbeddings
    candidates: Rows
    selected: Rows
    weights: list[Weight]


def selection_task(
    embeddings: PoolEmbeddings | ArrayLike,
    n: int,
    selected: ArrayLike | None,
    weights: ArrayLike | Weight | Sequence[Weight] | None,
    candidates: ArrayLike | None,
    combine: str = "product",
) -> SelectionTask:
    """Check the arguments that every selection of rows shares.

    Parameters
    ----------
    embeddings, n, selected, weights, candidates, combine
        As for `k_center_greedy`.

    Returns
    -------
    SelectionTask
        What to pick from.

    Raises
    ------
    TypeError
        If ``n`` is no whole number.
    ValueError
        If more is asked for than there is, candidates are selected, or rows, vectors or weights are
        unusable.
    """
    pool = as_pool(embeddings)
    known = _checked_rows(selected, len(pool), "selected")
    terms = _checked_weights(weights, len(pool))
    rows = _checked_candidates(candidates, known, len(pool))
    allowed = np.ones(len(rows), dtype=bool)
    for term in terms:
        allowed &= term.allowed(rows)
    _check_values(terms, np.concatenate([rows[allowed], known]), combine)
    _check_number(n, int(allowed.sum()), int((~allowed).sum()))
    return SelectionTask(pool, rows[allowed], known, terms)


def _checked_rows(rows: ArrayLike | None, num_rows: int, name: str) -> Rows:
    """Return rows as integers, and refuse those that do not exist or repeat."""
    given = np.asarray([] if rows is None else rows)
    if given.ndim != 1 or not (np.issubdtype(given.dtype, np.integer) or given.size == 0):
        raise ValueError(
            f"{name} has the shape {given.shape} and the type {given.dtype}: pass rows of the "
            "embeddings, as a list of integers."
        )
    found = given.astype(np.int64)
    if found.size and (found.min() < 0 or found.max() >= num_rows):
        raise ValueError(
            f"{name} reaches from {found.min()} to {found.max()}, the embeddings have {num_rows} "
            "rows: pass rows of the embeddings."
        )
    if len(np.unique(found)) != len(found):
        raise ValueError(f"{name} names a row twice: pass each once.")
    return found


def _check_number(n: int, available: int, excluded: int = 0) -> None:
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"n is {n!r}: pass a whole number.")
    if not 1 <= n <= available:
        also = f" ({excluded} more are outside of the limits of weights)" if excluded else ""
        raise ValueError(
            f"n is {n}, and there are {available} candidates{also}: pass at least 1 and no more "
            "than there are."
        )


def _checked_candidates(candidates: ArrayLike | None, selected: Rows, num_rows: int) -> Rows:
    if candidates is None:
        return np.setdiff1d(np.arange(num_rows), selected)
    rows = _checked_rows(candidates, num_rows, "candidates")
    both = np.intersect1d(rows, selected)
    if len(both):
        raise ValueError(
            f"{len(both)} of the candidates are selected already, such as row {both[0]}: leave "
            "rows that are labelled out of the candidates."
        )
    return rows


def _checked_weights(
    weights: ArrayLike | Weight | Sequence[Weight] | None, num_rows: int
) -> list[Weight]:
    if weights is None:
        return []
    if isinstance(weights, Weight):
        terms = [weights]
    elif isinstance(weights, list | tuple) and all(isinstance(w, Weight) for w in weights):
        terms = list(weights)
    else:
        terms = [Weight(np.asarray(weights, dtype=np.float64))]
    for term in terms:
        shape = np.shape(term.values)
        if shape != (num_rows,):
            raise ValueError(
                f"weights have the shape {shape}, the embeddings have {num_rows} rows: pass one "
                "weight for each."
            )
        if not np.isfinite(term.strength):
            raise ValueError(f"the strength of a weight is {term.strength}: pass a finite number.")
    return terms


def _check_values(terms: Sequence[Weight], rows: Rows, combine: str) -> None:
    """Refuse weights that the rows in use cannot have under their strength."""
    for term in terms:
        values = np.asarray(term.values, dtype=np.float64)[rows]
        if not np.isfinite(values).all():
            raise ValueError(
                f"weights hold {int((~np.isfinite(values)).sum())} values that are NaN or "
                "infinite: pass finite ones for every candidate and selected row."
            )
        if (values < 0).any() and not float(term.strength).is_integer():
            raise ValueError(
                f"weights reach down to {values.min()}, which has no power of {term.strength}: "
                "pass weights of at least 0, or a strength that is a whole number."
            )
        if term.strength < 0 and combine == "product" and (values == 0).any():
            raise ValueError(
                f"{int((values == 0).sum())} weights are 0, which has no power of "
                f"{term.strength}: add a small number to them, or use combine='objective'."
            )
