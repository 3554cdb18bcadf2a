"""Squared distances to the rows of a pool, block by block: nothing larger than a block is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from small_text_ext.pool.embeddings import PoolEmbeddings

DistancePrecision = Literal["float32", "float64"]

# Rows that are read at a time, and those that they are compared with at a time: a product of 16 MB.
_BLOCK_ROWS = 8_192
_BLOCK_COLUMNS = 512
# Rows of up to so many bytes are gathered once. Of more, blocks are read anew in every pass.
_HELD_BYTES = 268_435_456
# Rounding of a product of unit rows in single precision: nearer than that is a duplicate.
_SAME_SQUARED = 4e-6
# In double precision, numbers that are equal but for rounding are made equal.
_GRID = 2.0**40


class RowBlocks:
    """Some rows of embeddings, of which squared distances are asked.

    Parameters
    ----------
    embeddings : PoolEmbeddings
        Unit rows.
    rows : numpy.ndarray of int64, shape (m,)
        Which, and in which order.
    precision : {"float32", "float64"}, default="float32"
        Arithmetic of distances.
    device : str or None, default=None
        None computes with numpy. A torch device ("cuda", "cpu") keeps the rows there, and computes
        with torch.

    Notes
    -----
    Rows of up to 256 MB are copied once, so that they lie beside each other; larger ones are read
    from the embeddings (a memory map, where they are on disk) in every pass.

    Examples
    --------
    >>> pool = PoolEmbeddings.from_array(np.eye(3))
    >>> RowBlocks(pool, np.array([2, 0])).nearest_squared(pool[[0]]).tolist()
    [2.0, 0.0]
    """

    def __init__(
        self,
        embeddings: PoolEmbeddings,
        rows: NDArray[np.int64],
        precision: DistancePrecision = "float32",
        device: str | None = None,
    ) -> None:
        self._embeddings, self._rows = embeddings, rows
        self.dtype = np.dtype(precision)
        size = len(rows) * embeddings.shape[1] * self.dtype.itemsize
        held = device is not None or size <= _HELD_BYTES
        self._held = unit_vectors(embeddings[rows], self.dtype) if held else None
        self._device = device
        self._on_device = None if device is None else _moved(self._held, device)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """Return some of the rows.

        Parameters
        ----------
        positions : numpy.ndarray of int64, shape (k,)
            Positions among these rows.

        Returns
        -------
        numpy.ndarray, shape (k, d)
            A copy.
        """
        if self._held is not None:
            return np.asarray(self._held[positions])
        return unit_vectors(self._embeddings[self._rows[positions]], self.dtype)

    def products(self, others: NDArray[Any]) -> NDArray[Any]:
        """Return the inner products of some vectors with every row.

        Parameters
        ----------
        others : numpy.ndarray, shape (k, d)
            Unit rows.

        Returns
        -------
        numpy.ndarray, shape (k, m)
            All of them: for few vectors. See `squared_of`.
        """
        products = np.empty((len(others), len(self)), dtype=self.dtype)
        others = unit_vectors(others, self.dtype)
        for start, block in self._blocks():
            products[:, start : start + len(block)] = self._on_host(
                self._products(start, block, others)
            )
        return products

    def nearest_squared(self, others: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared distance of every row to the nearest of some vectors.

        Parameters
        ----------
        others : numpy.ndarray, shape (k, d)
            At least one; scaled to length one.

        Returns
        -------
        numpy.ndarray of float64, shape (m,)
            In [0, 4].
        """
        others = unit_vectors(others, self.dtype)
        nearest = np.empty(len(self))
        for start, block in self._blocks():
            parts = [self._largest(start, block, part) for _, part in _columns(others)]
            nearest[start : start + len(block)] = squared_of(np.max(parts, axis=0))
        return nearest

    def nearest_squared_within(self) -> NDArray[np.float64]:
        """Return the squared distance of every row to the nearest other one of these.

        Returns
        -------
        numpy.ndarray of float64, shape (m,)
            In [0, 4]; zero where there is no other.
        """
        if len(self) < 2:
            return np.zeros(len(self))
        nearest = np.empty(len(self))
        for start, block in self._blocks():
            best = np.full(len(block), -np.inf, dtype=self.dtype)
            for low, others in self._blocks():
                for first, part in _columns(others):
                    best = np.maximum(best, self._largest(start, block, part, low + first))
            nearest[start : start + len(block)] = squared_of(best)
        return nearest

    def _largest(
        self, start: int, block: NDArray[Any], others: NDArray[Any], first: int | None = None
    ) -> NDArray[Any]:
        """Return the largest product of each row of a block with others.

        Where the others are rows too, from ``first`` on, none is compared with itself.
        """
        products = self._products(start, block, others)
        if first is not None:
            own = np.arange(max(first, start), min(first + len(others), start + len(block)))
            products[own - first, own - start] = -np.inf
        return self._on_host(products.max(axis=0) if self._device is None else products.amax(dim=0))

    def _products(self, start: int, block: NDArray[Any], others: NDArray[Any]) -> Any:  # noqa: ANN401
        if self._on_device is None:
            return others @ block.T
        return _moved(others, str(self._device)) @ self._on_device[start : start + len(block)].T

    def _on_host(self, numbers: Any) -> NDArray[Any]:  # noqa: ANN401
        return np.asarray(numbers if self._device is None else numbers.cpu().numpy())

    def _blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        for start in range(0, len(self), _BLOCK_ROWS):
            if self._held is not None:
                yield start, self._held[start : start + _BLOCK_ROWS]
            else:
                yield start, self.take(np.arange(start, min(start + _BLOCK_ROWS, len(self))))


def unit_vectors(vectors: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Scale rows that are of length one but for rounding to length one in some precision.

    Rows that were stored as 16-bit floats are off by 1e-4, which would leave duplicates 1e-2 apart.

    Parameters
    ----------
    vectors : numpy.ndarray, shape (m, d)
        Rows, none of them zero.
    dtype : numpy.dtype
        Of the result.

    Returns
    -------
    numpy.ndarray, shape (m, d)
        A copy.

    Examples
    --------
    >>> unit_vectors(np.array([[3.0, 4.0]]), np.dtype(np.float64)).tolist()
    [[0.6, 0.8]]
    """
    rows = vectors.astype(dtype)
    rows /= np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64)).astype(dtype)[:, None]
    return rows


def squared_of(products: NDArray[Any]) -> NDArray[np.float64]:
    """Turn inner products of unit rows into squared distances, with equal ones made equal.

    Parameters
    ----------
    products : numpy.ndarray of float32 or float64
        Inner products.

    Returns
    -------
    numpy.ndarray of float64, same shape
        ``2 - 2 * products``, at least 0. What single precision cannot tell from 0 is 0; in double
        precision, numbers are rounded to twelve decimals.

    Examples
    --------
    >>> squared_of(np.array([0.5, 1 + 1e-7, 1 - 1e-7], dtype=np.float32)).tolist()
    [1.0, 0.0, 0.0]
    """
    squared = 2.0 - 2.0 * products.astype(np.float64)
    if products.dtype == np.float64:
        return np.asarray(np.maximum(np.rint(squared * _GRID) / _GRID, 0.0))
    return np.where(squared < _SAME_SQUARED, 0.0, squared)


def _columns(others: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    for low in range(0, len(others), _BLOCK_COLUMNS):
        yield low, others[low : low + _BLOCK_COLUMNS]


def _moved(rows: Any, device: str) -> Any:  # noqa: ANN401
    import torch

    return torch.from_numpy(np.ascontiguousarray(rows)).to(device)
