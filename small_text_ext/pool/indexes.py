"""Nearest neighbours among the texts that are still unlabelled: exact, and approximate by HNSW."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from small_text.vector_indexes import VectorIndex
from tqdm.auto import tqdm

from small_text_ext._extras import require_extra
from small_text_ext._files import part_of, write_json, write_whole
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.pool.storage import fingerprint_of, hash_rows
from small_text_ext.pool.vectors import unit_rows

if TYPE_CHECKING:
    import hnswlib

Vectors = ArrayLike | PoolEmbeddings
Ids = NDArray[np.int64]
Rows = NDArray[np.int64]
Distances = NDArray[np.float32]

# The grain of the progress bar of a build.
_ROWS_AN_INSERT = 4096
_ROWS_A_CHOICE = 4096


def _unit_blocks(vectors: Vectors) -> list[NDArray[Any]]:
    """Return unit rows as blocks: the chunks of embeddings as they are, of an array a copy."""
    if isinstance(vectors, PoolEmbeddings):
        return list(vectors.chunks)
    rows = unit_rows(vectors)
    return [rows.copy() if np.may_share_memory(rows, np.asarray(vectors)) else rows]


class _LiveIds:
    """Ids in row order, and which of them are live (not removed)."""

    def __init__(self, ids: ArrayLike | None, num_rows: int) -> None:
        self.are_rows = ids is None
        self.ids = np.arange(num_rows) if ids is None else _checked_ids(ids, num_rows)
        self.live = np.ones(num_rows, dtype=bool)
        if not self.are_rows:
            self._sort()

    def _sort(self) -> None:
        self._order = np.argsort(self.ids, kind="stable")
        self._sorted = self.ids[self._order]
        if (repeated := np.flatnonzero(np.diff(self._sorted) == 0)).size:
            raise ValueError(
                f"id {self._sorted[repeated[0]]} occurs twice: every vector needs an id of its own."
            )

    def extended(self, ids: ArrayLike, num_rows: int) -> _LiveIds:
        together = np.concatenate([self.ids, _checked_ids(ids, num_rows)])
        result = _LiveIds(together, len(together))
        result.live[: len(self.live)] = self.live
        return result

    def rows(self, ids: ArrayLike) -> NDArray[np.int64]:
        wanted = np.atleast_1d(np.asarray(ids)).astype(np.int64, copy=False)
        if self.are_rows:
            rows, known = wanted, (wanted >= 0) & (wanted < len(self.ids))
        else:
            places = np.searchsorted(self._sorted, wanted)
            known = places < len(self._sorted)
            known[known] = self._sorted[places[known]] == wanted[known]
            rows = self._order[np.where(known, places, 0)]
        if not known.all():
            raise ValueError(f"id {wanted[~known][0]} is not in the index: add it first.")
        return rows


class _Nearest:
    """The k best of all rows seen so far, for each query."""

    def __init__(self, num_queries: int, k: int) -> None:
        self.k = k
        self.similarities = np.full((num_queries, k), -np.inf, dtype=np.float32)
        self.rows = np.full((num_queries, k), np.iinfo(np.int64).max)

    def offer(self, rows: NDArray[np.int64], similarities: NDArray[np.float32]) -> None:
        """Take rows, in rising order, and their similarities of shape (queries, rows)."""
        # Only a row that beats the worst of somebody's best so far can change a result.
        wanted = np.flatnonzero((similarities > self.similarities[:, -1:]).any(axis=0))
        if not wanted.size:
            return
        if wanted.size < len(rows):
            rows, similarities = rows[wanted], np.take(similarities, wanted, axis=1)
        shape = similarities.shape
        names = np.broadcast_to(rows, shape)
        if shape[1] > self.k:  # first among themselves: what is merged is then small
            part = np.argpartition(similarities, shape[1] - self.k, axis=1)[:, -self.k :]
            similarities, names = np.take_along_axis(similarities, part, 1), rows[part]
        both = np.concatenate([self.similarities, similarities], axis=1)
        names = np.concatenate([self.rows, names], axis=1)
        part = np.argpartition(-both, self.k - 1, axis=1)[:, : self.k]
        both, names = np.take_along_axis(both, part, 1), np.take_along_axis(names, part, 1)
        order = np.lexsort((names, -both), axis=1)
        self.similarities = np.take_along_axis(both, order, 1)
        self.rows = np.take_along_axis(names, order, 1)


def _checked_ids(ids: ArrayLike, num_rows: int) -> NDArray[np.int64]:
    array = np.asarray(ids)
    if array.shape != (num_rows,):
        raise ValueError(f"ids has shape {array.shape} for {num_rows} vectors: pass one id each.")
    return array.astype(np.int64)


class LiveIndex(VectorIndex, ABC):
    """What the indexes here share: ids, which of them are live, checks, and a folder on disk.

    It extends small-text's ``VectorIndex`` by :meth:`add`, :meth:`restore`, :meth:`save` and
    :meth:`load`; distances are cosine distances in [0, 2].
    """

    def __init__(self) -> None:
        self._entries = _LiveIds(None, 0)
        self._num_columns = 0
        self._hashes: list[str] | None = None  # of the blocks, None before there are any
        self._unhashed: list[NDArray[Any]] = []

    @abstractmethod
    def _store(self, blocks: list[NDArray[Any]]) -> None:
        """Take the first blocks of unit rows, in place of what there was."""

    @abstractmethod
    def _extend(self, blocks: list[NDArray[Any]]) -> None:
        """Take more blocks behind the first."""

    @abstractmethod
    def _nearest(self, queries: NDArray[np.float32], k: int) -> tuple[Rows, Distances]:
        """Find the k nearest live rows of unit queries, and their cosine distances."""

    def _built_from(self, vectors: Vectors | None) -> None:
        """Learn what the blocks were taken from; None after rows of another kind were added."""

    @abstractmethod
    def _write(self, folder: Path) -> dict[str, Any]:
        """Write the vectors into a folder; return what its description must say of them."""

    @abstractmethod
    def _read(self, folder: Path, details: dict[str, Any]) -> None:
        """Read what :meth:`_write` wrote."""

    def __len__(self) -> int:
        return int(self._entries.live.sum())

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the blocks of vectors: equal to that of the embeddings it was built from.

        Where blocks begin counts, as in the embeddings; hashing waits until somebody asks.
        """
        self._check_built()
        assert self._hashes is not None  # what the check has seen
        self._hashes += [hash_rows(block) for block in self._unhashed]
        self._unhashed = []
        return fingerprint_of(self._hashes)

    @property
    def ids(self) -> Ids:
        """All ids, removed ones too, in row order."""
        return self._entries.ids

    @property
    def live(self) -> NDArray[np.bool_]:
        """Which of :attr:`ids` can be found."""
        return self._entries.live

    def build(self, vectors: Vectors, ids: ArrayLike | None = None) -> None:
        """Take vectors to search among.

        Parameters
        ----------
        vectors : PoolEmbeddings or array_like, shape (n, d)
            Rows; an array's are scaled to length one and copied, embeddings are taken as they are.
        ids : array_like of int, shape (n,), or None, default=None
            Distinct ids; by default the row numbers.

        Raises
        ------
        ValueError
            If a row is zero or not finite, or ids repeat or are not as many.
        """
        blocks = _unit_blocks(vectors)
        entries = _LiveIds(ids, sum(len(block) for block in blocks))
        self._store(blocks)
        self._entries, self._num_columns = entries, blocks[0].shape[1]
        self._hashes, self._unhashed = [], blocks
        self._built_from(vectors)

    def add(self, ids: ArrayLike, vectors: Vectors) -> None:
        """Add vectors to those that are there.

        Parameters
        ----------
        ids : array_like of int, shape (m,)
            New ids.
        vectors : PoolEmbeddings or array_like, shape (m, d)
            Their rows.

        Raises
        ------
        ValueError
            If an id is there already, or the dimension differs.
        """
        self._check_built()
        blocks = _unit_blocks(vectors)
        self._check_columns(blocks[0], "vectors")
        entries = self._entries.extended(ids, sum(len(block) for block in blocks))
        self._extend(blocks)
        self._entries = entries
        self._unhashed = [*self._unhashed, *blocks]
        self._built_from(None)

    def remove(self, ids: ArrayLike) -> None:
        """Hide vectors from searches; hiding one twice changes nothing.

        Parameters
        ----------
        ids : array_like of int
            Ids that the index holds.

        Raises
        ------
        ValueError
            If an id is unknown.
        """
        self._set_live(ids, False)

    def restore(self, ids: ArrayLike) -> None:
        """Bring removed vectors back; restoring a live one changes nothing.

        Parameters
        ----------
        ids : array_like of int
            Ids that the index holds.

        Raises
        ------
        ValueError
            If an id is unknown.
        """
        self._set_live(ids, True)

    def _set_live(self, ids: ArrayLike, live: bool) -> NDArray[np.int64]:
        """Return the rows whose state changed."""
        self._check_built()
        rows = self._entries.rows(ids)
        changed = np.unique(rows[self._entries.live[rows] != live])
        self._entries.live[changed] = live
        return changed

    @overload
    def search(self, vectors: Vectors, k: int = 10) -> Ids: ...

    @overload
    def search(
        self, vectors: Vectors, k: int, return_distance: Literal[True]
    ) -> tuple[Ids, Distances]: ...

    @overload
    def search(
        self, vectors: Vectors, k: int = 10, *, return_distance: Literal[True]
    ) -> tuple[Ids, Distances]: ...

    def search(
        self, vectors: Vectors, k: int = 10, return_distance: bool = False
    ) -> Ids | tuple[Ids, Distances]:
        """Find the k nearest live vectors of each query, nearest first.

        Parameters
        ----------
        vectors : array_like, shape (q, d)
            Queries.
        k : int, default=10
            Neighbours; where fewer are live, the result has fewer columns.
        return_distance : bool, default=False
            Also return cosine distances.

        Returns
        -------
        ids : numpy.ndarray of int64, shape (q, min(k, live))
            Ids, nearest first.
        distances : numpy.ndarray of float32, same shape
            Cosine distances in [0, 2]; only with ``return_distance``.

        Raises
        ------
        ValueError
            If the dimension differs, or k is below 1.
        """
        self._check_built()
        if k < 1:
            raise ValueError(f"k is {k}: ask for at least 1 neighbour.")
        queries = unit_rows(np.asarray(vectors), "the query")
        self._check_columns(queries, "the query")
        k = min(int(k), len(self))
        shape = len(queries), k
        rows, distances = (
            self._nearest(queries, k)
            if min(shape)
            else (np.empty(shape, dtype=np.int64), np.empty(shape, dtype=np.float32))
        )
        ids = self._entries.ids[rows]
        return (ids, np.clip(distances, 0, 2)) if return_distance else ids

    def save(self, path: str | Path) -> None:
        """Write the index into a folder, with its ids and what was removed.

        Parameters
        ----------
        path : str or pathlib.Path
            The folder; what an earlier save left there is replaced.
        """
        self._check_built()
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        # Without its description, which comes last, the folder does not count.
        (folder / "index.json").unlink(missing_ok=True)
        details = self._write(folder)
        write_whole(folder / "ids.npy", lambda file: np.save(file, self._entries.ids))
        write_whole(folder / "live.npy", lambda file: np.save(file, self._entries.live))
        write_json(
            folder / "index.json",
            {
                **details,
                "kind": type(self).__name__,
                "fingerprint": self.fingerprint,
                "hashes": self._hashes,
                "num_columns": self._num_columns,
            },
        )

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | None = None, **kwargs: Any) -> Self:  # noqa: ANN401
        """Open a saved index.

        Parameters
        ----------
        path : str or pathlib.Path
            The folder.
        fingerprint : str or None, default=None
            That of the embeddings that it must have been built from.
        **kwargs
            Arguments of the class that the folder does not hold, such as ``device``.

        Returns
        -------
        LiveIndex
            The index, with what was removed removed.

        Raises
        ------
        FileNotFoundError
            If there is no index.
        ValueError
            If it is of another kind, or was built from other vectors.
        """
        folder = Path(path)
        file = folder / "index.json"
        if not file.exists():
            raise FileNotFoundError(f"{folder} holds no index: write one with {cls.__name__}.save.")
        details = json.loads(file.read_text("utf-8"))
        if details["kind"] != cls.__name__:
            raise ValueError(f"{folder} holds a {details['kind']}: use {details['kind']}.load.")
        if fingerprint is not None and details["fingerprint"] != fingerprint:
            raise ValueError(
                f"{folder} was built from vectors with fingerprint {details['fingerprint']}, these "
                f"have {fingerprint}: build it again with {cls.__name__}.build and save it."
            )
        ids = np.load(folder / "ids.npy")
        loaded = cls(**{**details.get("parameters", {}), **kwargs})
        loaded._entries = _LiveIds(ids, len(ids))
        loaded._entries.live = np.load(folder / "live.npy")
        loaded._num_columns = details["num_columns"]
        loaded._hashes = details["hashes"]
        loaded._read(folder, details)
        return loaded

    def _check_built(self) -> None:
        if self._hashes is None:
            raise ValueError("The index is empty: call build(vectors, ids) first.")

    def _check_columns(self, rows: NDArray[Any], name: str) -> None:
        if rows.shape[1] != self._num_columns:
            raise ValueError(
                f"{name} has dimension {rows.shape[1]}, the index holds vectors of dimension "
                f"{self._num_columns}: embed both with the same model."
            )


