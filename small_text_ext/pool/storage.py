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
        """SHA-256 of all vectors in order."""
        entries = self.description["chunks"]
        for entry, chunk in zip(entries, self.chunks, strict=True):
            if entry["vectors"] is None:  # in memory: hashed when somebody asks
                entry["vectors"] = hash_rows(chunk)
        return fingerprint_of(entry["vectors"] for entry in entries)

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
        self.description["num_texts"] = num_texts
        self._write_description()

    def store(self, rows: NDArray[Any], texts: Sequence[str]) -> None:
        """Add a chunk behind the others.

        Parameters
        ----------
        rows : numpy.ndarray, shape (n, d)
            Unit rows in the storage type.
        texts : sequence of str
            What they were made from.
        """
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
        self.description["chunks"].append(entry)
        self._write_description()
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
        owners = np.searchsorted(self.offsets, positions, side="right") - 1
        for owner in np.unique(owners):
            mine = owners == owner
            result[mine] = self.chunks[owner][positions[mine] - self.offsets[owner]]
        return result

    def _write_description(self) -> None:
        if self.folder is not None:
            write_json(self.folder / DESCRIPTION, self.description)


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
