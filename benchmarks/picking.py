"""Who picks diverse vectors, and what that costs in a process of its own.

Apart from ``benchmarks.perf``: a process that picks loads no more than its contestant needs.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.memory import megabytes_above, reset_peak
from small_text_ext.query_strategies.k_center import k_center_greedy

Vectors = NDArray[np.float32]
Select = Callable[[Vectors, int, int], Sequence[int]]

OURS = "k_center_greedy"
ENGINE = "lightly-mundig"
HOST = "GreedyCoreset"

ENGINE_MODULE = "lightly_mundig"


def _ours(vectors: Vectors, num_selected: int, n: int) -> Sequence[int]:
    return k_center_greedy(vectors, n, np.arange(num_selected)).tolist()  # type: ignore[no-any-return]


def _weights(vectors: Vectors) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(size=len(vectors))


def _ours_product(vectors: Vectors, num_selected: int, n: int) -> Sequence[int]:
    picks = k_center_greedy(vectors, n, np.arange(num_selected), _weights(vectors))
    return picks.tolist()  # type: ignore[no-any-return]


def _ours_objective(vectors: Vectors, num_selected: int, n: int) -> Sequence[int]:
    selected, weights = np.arange(num_selected), _weights(vectors)
    picks = k_center_greedy(vectors, n, selected, weights, combine="objective")
    return picks.tolist()  # type: ignore[no-any-return]


def _engine(vectors: Vectors, num_selected: int, n: int) -> Sequence[int]:
    selection = importlib.import_module(ENGINE_MODULE).Selection()
    selection.add_diversifying_strategy(vectors, 1.0)
    found = selection.run_selection(list(range(num_selected)), len(vectors), num_selected + n)
    return [row for row in found if row >= num_selected]


def _host(vectors: Vectors, num_selected: int, n: int) -> Sequence[int]:
    from small_text.query_strategies.coresets import greedy_coreset

    # Its positions are those of one array and of the other at once, unless candidates come first.
    num_candidates = len(vectors) - num_selected
    turned = np.concatenate([vectors[num_selected:], vectors[:num_selected]])
    indices = np.split(np.arange(len(vectors)), [num_candidates])
    found = greedy_coreset(turned, *indices, n, "euclidean", normalized=True)
    return [int(position) + num_selected for position in found]


CONTESTANTS: Mapping[str, Select] = {
    OURS: _ours,
    f"{OURS}, times a weight": _ours_product,
    f"{OURS}, objective with a weight": _ours_objective,
    ENGINE: _engine,
    HOST: _host,
}
"""Who picks; each takes vectors, of which the first are selected already, and a number of picks."""


def clocked_picks(
    contestant: str,
    path: Path,
    num_selected: int,
    n: int,
    ready: Callable[[], object] = lambda: None,
) -> tuple[float, float | None, list[int]]:
    """Let a contestant pick, and look at the clock and at memory: for a process of its own.

    Parameters
    ----------
    contestant : str
        One of `CONTESTANTS`.
    path : pathlib.Path
        The vectors, as ``.npy``.
    num_selected : int
        How many of them, from the first on, are selected already.
    n : int
        Picks.
    ready : callable, default=nothing
        Called right before the clock starts.

    Returns
    -------
    seconds : float
        Of the picks.
    megabytes : float or None
        At the peak, above what the vectors take; None where the system does not tell.
    picks : list of int
        Rows.
    """
    select = CONTESTANTS[contestant]
    vectors = np.load(path)
    select(vectors[:64], 32, 2)  # imports, and threads of the linear algebra
    before = reset_peak()
    ready()
    start = time.perf_counter()
    picks = select(vectors, num_selected, n)
    seconds = time.perf_counter() - start
    peak = None if before is None else megabytes_above(before)
    return seconds, peak, list(picks)
