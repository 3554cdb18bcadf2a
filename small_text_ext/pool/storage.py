"""Chunks of rows on disk or in memory, beside one description of what they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from small_text_ext._files import write_json, write_whole

DESCRIPTION = "embeddings.json"
FORMAT = 1


def hash_texts(texts: Sequence[str]) -> str:
    """Fingerprint a sequence of texts: order, boundaries and every character count.

    Parameters
    ----------
    texts : sequence of str
        The texts.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    digest = hashlib.sha256(np.array([len(text) for text in encoded], dtype="<i8").tobytes())
    digest.update(b"".join(encoded))
    return digest.hexdigest()


def hash_rows(rows: NDArray[Any]) -> str:
    """Fingerprint a matrix: shape, type and every byte count.

    Parameters
    ----------
    rows : numpy.ndarray
        The matrix.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256(f"{rows.dtype.str}{rows.shape}".encode())
    digest.update(np.ascontiguousarray(rows).data)
    return digest.hexdigest()


def fingerprint_of(chunk_hashes: Iterable[str]) -> str:
    """Fingerprint a matrix that is kept in chunks.

    Parameters
    ----------
    chunk_hashes : iterable of str
        The :func:`hash_rows` of its chunks, in row order.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for chunk_hash in chunk_hashes:
        digest.update(chunk_hash.encode())
    return digest.hexdigest()


