"""Frozen vectors of every text of the pool: computed once, on disk, in chunks that can be added to.

The published AnchorAL embeds the pool once with a sentence encoder that active learning never
touches. small-text's strategies embed the whole pool with the current classifier at every query;
``PoolEmbeddings`` is what makes that unnecessary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from small_text_ext.pool.encoders import Encoder, Precision
from small_text_ext.pool.storage import FORMAT, ChunkStore, hash_texts
from small_text_ext.pool.vectors import unit_rows

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

StorageDtype = Literal["float32", "float16"]

_CHUNK_SIZE = 8192


class PoolEmbeddings:
    """One unit vector for every text of the pool, in the order of the root dataset.

    An array-like of shape (n, d): it has ``shape``, takes row indices, and can be given to
    ``SklearnDataset`` as ``x``. Make it with :meth:`encode`, :meth:`open` or :meth:`from_array`.

    On disk it is a folder of ``.npy`` chunks, read through memory maps, beside one JSON
    description that holds for each chunk the hash of its own texts and of its vectors. An
    interrupted encode resumes with the chunks that were finished, and ends with the same bytes as
    one that was never interrupted. It pickles as its path (and checks on loading that the folder's
    description still names the same vectors), as its arrays where it has none.

    Parameters
    ----------
    store : ChunkStore
        The rows.
    model : str, sentence_transformers.SentenceTransformer or None, default=None
        The encoder, for :meth:`append` and for :meth:`search` with a text. By default the one
        that the store names.

    Examples
    --------
    >>> pool = PoolEmbeddings.from_array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    >>> pool.shape
    (3, 2)
    >>> ids, distances = pool.search([1.0, 0.1], k=2)
    >>> ids.tolist(), [round(float(d), 3) for d in distances]
    ([0, 2], [0.005, 0.226])
    """

    def __init__(self, store: ChunkStore, model: str | SentenceTransformer | None = None) -> None:
        self._store = store
        self._model = model
        self._checked_encoder: Encoder | None = None

    @classmethod
    def encode(
        cls,
        texts: Sequence[str],
        model: str | SentenceTransformer,
        path: str | Path | None = None,
        *,
        batch_size: int = 64,
        precision: Precision = "float32",
        storage_dtype: StorageDtype = "float32",
        chunk_size: int = _CHUNK_SIZE,
        device: str | None = None,
        show_progress: bool | None = None,
    ) -> PoolEmbeddings:
        """Encode texts with a sentence encoder, once.

        Within a chunk, batches are made of texts of similar length, so that little is padding.

        Parameters
        ----------
        texts : sequence of str
            The texts of the root dataset, in its order.
        model : str or sentence_transformers.SentenceTransformer
            A name on the hub, a folder, or a loaded model.
        path : str, pathlib.Path or None, default=None
            The folder. If it holds the first of these texts, encoded by the same model, only the
            rest is encoded: this is how an interrupted run resumes. None keeps all in memory.
        batch_size : int, default=64
            Texts a batch.
        precision : {"float32", "bfloat16"}, default="float32"
            Arithmetic of the encoder. bfloat16 is faster on GPUs and on CPUs that have it, and
            changes cosines by about 0.01.
        storage_dtype : {"float32", "float16"}, default="float32"
            float16 halves the folder and the memory that a search reads.
        chunk_size : int, default=8192
            Texts a chunk: the unit that an interruption can lose.
        device : str or None, default=None
            Where to encode; by default a GPU where there is one.
        show_progress : bool or None, default=None
            A progress bar; None shows it on a terminal only.

        Returns
        -------
        PoolEmbeddings
            The embeddings of all texts.

        Raises
        ------
        ValueError
            If the folder holds other texts, or vectors of another model or precision.
        """
        texts = _checked_texts(texts)
        _check_encode_arguments(texts, storage_dtype, chunk_size)
        encoder = Encoder(model, precision=precision, batch_size=batch_size, device=device)
        header = {
            "format": FORMAT,
            "model": encoder.identity(),
            "precision": precision,
            "storage_dtype": storage_dtype,
            "chunk_size": chunk_size,
        }
        folder = None if path is None else Path(path).resolve()
        store = _resumable(folder, header, texts) or ChunkStore({**header, "chunks": []}, folder)
        store.clean()
        if len(store) < len(texts):
            _encode_into(store, texts[len(store) :], encoder, show_progress)
        elif len(store) != store.description["num_texts"]:
            store.announce(len(store))  # more was announced, but these are all the texts
        return cls(store, encoder.model)

    @classmethod
    def open(
        cls,
        path: str | Path,
        texts: Sequence[str] | None = None,
        model: str | SentenceTransformer | None = None,
    ) -> PoolEmbeddings:
        """Open a folder that :meth:`encode` has filled.

        Parameters
        ----------
        path : str or pathlib.Path
            The folder.
        texts : sequence of str or None, default=None
            If given, checked against the hashes of the texts that were encoded.
        model : str, SentenceTransformer or None, default=None
            The encoder for later texts; by default the one that the folder names.

        Returns
        -------
        PoolEmbeddings
            The embeddings, memory-mapped.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        ValueError
            If it is incomplete or damaged, or holds other texts.
        """
        store = ChunkStore.read(Path(path).resolve())
        if len(store) != store.description["num_texts"]:
            raise ValueError(
                f"{path} holds {len(store)} of {store.description['num_texts']} texts: encoding "
                "was interrupted. Call PoolEmbeddings.encode with the same texts, model and path; "
                "it resumes."
            )
        embeddings = cls(store, model)
        if texts is not None and not embeddings.texts_match(texts):
            raise ValueError(
                f"{path} holds {len(store)} vectors of other texts than the {len(texts)} given: "
                "pass the texts in the order in which they were encoded, or encode them into a new "
                "folder."
            )
        return embeddings

    @classmethod
    def from_array(
        cls,
        array: ArrayLike,
        texts: Sequence[str] | None = None,
        model: str | SentenceTransformer | None = None,
    ) -> PoolEmbeddings:
        """Take vectors that were computed elsewhere; rows are scaled to length one.

        Parameters
        ----------
        array : array_like, shape (n, d)
            One row for each text of the root dataset, in its order. Unit float32 rows are not
            copied: leave them as they are from then on.
        texts : sequence of str or None, default=None
            The texts. With them, a strategy can tell which level of a nested dataset the rows
            belong to by content, not by length alone.
        model : str, SentenceTransformer or None, default=None
            The encoder of the vectors, for :meth:`append` and text queries.

        Returns
        -------
        PoolEmbeddings
            The embeddings, in memory.

        Raises
        ------
        ValueError
            If a row is zero, NaN or infinite, or the number of texts differs.
        """
        rows = unit_rows(array, "array")
        if texts is not None and len(texts) != len(rows):
            raise ValueError(f"array has {len(rows)} rows, texts has {len(texts)}: pass as many.")
        entry = {
            "file": None,
            "rows": len(rows),
            "texts": None if texts is None else hash_texts(_checked_texts(texts)),
            "vectors": None,
        }
        description = {
            "format": FORMAT,
            "model": None,
            "precision": "float32",
            "storage_dtype": "float32",
            "chunk_size": max(len(rows), 1),
            "num_texts": len(rows),
            "chunks": [entry],
        }
        return cls(ChunkStore(description, None, [rows]), model)

    @classmethod
    def from_chunks(
        cls,
        chunks: Iterable[ArrayLike],
        texts: Sequence[str],
        path: str | Path,
        *,
        storage_dtype: StorageDtype = "float32",
    ) -> PoolEmbeddings:
        """Write vectors that were computed elsewhere into a folder, a part at a time.

        For vectors that are published with their texts and do not fit into memory; :meth:`open`
        opens the folder later. What the folder held is replaced.

        Parameters
        ----------
        chunks : iterable of array_like, each of shape (m, d)
            Together one row for each text, in order; rows are scaled to length one.
        texts : sequence of str
            The texts of the root dataset.
        path : str or pathlib.Path
            The folder.
        storage_dtype : {"float32", "float16"}, default="float32"
            float16 halves the folder and the memory that a search reads.

        Returns
        -------
        PoolEmbeddings
            The embeddings, memory-mapped.

        Raises
        ------
        ValueError
            If a row is zero, NaN or infinite, widths differ, or there are not as many rows as
            texts; the folder then counts as interrupted.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     parts = [[[1.0, 0.0]], [[0.0, 2.0], [3.0, 4.0]]]
        ...     PoolEmbeddings.from_chunks(parts, ["a", "b", "c"], folder)[2].round(1)
        array([0.6, 0.8], dtype=float32)
        """
        texts = _checked_texts(texts)
        _check_encode_arguments(texts, storage_dtype, _CHUNK_SIZE)
        description: dict[str, Any] = {
            "format": FORMAT,
            "model": None,
            "precision": "float32",
            "storage_dtype": storage_dtype,
            "chunk_size": _CHUNK_SIZE,
            "chunks": [],
        }
        store = ChunkStore(description, Path(path).resolve())
        store.clean()
        store.announce(len(texts))
        for chunk in chunks:
            rows = unit_rows(chunk, "chunks")
            covered = texts[len(store) : len(store) + len(rows)]
            if len(covered) < len(rows):
                raise ValueError(
                    f"chunks hold more rows than texts has ({len(texts)}): pass as many."
                )
            store.store(rows.astype(storage_dtype, copy=False), covered)
        if len(store) < len(texts):
            raise ValueError(f"chunks hold {len(store)} rows, texts has {len(texts)}: pass all.")
        return cls(store)

    def append(self, texts: Sequence[str], show_progress: bool | None = None) -> None:
        """Encode more texts and add them behind the present rows.

        Where it fails or is interrupted, the new rows are taken back; after a ``kill -9``,
        :meth:`encode` with old and new texts goes on where it was.

        Parameters
        ----------
        texts : sequence of str
            New texts of the root dataset.
        show_progress : bool or None, default=None
            A progress bar; None shows it on a terminal only.

        Raises
        ------
        ValueError
            If no encoder is known, or it is not the one of the present rows.
        """
        encoder, num_chunks = self._encoder(), len(self._store.chunks)
        try:
            _encode_into(self._store, _checked_texts(texts), encoder, show_progress)
        except BaseException:
            self._store.truncate(num_chunks)
            raise

    def search(
        self,
        query: str | Sequence[str] | ArrayLike,
        k: int = 10,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the texts nearest to a text or a vector, exactly.

        Parameters
        ----------
        query : str, sequence of str, or array_like of shape (d,) or (q, d)
            What to look for. Texts are encoded by the model of these embeddings.
        k : int, default=10
            Rows to return for each query; fewer where the pool is smaller.

        Returns
        -------
        ids : numpy.ndarray of int64, shape (k,) or (q, k)
            Rows, nearest first; one-dimensional for a single text or vector.
        distances : numpy.ndarray of float32, same shape
            Cosine distances in [0, 2].
        """
        from small_text_ext.pool.indexes import ExactIndex

        vectors = self.vectors_of(query)
        index = ExactIndex()
        index.build(self)
        ids, distances = index.search(vectors, k, return_distance=True)
        single = isinstance(query, str) or (np.ndim(query) == 1 and not _is_texts(query))
        return (ids[0], distances[0]) if single else (ids, distances)

    def vectors_of(
        self, query: str | Sequence[str] | ArrayLike, name: str = "query"
    ) -> NDArray[np.float32]:
        """Turn texts or vectors into unit rows of this space.

        Parameters
        ----------
        query : str, sequence of str, or array_like of shape (d,) or (q, d)
            Texts to encode, or vectors to check.
        name : str, default="query"
            How an error message calls it.

        Returns
        -------
        numpy.ndarray of float32, shape (q, d)
            Unit rows.

        Raises
        ------
        ValueError
            If vectors have another dimension, or texts are given and no encoder is known.
        """
        if isinstance(query, str):
            query = [query]
        if _is_texts(query):
            texts = _checked_texts(query)  # type: ignore[arg-type]
            return unit_rows(self._encoder().encode(texts), name)
        rows = unit_rows(np.atleast_2d(np.asarray(query)), name)
        if rows.shape[1] != self.shape[1]:
            raise ValueError(
                f"{name} has dimension {rows.shape[1]}, the embeddings have {self.shape[1]}: "
                "embed it with the model that embedded the pool."
            )
        return rows

    def texts_match(self, texts: Sequence[str]) -> bool | None:
        """Tell whether these are the texts behind the rows.

        Parameters
        ----------
        texts : sequence of str
            Texts in the order of the rows.

        Returns
        -------
        bool or None
            None where the texts behind the rows are not known.
        """
        if len(texts) != len(self):
            return False
        if any(entry["texts"] is None for entry in self._store.description["chunks"]):
            return None
        return self._store.first_difference(texts) is None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the chunks, by which an index file knows what it was built from."""
        return self._store.fingerprint

    @property
    def path(self) -> Path | None:
        """The folder; None where the rows are in memory alone."""
        return self._store.folder

    @property
    def chunks(self) -> tuple[NDArray[Any], ...]:
        """The chunks as stored, in row order: what an index reads without a copy."""
        return tuple(self._store.chunks)

    @property
    def chunk_hashes(self) -> list[str]:
        """The hashes that the fingerprint is made of, one for each chunk."""
        return self._store.chunk_hashes()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimensions."""
        return len(self), self._store.num_columns

    @property
    def ndim(self) -> int:
        """Two."""
        return 2

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """float32: the type of the rows handed out, whatever the storage."""
        return np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self._store)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for chunk in self._store.chunks:
            yield from chunk.astype(np.float32, copy=False)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:  # noqa: ANN401
        if isinstance(rows, tuple):
            return np.asarray(np.asarray(self)[rows])
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return self._store.between(start, stop)
            rows = np.arange(start, stop, step)
        positions = _positions(np.asarray(rows), len(self))
        found = self._store.gather(np.atleast_1d(positions))
        return np.asarray(found[0]) if positions.ndim == 0 else found

    def __array__(
        self,
        dtype: np.dtype[Any] | None = None,
        copy: bool | None = None,
    ) -> NDArray[Any]:
        if len(self._store.chunks) == 1:
            chunk, kind = self._store.chunks[0], dtype or np.float32
            # numpy 1 does not know copy=None.
            return np.asarray(chunk, kind) if copy is None else np.array(chunk, kind, copy=copy)
        if copy is False:
            raise ValueError("Chunked embeddings cannot be one array without a copy.")
        return self[:].astype(dtype or np.float32, copy=False)

    def __repr__(self) -> str:
        model = self._store.description["model"]
        return f"PoolEmbeddings(shape={self.shape}, model={model and model['name']!r})"

    def __getstate__(self) -> dict[str, Any]:
        # A loaded model is large and can be loaded again; its name is enough.
        model = self._model if isinstance(self._model, str) else None
        if self.path is None:
            return {"store": self._store, "model": model}
        return {"path": self.path, "fingerprint": self.fingerprint, "model": model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._model = state["model"]
        self._checked_encoder = None
        self._store = state["store"] if "store" in state else ChunkStore.read(state["path"])
        if "store" not in state and self.fingerprint != state["fingerprint"]:
            raise ValueError(
                f"{state['path']} holds vectors with fingerprint {self.fingerprint}, what was "
                f"saved worked on {state['fingerprint']}: restore the folder, or make the object "
                "again with PoolEmbeddings.open."
            )

    def _encoder(self) -> Encoder:
        """Return the encoder of the rows, checked to be theirs."""
        if self._checked_encoder is not None:
            return self._checked_encoder
        recorded = self._store.description["model"]
        model = self._model if self._model is not None else recorded and recorded["name"]
        if model is None:
            raise ValueError(
                "These embeddings do not know their encoder: pass model= to from_array or open."
            )
        encoder = Encoder(model, precision=self._store.description["precision"])
        present = encoder.identity()
        if recorded is not None and present["weights"] != recorded["weights"]:
            raise ValueError(
                f"model {present['name']!r} has other weights or settings ({present['weights']}) "
                f"than the encoder of the present rows ({recorded['weights']}): open these "
                "embeddings with the model that made them."
            )
        self._checked_encoder = encoder
        return encoder


def _encode_into(
    store: ChunkStore, texts: list[str], encoder: Encoder, show_progress: bool | None
) -> None:
    """Encode texts behind the rows of a store, one chunk at a time."""
    done, size = len(store), store.description["chunk_size"]
    dtype = np.dtype(store.description["storage_dtype"])
    store.announce(done + len(texts))
    with encoder.progress(done + len(texts), done, show_progress) as report:
        for start in range(0, len(texts), size):
            part = texts[start : start + size]
            rows = unit_rows(encoder.encode(part, report), "the encoder's output")
            store.store(rows.astype(dtype, copy=False), part)


def _is_texts(query: Any) -> bool:  # noqa: ANN401
    """Tell texts, in a list, an array or a column of a table, from vectors."""
    first = next(iter(query), None) if np.iterable(query) else None
    return isinstance(first, str)


def _positions(rows: NDArray[Any], num_rows: int) -> NDArray[np.int64]:
    if rows.dtype == bool and rows.shape == (num_rows,):
        return np.flatnonzero(rows)
    if not (np.issubdtype(rows.dtype, np.integer) or rows.size == 0):
        raise IndexError(f"{num_rows} embeddings cannot be indexed by {rows!r}.")
    positions = rows.astype(np.int64)
    outside = (positions < -num_rows) | (positions >= num_rows)
    if outside.any():
        raise IndexError(f"row {positions[outside][0]} of {num_rows} embeddings does not exist.")
    return np.where(positions < 0, positions + num_rows, positions)


def _checked_texts(texts: Sequence[str]) -> list[str]:
    if isinstance(texts, str):
        raise TypeError("texts is one string: pass a sequence of strings.")
    texts = list(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] is {text!r}: every text must be a string.")
    return texts


def _check_encode_arguments(texts: list[str], storage_dtype: str, chunk_size: int) -> None:
    if not texts:
        raise ValueError("texts is empty: pass at least one text.")
    if storage_dtype not in ("float32", "float16"):
        raise ValueError(f"storage_dtype is {storage_dtype!r}: pass 'float32' or 'float16'.")
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: pass at least 1.")


def _resumable(folder: Path | None, header: dict[str, Any], texts: list[str]) -> ChunkStore | None:
    """Return the store that this encode may go on with, where the folder holds one."""
    if folder is None or not ChunkStore.exists(folder):
        return None
    store = ChunkStore.read(folder)
    recorded = store.description
    for key in ("precision", "storage_dtype"):
        if recorded[key] != header[key]:
            raise ValueError(
                f"{folder} was encoded with {key}={recorded[key]!r}, not {header[key]!r}: encode "
                "into a new folder."
            )
    if recorded["model"] is None or recorded["model"]["weights"] != header["model"]["weights"]:
        raise ValueError(
            f"{folder} was encoded by {recorded['model']}, not by {header['model']}: encode into "
            "a new folder, or remove this one."
        )
    if len(store) > len(texts):
        raise ValueError(
            f"{folder} holds {len(store)} texts, {len(texts)} are given: open it with "
            "PoolEmbeddings.open, or encode into a new folder."
        )
    if (rows := store.first_difference(texts)) is not None:
        raise ValueError(
            f"{folder} holds vectors of other texts (first difference in rows {rows[0]} to "
            f"{rows[1]}): encode into a new folder, or remove this one."
        )
    return store
