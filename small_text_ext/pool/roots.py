"""From a view handed over by a wrapper back to the rows of the embeddings."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.vectors import unit_rows

# Rows compared where the dataset holds vectors: enough to tell one order from another.
_SAMPLE = 32
# Cosine distance up to which two vectors are one, through float16 storage and bfloat16 arithmetic.
_SAME = 1e-3
# Hashing a million texts takes a second, so a level is compared with the embeddings once. By
# dataset and embeddings, the results of the last few levels.
_RESULTS = 8
_Key = tuple[int, int, int, int]
_results: WeakKeyDictionary[Any, WeakKeyDictionary[PoolEmbeddings, dict[_Key, bool | None]]] = (
    WeakKeyDictionary()
)


def root_rows(dataset: Any, embeddings: PoolEmbeddings) -> NDArray[np.int64]:  # noqa: ANN401
    """Return, for every position of a dataset, its row in the embeddings.

    small-text's wrappers (``SubsamplingQueryStrategy``, ``ClassBalancer``), and the subpool
    strategies here, hand a strategy a view with re-based indices. This walks the view up to the
    dataset that the embeddings were made from: the level that is as long as they are and whose
    texts (or vectors) are theirs. Where content cannot tell (texts that are not known), the
    level nearest to the root that is as long counts, since wrappers make views of it.

    Parameters
    ----------
    dataset : small_text.data.Dataset or sized
        What the strategy was given.
    embeddings : PoolEmbeddings
        One row for each item of some level.

    Returns
    -------
    numpy.ndarray of int64, shape (len(dataset),)
        Rows of ``embeddings``.

    Raises
    ------
    ValueError
        If no level matches.

    Examples
    --------
    >>> import numpy as np
    >>> from small_text import SklearnDataset
    >>> vectors = np.eye(4)
    >>> root = SklearnDataset(vectors, np.zeros(4, dtype=int), target_labels=np.arange(2))
    >>> root_rows(root[[3, 1]], PoolEmbeddings.from_array(vectors)).tolist()
    [3, 1]
    """
    levels = _levels(dataset)
    unknown: NDArray[np.int64] | None = None
    for position, (_, of_root) in enumerate(levels):
        if len(of_root) != len(embeddings):
            continue
        match = _compared(levels[0][0], of_root, embeddings)
        if match is False:
            continue
        rows = _compose(levels[position + 1 :], len(of_root))
        if match:
            return rows
        unknown = rows if unknown is None else unknown
    if unknown is None:
        sizes = [len(of_root) for _, of_root in reversed(levels)]
        raise ValueError(
            f"The embeddings have {len(embeddings)} rows, the dataset and what it is a view of "
            f"have {sizes} items, and no level holds the same content: encode the texts of the "
            "dataset that the active learner works on, in its order."
        )
    return unknown


def _levels(dataset: Any) -> list[tuple[Any, NDArray[np.int64]]]:  # noqa: ANN401
    """List the levels from the root down: each dataset, and its items as positions of the root."""
    chain = [dataset]
    while hasattr(chain[-1], "dataset") and hasattr(chain[-1], "selection"):
        chain.append(chain[-1].dataset)
    root = chain.pop()
    levels = [(root, np.arange(_length(root)))]
    for view in reversed(chain):
        levels.append((view, np.atleast_1d(levels[-1][1][view.selection])))
    return levels


def _compose(views: list[tuple[Any, NDArray[np.int64]]], num_rows: int) -> NDArray[np.int64]:
    rows = np.arange(num_rows)
    for view, _ in views:
        rows = np.atleast_1d(rows[view.selection])
    return rows


def _compared(
    root: Any,  # noqa: ANN401
    of_root: NDArray[np.int64],
    embeddings: PoolEmbeddings,
) -> bool | None:
    """Compare the content of a level with the embeddings once, for as long as both stay."""
    content = getattr(root, "x", None)
    if content is None:
        return None
    key = id(content), _length(content), len(embeddings), hash(of_root.data.tobytes())
    results = _results.setdefault(root, WeakKeyDictionary()).setdefault(embeddings, {})
    if key not in results:
        while len(results) >= _RESULTS:
            del results[next(iter(results))]
        results[key] = _same_content(content, of_root, embeddings)
    return results[key]


def _length(root: Any) -> int:  # noqa: ANN401
    shape = getattr(root, "shape", None)  # a sparse matrix has a shape and no length
    return int(shape[0]) if shape is not None else len(root)


def _same_content(
    content: Any,  # noqa: ANN401
    of_root: NDArray[np.int64],
    embeddings: PoolEmbeddings,
) -> bool | None:
    """Compare texts, or vectors, with the embeddings; None where neither tells."""
    if isinstance(content, list) and content and isinstance(content[0], str):
        return embeddings.texts_match([content[row] for row in of_root])
    if isinstance(content, np.ndarray | PoolEmbeddings) and content.ndim == 2:
        return _same_vectors(content, of_root, embeddings)
    return None


def _same_vectors(
    content: NDArray[Any] | PoolEmbeddings, of_root: NDArray[np.int64], embeddings: PoolEmbeddings
) -> bool | None:
    if content.shape[1] != embeddings.shape[1]:
        return None  # other features of the same texts
    sample = np.unique(np.linspace(0, len(of_root) - 1, _SAMPLE).astype(np.int64))
    theirs = np.asarray(content[of_root[sample]], dtype=np.float32)
    if not np.isfinite(theirs).all() or not theirs.any(axis=1).all():
        return None
    theirs = unit_rows(theirs)
    # float16 storage and bfloat16 arithmetic agree to about two decimals.
    if np.allclose(theirs, embeddings[sample], atol=0.02):
        return True
    # The same vectors in another order, or other features that happen to be as long?
    _, distances = embeddings.search(theirs, 1)
    return False if (distances < _SAME).mean() > 0.5 else None
