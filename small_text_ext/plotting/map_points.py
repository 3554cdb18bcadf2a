"""What every picture of a data map draws: its points, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Fractions with a larger common denominator are as good as continuous.
_MOST_EPOCHS = 100
_TENTHS = 10


@dataclass(frozen=True, eq=False)
class MapPoints:
    """The points of a data map.

    Parameters
    ----------
    variability, confidence : numpy.ndarray of float64, shape (items,)
        Where each item lies.
    levels : numpy.ndarray of int64, shape (items,)
        In how many epochs each item was predicted correctly, from 0 to ``num_epochs``.
    num_epochs : int
        How many epochs were recorded.

    Examples
    --------
    >>> points = MapPoints(np.zeros(1), np.ones(1), np.array([2]), num_epochs=2)
    >>> points.level_names
    ['0.0', '0.5', '1.0']
    """

    variability: Floats
    confidence: Floats
    levels: Integers
    num_epochs: int

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def level_names(self) -> list[str]:
        """The fraction of correct epochs of every level, whether or not an item has it."""
        fractions = [level / self.num_epochs for level in range(self.num_epochs + 1)]
        digits = 1 if self.num_epochs <= _TENTHS else 2
        return [f"{fraction:.{digits}f}" for fraction in fractions]

    def take(self, rows: Integers) -> MapPoints:
        """Return some of the points.

        Parameters
        ----------
        rows : numpy.ndarray of int64
            Which.

        Returns
        -------
        MapPoints
            Theirs.
        """
        return MapPoints(
            self.variability[rows], self.confidence[rows], self.levels[rows], self.num_epochs
        )


def read_points(metrics: pd.DataFrame, num_epochs: int | None = None) -> MapPoints:
    """Take the points of a map from its metrics.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Columns ``confidence``, ``variability``, and ``correctness_fraction`` in [0, 1] or
        ``correctness``, the number of correct epochs.
    num_epochs : int or None, default=None
        How many epochs were recorded. Needed where ``correctness`` stands alone: the largest count
        that was observed need not be the number of epochs. From both columns it follows, and from
        fractions alone the fewest epochs are taken that give such fractions.

    Returns
    -------
    MapPoints
        One for each row, in order.

    Raises
    ------
    ValueError
        If there is no row, a column is missing, or a value is outside its bounds.

    Examples
    --------
    >>> released = pd.DataFrame({"confidence": [0.9], "variability": [0.1], "correctness": [5]})
    >>> read_points(released, num_epochs=6).levels.tolist()
    [5]
    """
    if not len(metrics):
        raise ValueError("metrics has no rows: a data map needs at least one item.")
    places = {name: _bounded(metrics, name) for name in ("variability", "confidence")}
    if num_epochs is not None and num_epochs < 1:
        raise ValueError(f"num_epochs is {num_epochs}: pass the number of epochs recorded.")
    if "correctness_fraction" in metrics:
        epochs = num_epochs or _epochs(metrics)
        levels = np.rint(_bounded(metrics, "correctness_fraction") * epochs).astype(np.int64)
    else:
        levels, epochs = _counts(metrics, num_epochs)
    return MapPoints(**places, levels=levels, num_epochs=epochs)


def _column(metrics: pd.DataFrame, name: str) -> Floats:
    if name not in metrics:
        raise ValueError(f"metrics lacks {name!r}: it has the columns {list(metrics.columns)}.")
    return metrics[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _bounded(metrics: pd.DataFrame, name: str) -> Floats:
    values = _column(metrics, name)
    wrong = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if len(wrong):
        raise ValueError(
            f"metrics has the {name} {values[wrong[0]]} in row {wrong[0]}: pass values from 0 to 1."
        )
    return values


def _counts(metrics: pd.DataFrame, num_epochs: int | None) -> tuple[Integers, int]:
    counts = _column(metrics, "correctness")
    if num_epochs is None:
        raise ValueError(
            "metrics has counts of correct epochs but no correctness_fraction: pass num_epochs, "
            "the number of epochs recorded."
        )
    wrong = np.flatnonzero(~((counts >= 0) & (counts <= num_epochs)))
    if len(wrong):
        raise ValueError(
            f"metrics has the correctness {counts[wrong[0]]:g} in row {wrong[0]}, and num_epochs "
            f"is {num_epochs}: pass the number of epochs recorded."
        )
    return np.rint(counts).astype(np.int64), num_epochs


def _epochs(metrics: pd.DataFrame) -> int:
    """Return the number of epochs that the fractions, and the counts if any, were taken over."""
    fractions = _bounded(metrics, "correctness_fraction")
    some = fractions > 0
    if "correctness" in metrics and some.any():
        return int(np.rint(_column(metrics, "correctness")[some] / fractions[some]).max())
    if not some.any():
        raise ValueError(
            "metrics has no item that was ever predicted correctly, which leaves the number of "
            "epochs open: pass num_epochs."
        )
    return _common_denominator(np.unique(fractions))


def _common_denominator(fractions: NDArray[Any]) -> int:
    for denominator in range(1, _MOST_EPOCHS + 1):
        scaled = fractions * denominator
        # A fraction may have been written with few digits.
        if np.abs(scaled - np.rint(scaled)).max() < 1e-3:
            return denominator
    return _TENTHS
