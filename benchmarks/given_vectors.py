"""Vectors that a data set brings with it, which are used in the place of an encoder's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.suggestions import SuiteError

_CHUNK = 8192
_SAMPLED_ROWS = 1024


@dataclass(frozen=True)
class GivenVectors:
    """One vector for each text, read from a table on disk when it is needed.

    Parameters
    ----------
    name : str
        What results call the encoder: the model, and who has published its vectors.
    table : datasets.Dataset
        Where the vectors are; it may hold more of them.
    column : str
        The column of the table, a list of numbers in each row.
    positions : numpy.ndarray of int64, shape (n,)
        The row of the table for each text.
    """

    name: str
    table: Any
    column: str
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def rows(self, rows: NDArray[np.int64]) -> GivenVectors:
        """Return the vectors of the texts at these positions, in this order."""
        return replace(self, positions=self.positions[rows])

    def chunks(self) -> Iterator[NDArray[np.float32]]:
        """Read all vectors, 8,192 at a time.

        Yields
        ------
        numpy.ndarray of float32, shape (m, d)
            As they are published, not scaled to length one.

        Raises
        ------
        SuiteError
            If they are not of one width, or not numbers.
        """
        for start in range(0, len(self), _CHUNK):
            yield self._read(self.positions[start : start + _CHUNK])

    @cached_property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(np.size(self.table[int(self.positions[0])][self.column]))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of name, shape and 1,024 vectors spread evenly over the texts.

        All of them would be gigabytes at every start; another model, other vectors or another
        order of rows is seen in these.
        """
        digest = hashlib.sha256(f"{self.name}:{self.column}:{len(self)}x{self.width}".encode())
        spread = np.linspace(0, len(self) - 1, min(_SAMPLED_ROWS, len(self))).astype(np.int64)
        digest.update(self._read(self.positions[spread]).astype("<f4").tobytes())
        return digest.hexdigest()

    def _read(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        found = self.table[positions.tolist()][self.column]
        try:
            rows = np.asarray(found, dtype=np.float32)
        except (TypeError, ValueError) as error:
            widths = sorted({int(np.size(row)) for row in found})
            raise self._not_vectors(f"rows of {widths} numbers") from error
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise self._not_vectors(f"rows of shape {rows.shape[1:]}, the first has {self.width}")
        return rows

    def _not_vectors(self, found: str) -> SuiteError:
        return SuiteError(
            f"embeddings '{self.name}': column '{self.column}' holds {found}: name a column whose "
            "rows are vectors of one width, or leave embeddings out and encode the texts."
        )
