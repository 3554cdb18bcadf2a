"""Checks and arithmetic on rows of vectors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def unit_rows(vectors: ArrayLike, name: str = "vectors") -> NDArray[np.float32]:
    """Scale every row to length one.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        Finite rows, none of them zero.
    name : str, default="vectors"
        How the error message calls the argument.

    Returns
    -------
    numpy.ndarray of float32, shape (n, d)
        A new array, or the given one where its rows are unit float32 already.

    Raises
    ------
    ValueError
        If the array is not two-dimensional, or a row is zero, NaN or infinite.

    Examples
    --------
    >>> unit_rows([[3.0, 4.0]])
    array([[0.6, 0.8]], dtype=float32)
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} has shape {array.shape}: pass a matrix of shape (n, d), d >= 1.")
    array = array.astype(np.float32, copy=False)
    squares = np.einsum("ij,ij->i", array, array)
    usable = np.isfinite(squares) & (squares > 0)
    if not usable.all():
        row = int(np.flatnonzero(~usable)[0])
        raise ValueError(
            f"{name}: {int((~usable).sum())} of {len(array)} rows are zero, NaN or infinite (or so "
            f"large that their length is), first row {row}. Cosine similarity is undefined for "
            "them: drop these texts or embed them again."
        )
    if np.abs(squares - 1).max(initial=0.0) < 1e-6:
        return array
    scaled: NDArray[np.float32] = array / np.sqrt(squares)[:, None]
    return scaled