class ChunkStore:
    """Rows in chunks, and the description that says where each chunk came from.

    On disk, a chunk counts once the description (written after it, whole or not at all) names the
    hash of its vectors: whatever an interruption leaves behind it is written again.

    Parameters
    ----------
    description : dict
        Format, encoder, arithmetic and storage type, chunk size, number of texts, and one entry a
        chunk: ``file``, ``rows``, ``texts`` (hash or None) and ``vectors`` (hash or None).
    folder : pathlib.Path or None, default=None
        Where the chunks are kept; None keeps them in memory.
    chunks : sequence of numpy.ndarray, default=()
        The chunks, where they are not read from the folder.
    """

    def __init__(
        self,
        description: dict[str, Any],
        folder: Path | None = None,
        chunks: Sequence[NDArray[Any]] = (),
    ) -> None:
        self.description = description
        self.folder = folder
        self.chunks = list(chunks)
        self.offsets = np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks])])
        self.offsets = self.offsets.astype(np.int64)

    @staticmethod
    def exists(folder: Path) -> bool:
        """Tell whether a folder holds embeddings, finished or not.

        Parameters
        ----------
        folder : pathlib.Path
            The folder.

        Returns
        -------
        bool
            Whether :meth:`read` would find a description.
        """
        return (folder / DESCRIPTION).exists()

    @classmethod
    def read(cls, folder: Path) -> ChunkStore:
        """Open what a folder holds so far.

        Parameters
        ----------
        folder : pathlib.Path
            The folder.

        Returns
        -------
        ChunkStore
            Its finished chunks, memory-mapped.

        Raises
        ------
        FileNotFoundError
            If it holds no embeddings.
        ValueError
            If a file is damaged.
        """
        description = _read_description(folder)
        chunks = [_read_chunk(folder, entry) for entry in description["chunks"]]
        return cls(description, folder, chunks)

    def __len__(self) -> int:
        return int(self.offsets[-1])

    @property
    def num_columns(self) -> int:
        """Dimensions of a row; zero as long as there is none."""
        return int(self.chunks[0].shape[1]) if self.chunks else 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the hashes of all chunks in order: where chunks begin counts."""
        return fingerprint_of(self.chunk_hashes())

    def chunk_hashes(self) -> list[str]:
        """Return the :func:`hash_rows` of every chunk.

        Returns
        -------
        list of str
            In row order; those of chunks in memory are computed at the first call.
        """
        entries = self.description["chunks"]
        for entry, chunk in zip(entries, self.chunks, strict=True):
            if entry["vectors"] is None:
                entry["vectors"] = hash_rows(chunk)
        return [entry["vectors"] for entry in entries]

    def first_difference(self, texts: Sequence[str]) -> tuple[int, int] | None:
        """Find the first chunk that was not made from these texts.

        Parameters
        ----------
        texts : sequence of str
            Texts in row order, at least as many as there are rows.

        Returns
        -------
        tuple of int or None
            First and last row of that chunk; None where every chunk agrees.
        """
        for position, entry in enumerate(self.description["chunks"]):
            start, stop = int(self.offsets[position]), int(self.offsets[position + 1])
            if hash_texts(texts[start:stop]) != entry["texts"]:
                return start, stop - 1
        return None

    def announce(self, num_texts: int) -> None:
        """Say in the description how many texts there will be, before the first is stored.

        Parameters
        ----------
        num_texts : int
            All texts, those that are stored included.
        """
        self._describe({**self.description, "num_texts": num_texts})

    def truncate(self, num_chunks: int) -> None:
        """Take back the chunks behind the first so many, and what was announced for them.

        Parameters
        ----------
        num_chunks : int
            Chunks to keep.
        """
        del self.chunks[num_chunks:]
        self.offsets = self.offsets[: num_chunks + 1]
        kept = self.description["chunks"][:num_chunks]
        self._describe({**self.description, "chunks": kept, "num_texts": len(self)})

    def store(self, rows: NDArray[Any], texts: Sequence[str]) -> None:
        """Add a chunk behind the others.

        Parameters
        ----------
        rows : numpy.ndarray, shape (n, d)
            Unit rows in the storage type.
        texts : sequence of str
            What they were made from.

        Raises
        ------
        ValueError
            If the rows have another dimension than those that are there.
        """
        if self.chunks and rows.shape[1] != self.num_columns:
            raise ValueError(
                f"the new vectors have dimension {rows.shape[1]}, those that are there "
                f"{self.num_columns}: encode them with the same model and settings."
            )
        entry: dict[str, Any] = {
            "file": None,
            "rows": len(rows),
            "texts": hash_texts(texts),
            "vectors": hash_rows(rows),
        }
        if self.folder is not None:
            entry["file"] = f"chunk-{len(self.chunks):06d}.npy"
            write_whole(self.folder / entry["file"], lambda file: np.save(file, rows))
            rows = _read_chunk(self.folder, entry)
        self._describe({**self.description, "chunks": [*self.description["chunks"], entry]})
        self.chunks.append(rows)
        self.offsets = np.append(self.offsets, len(self) + len(rows))

    def gather(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read rows by position.

        Parameters
        ----------
        positions : numpy.ndarray of int64, shape (m,)
            Rows, each in [0, n).

        Returns
        -------
        numpy.ndarray of float32, shape (m, d)
            The rows, in the order asked for.
        """
        result = np.empty((len(positions), self.num_columns), dtype=np.float32)
        order = np.argsort(positions, kind="stable")
        bounds = np.searchsorted(positions[order], self.offsets)
        for number in np.flatnonzero(np.diff(bounds)):
            mine = order[bounds[number] : bounds[number + 1]]
            result[mine] = self.chunks[number][positions[mine] - self.offsets[number]]
        return result

    def between(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read neighbouring rows.

        Parameters
        ----------
        start, stop : int
            First row and the one behind the last, in [0, n].

        Returns
        -------
        numpy.ndarray of float32, shape (stop - start, d)
            A copy of the rows.
        """
        result = np.empty((max(stop - start, 0), self.num_columns), dtype=np.float32)
        for chunk, offset in zip(self.chunks, self.offsets[:-1].tolist(), strict=True):
            low, high = max(start - offset, 0), min(stop - offset, len(chunk))
            if low < high:
                result[low + offset - start : high + offset - start] = chunk[low:high]
        return result

    def clean(self) -> None:
        """Remove the partial files that a killed process has left."""
        for pattern in (".chunk-*.part", f".{DESCRIPTION}.*.part"):
            for left in self.folder.glob(pattern) if self.folder is not None else ():
                left.unlink(missing_ok=True)

    def _describe(self, description: dict[str, Any]) -> None:
        """Put the description on disk, then in memory: both agree whatever fails."""
        if self.folder is not None:
            write_json(self.folder / DESCRIPTION, description)
        self.description = description


def _read_description(folder: Path) -> dict[str, Any]:
    file = folder / DESCRIPTION
    if not file.exists():
        raise FileNotFoundError(
            f"{folder} has no {DESCRIPTION}: fill it with PoolEmbeddings.encode."
        )
    try:
        description: dict[str, Any] = json.loads(file.read_text("utf-8"))
        kind = description["format"]
        complete = {"chunks", "num_texts", "model", "precision", "storage_dtype", "chunk_size"}
        if missing := complete - description.keys():
            raise KeyError(*sorted(missing))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file} does not describe embeddings ({error!r}): remove the folder, encode again."
        ) from error
    if kind != FORMAT:
        raise ValueError(f"{file} has format {kind}, this version reads {FORMAT}: encode again.")
    return description


def _read_chunk(folder: Path, entry: dict[str, Any]) -> NDArray[Any]:
    file = folder / entry["file"]
    try:
        rows: NDArray[Any] = np.load(file, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{file} cannot be read ({error}): remove the folder and encode again."
        ) from error
    if len(rows) != entry["rows"]:
        raise ValueError(
            f"{file} has {len(rows)} rows, {DESCRIPTION} says {entry['rows']}: remove the folder "
            "and encode again."
        )
    return rows