class ExactIndex(LiveIndex):
    """Exact nearest neighbours by one chunked matrix product; removed rows are masked.

    The default of every strategy here. An active-learning round asks for the neighbours of some
    20 anchors: even against a million vectors that is one matrix product, with no build, no recall
    to lose, no threads to make it irreproducible, and removal that costs nothing. HNSW, the
    published choice, pays off only where one build serves very many queries, or where vectors
    outgrow what memory can stream.

    Parameters
    ----------
    block_size : int, default=4194304
        Numbers of one step, similarities and vectors that are cast or moved: bounds the memory
        of a search (16 MiB by default). Changes nothing but the choice among equally near
        neighbours.
    device : str or None, default=None
        None computes with numpy. A torch device ("cuda", "cpu") keeps the vectors there, in their
        storage type, and computes with torch.

    References
    ----------
    Replaces the HNSW search of P. Lesci and A. Vlachos, "AnchorAL: Computationally Efficient
    Active Learning for Large and Imbalanced Datasets", NAACL 2024.

    Examples
    --------
    >>> index = ExactIndex()
    >>> index.build([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], ids=[10, 11, 12])
    >>> index.remove([12])
    >>> index.search([[1.0, 0.2]], k=2).tolist()
    [[10, 11]]
    """

    def __init__(self, *, block_size: int = 4_194_304, device: str | None = None) -> None:
        super().__init__()
        if block_size < 1:
            raise ValueError(f"block_size is {block_size}: pass at least 1.")
        self.block_size = block_size
        self.device = device
        self._blocks: list[NDArray[Any]] = []
        self._on_device: list[Any] | None = None
        self._source: PoolEmbeddings | None = None

    @property
    def index(self) -> list[NDArray[Any]] | None:
        """The blocks of unit rows, or None before :meth:`build`."""
        return self._blocks or None

    def _store(self, blocks: list[NDArray[Any]]) -> None:
        self._blocks, self._on_device = blocks, None

    def _extend(self, blocks: list[NDArray[Any]]) -> None:
        self._blocks, self._on_device = [*self._blocks, *blocks], None

    def _nearest(self, queries: NDArray[np.float32], k: int) -> tuple[Rows, Distances]:
        best = _Nearest(len(queries), k)
        for start, similarities in self._similarities(queries):
            num_rows = similarities.shape[1]
            live = np.flatnonzero(self._entries.live[start : start + num_rows])
            if len(live) < num_rows:
                similarities = np.take(similarities, live, axis=1)
            best.offer(start + live, similarities)
        return best.rows, 1 - best.similarities

    def _similarities(
        self, queries: NDArray[np.float32]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the first row of each block, and its similarities of shape (queries, rows)."""
        product = self._torch_product(queries) if self.device else None
        start = 0
        for position, chunk in enumerate(self._blocks):
            is_cast = chunk.dtype != np.float32
            numbers = max(len(queries), self._num_columns if is_cast else 1)
            num_rows = max(self.block_size // numbers, 1)
            for low in range(0, len(chunk), num_rows):
                part = slice(low, low + num_rows)
                if product is None:
                    block = queries @ chunk[part].astype(np.float32, copy=False).T
                else:
                    block = product(position, part)
                # Large products are fast; small parts, the first of which sets the mark that
                # the others must beat, are fast to choose from.
                for step in range(0, block.shape[1], _ROWS_A_CHOICE):
                    yield start + low + step, block[:, step : step + _ROWS_A_CHOICE]
            start += len(chunk)

    def _torch_product(
        self, queries: NDArray[np.float32]
    ) -> Callable[[int, slice], NDArray[np.float32]]:
        import torch

        if self._on_device is None:
            # Chunks on disk are read-only maps: torch wants memory of its own.
            self._on_device = [
                torch.from_numpy(np.array(chunk)).to(self.device) for chunk in self._blocks
            ]
        blocks, moved = self._on_device, torch.from_numpy(queries).to(self.device)

        def product(position: int, part: slice) -> NDArray[np.float32]:
            return np.asarray((moved @ blocks[position][part].float().T).cpu().numpy())

        return product

    def _write(self, folder: Path) -> dict[str, Any]:
        write_whole(folder / "vectors.npy", self._write_blocks)
        return {"parameters": {"block_size": self.block_size}}

    def _write_blocks(self, file: IO[bytes]) -> None:
        """Write one ``.npy`` file without ever holding all rows."""
        shape = sum(len(block) for block in self._blocks), self._num_columns
        dtype = np.result_type(*self._blocks)
        header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in self._blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)

    def _read(self, folder: Path, details: dict[str, Any]) -> None:
        rows = np.load(folder / "vectors.npy", mmap_mode="r")
        if len(rows) != len(self._entries.ids):
            raise ValueError(
                f"{folder} holds {len(rows)} vectors and {len(self._entries.ids)} ids: build the "
                "index again and save it."
            )
        self._blocks = [rows]

    def _built_from(self, vectors: Vectors | None) -> None:
        on_disk = isinstance(vectors, PoolEmbeddings) and vectors.path is not None
        self._source = vectors if isinstance(vectors, PoolEmbeddings) and on_disk else None

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_on_device": None}
        if self._source is not None:  # the rows are on disk: the embeddings pickle as their path
            hashes = self._source.chunk_hashes[: len(self._blocks)]
            state.update(_blocks=[], _unhashed=[], _hashes=hashes)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._source is not None:
            assert self._hashes is not None  # as the state was left
            self._blocks = list(self._source.chunks)[: len(self._hashes)]

    def __str__(self) -> str:
        return f"ExactIndex(block_size={self.block_size}, device={self.device!r})"


class HNSWIndex(LiveIndex):
    """Approximate nearest neighbours by hierarchical navigable small worlds, as published.

    Wants the extra ``hnsw``. Worth its build where one index serves very many queries; see
    :class:`ExactIndex` for why it is not the default.

    Parameters
    ----------
    m : int, default=64
        Links of a vector in the graph: higher costs memory, gains recall.
    ef_construction : int, default=200
        Candidates kept while building: higher builds slower, gains recall.
    ef : int, default=200
        Candidates kept while searching, at least ``k``: higher searches slower, gains recall.
    seed : int, default=42
        Seed of the levels of the graph.
    num_threads : int, default=1
        Threads that build. One is deterministic; with more (-1: all cores), the graph depends on
        their timing, and neighbours may differ from run to run. Searches use all cores always.

    Notes
    -----
    Differences from the authors' code: after loading a file, hnswlib falls back to ``ef=10``, which
    the authors' code did not set again (their searches ran at ``ef = k = 50``, not 200); here it
    is set. Their build runs on five threads, ours on one unless told otherwise. Where the graph
    yields fewer than ``k`` live rows (hnswlib then raises), the live rows are searched exactly.

    References
    ----------
    Y. Malkov and D. Yashunin, "Efficient and robust approximate nearest neighbor search using
    Hierarchical Navigable Small World graphs", 2018; parameters as in P. Lesci and A. Vlachos,
    "AnchorAL", NAACL 2024.

    Examples
    --------
    >>> index = HNSWIndex()  # doctest: +SKIP
    >>> index.build(embeddings)  # doctest: +SKIP
    >>> index.search(embeddings[:2], k=5)  # doctest: +SKIP
    """

    def __init__(
        self,
        *,
        m: int = 64,
        ef_construction: int = 200,
        ef: int = 200,
        seed: int = 42,
        num_threads: int = 1,
    ) -> None:
        super().__init__()
        require_extra("hnswlib", "hnsw")
        for name, value in (("m", m), ("ef_construction", ef_construction), ("ef", ef)):
            if value < 2:
                raise ValueError(f"{name} is {value}: pass at least 2.")
        self.m = m
        self.ef_construction = ef_construction
        self.ef = ef
        self.seed = seed
        self.num_threads = num_threads
        self._graph: hnswlib.Index | None = None

    @property
    def index(self) -> hnswlib.Index | None:
        """The hnswlib index, whose labels are row numbers, or None before :meth:`build`."""
        return self._graph

    def parameters(self) -> dict[str, int]:
        """Return the arguments that change the graph or a search.

        Returns
        -------
        dict
            Name to value.
        """
        names = ("m", "ef_construction", "ef", "seed", "num_threads")
        return {name: getattr(self, name) for name in names}

    def _store(self, blocks: list[NDArray[Any]]) -> None:
        import hnswlib

        graph = hnswlib.Index(space="cosine", dim=blocks[0].shape[1])
        graph.init_index(
            max_elements=sum(len(block) for block in blocks),
            M=self.m,
            ef_construction=self.ef_construction,
            random_seed=self.seed,
        )
        graph.set_ef(self.ef)
        self._insert(graph, blocks)
        self._graph = graph

    def _built_from(self, vectors: Vectors | None) -> None:
        # The graph has copies of its own: hash now, so that the blocks need not be kept.
        if isinstance(vectors, PoolEmbeddings):
            self._hashes, self._unhashed = vectors.chunk_hashes, []
        _ = self.fingerprint

    def _extend(self, blocks: list[NDArray[Any]]) -> None:
        graph = self._built()
        graph.resize_index(graph.get_current_count() + sum(len(block) for block in blocks))
        self._insert(graph, blocks)

    def _insert(self, graph: hnswlib.Index, blocks: list[NDArray[Any]]) -> None:
        total = sum(len(block) for block in blocks)
        with tqdm(total=total, unit="text", desc="build HNSW", disable=None, delay=2) as bar:
            for block in blocks:
                for low in range(0, len(block), _ROWS_AN_INSERT):
                    part = block[low : low + _ROWS_AN_INSERT].astype(np.float32, copy=False)
                    first = graph.get_current_count()
                    labels = np.arange(first, first + len(part))
                    graph.add_items(part, labels, num_threads=self.num_threads)
                    bar.update(len(part))

    def _set_live(self, ids: ArrayLike, live: bool) -> NDArray[np.int64]:
        changed = super()._set_live(ids, live)
        graph = self._built()
        mark = graph.unmark_deleted if live else graph.mark_deleted
        for row in changed.tolist():
            mark(row)
        return changed

    def _nearest(self, queries: NDArray[np.float32], k: int) -> tuple[Rows, Distances]:
        try:
            rows, distances = self._built().knn_query(queries, k=k)
        except RuntimeError as error:
            if "contiguous 2D array" not in str(error):
                raise
            return self._nearest_exactly(queries, k)
        return rows.astype(np.int64), distances

    def _nearest_exactly(self, queries: NDArray[np.float32], k: int) -> tuple[Rows, Distances]:
        """Search the live rows one by one: the graph no longer reaches k of them."""
        graph, best = self._built(), _Nearest(len(queries), k)
        live = np.flatnonzero(self._entries.live)
        for low in range(0, len(live), _ROWS_AN_INSERT):
            part = live[low : low + _ROWS_AN_INSERT]
            vectors = np.asarray(graph.get_items(part), dtype=np.float32)
            best.offer(part, queries @ vectors.T)
        return best.rows, 1 - best.similarities

    def _write(self, folder: Path) -> dict[str, Any]:
        with part_of(folder / "graph.hnsw") as part:
            self._built().save_index(str(part))
        return {"parameters": self.parameters()}

    def _read(self, folder: Path, details: dict[str, Any]) -> None:
        import hnswlib

        self._graph = hnswlib.Index(space="cosine", dim=self._num_columns)
        self._graph.load_index(str(folder / "graph.hnsw"))
        if self._graph.get_current_count() != len(self._entries.ids):
            raise ValueError(
                f"{folder} holds {self._graph.get_current_count()} vectors and "
                f"{len(self._entries.ids)} ids: build the index again and save it."
            )
        self._graph.set_ef(self.ef)

    def _built(self) -> hnswlib.Index:
        if self._graph is None:
            raise ValueError("The index is empty: call build(vectors, ids) first.")
        return self._graph

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in self.parameters().items())
        return f"HNSWIndex({arguments})"
