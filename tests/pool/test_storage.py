from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from small_text_ext.pool.storage import DESCRIPTION, ChunkStore, hash_rows, hash_texts

DESCRIBED = {
    "format": 1,
    "model": None,
    "precision": "float32",
    "storage_dtype": "float32",
    "chunk_size": 4,
}


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, rows: np.ndarray) -> Path:
    store = ChunkStore({**DESCRIBED, "chunks": []}, tmp_path)
    store.announce(10)
    for start in range(0, 10, 4):
        part = rows[start : start + 4]
        store.store(part, [f"text {i}" for i in range(start, start + len(part))])
    return tmp_path


def test_text_hash_knows_boundaries_and_order() -> None:
    assert hash_texts(["ab", "c"]) != hash_texts(["a", "bc"])
    assert hash_texts(["a", "b"]) != hash_texts(["b", "a"])
    assert hash_texts(["a", ""]) != hash_texts(["a"])
    assert hash_texts(["\ud800 lone surrogate"]) == hash_texts(["\ud800 lone surrogate"])


def test_row_hash_knows_shape_and_type(rows: np.ndarray) -> None:
    assert hash_rows(rows) != hash_rows(rows.reshape(5, 6))
    assert hash_rows(rows) != hash_rows(rows.astype(np.float16))
    assert hash_rows(rows) == hash_rows(np.asfortranarray(rows))


def test_gather_reads_across_chunks_in_order(folder: Path, rows: np.ndarray) -> None:
    store = ChunkStore.read(folder)
    wanted = np.array([9, 0, 4, 4, 3])
    np.testing.assert_array_equal(store.gather(wanted), rows[wanted])
    assert [len(chunk) for chunk in store.chunks] == [4, 4, 2]


def test_reading_leaves_rows_on_disk(folder: Path) -> None:
    assert all(isinstance(chunk, np.memmap) for chunk in ChunkStore.read(folder).chunks)


def test_first_difference_names_the_rows(folder: Path) -> None:
    texts = [f"text {i}" for i in range(10)]
    assert ChunkStore.read(folder).first_difference(texts) is None
    texts[5] = "changed"
    assert ChunkStore.read(folder).first_difference(texts) == (4, 7)


def test_fingerprint_follows_the_vectors(folder: Path, rows: np.ndarray, tmp_path: Path) -> None:
    store = ChunkStore.read(folder)
    assert store.fingerprint == ChunkStore.read(folder).fingerprint
    other = ChunkStore({**DESCRIBED, "chunks": []}, tmp_path / "other")
    other.announce(4)
    other.store(rows[:4] + 1, [f"text {i}" for i in range(4)])
    assert other.fingerprint != store.fingerprint


def test_no_partial_file_is_left(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        DESCRIPTION,
        "chunk-000000.npy",
        "chunk-000001.npy",
        "chunk-000002.npy",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "does not describe embeddings"),
        ("[]", "does not describe embeddings"),
        ('{"format": 1}', "chunk_size"),
        (json.dumps({**DESCRIBED, "format": 7, "num_texts": 0, "chunks": []}), "has format 7"),
    ],
)
def test_a_foreign_description_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / DESCRIPTION).write_text(content)
    with pytest.raises(ValueError, match=message):
        ChunkStore.read(tmp_path)


def test_a_damaged_chunk_is_named(folder: Path) -> None:
    chunk = folder / "chunk-000001.npy"
    chunk.write_bytes(chunk.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"chunk-000001\.npy cannot be read"):
        ChunkStore.read(folder)


def test_a_chunk_of_another_size_is_named(folder: Path, rows: np.ndarray) -> None:
    np.save(folder / "chunk-000002.npy", rows)
    with pytest.raises(ValueError, match=r"chunk-000002\.npy has 10 rows"):
        ChunkStore.read(folder)


def test_a_failed_description_changes_nothing(
    folder: Path, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ChunkStore.read(folder)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("small_text_ext.pool.storage.write_json", fail)
        with pytest.raises(OSError, match="disk full"):
            store.store(rows[:4], ["a", "b", "c", "d"])
        with pytest.raises(OSError, match="disk full"):
            store.announce(99)
    assert len(store) == len(ChunkStore.read(folder)) == 10
    store.store(rows[:4], ["a", "b", "c", "d"])
    assert len(store) == len(ChunkStore.read(folder)) == 14
    np.testing.assert_array_equal(ChunkStore.read(folder).between(8, 12), store.between(8, 12))


def test_truncate_takes_back_chunks(folder: Path, rows: np.ndarray) -> None:
    store = ChunkStore.read(folder)
    store.truncate(2)
    assert len(store) == len(ChunkStore.read(folder)) == store.description["num_texts"] == 8
    np.testing.assert_array_equal(store.between(0, 8), rows[:8])


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (3, 9), (4, 8), (5, 5), (9, 10), (7, 3)])
def test_neighbouring_rows_are_read_across_chunks(
    folder: Path, rows: np.ndarray, start: int, stop: int
) -> None:
    np.testing.assert_array_equal(ChunkStore.read(folder).between(start, stop), rows[start:stop])


def test_rows_of_another_dimension_are_refused(folder: Path) -> None:
    store = ChunkStore.read(folder)
    with pytest.raises(ValueError, match="dimension 2, those that are there 3"):
        store.store(np.ones((1, 2), dtype=np.float32), ["x"])


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    (folder / ".chunk-000003.npy.abc.part").write_bytes(b"half")
    (folder / ".hnsw-1.abc.part").mkdir()  # somebody's build, still running
    ChunkStore.read(folder).clean()
    assert [path.name for path in folder.glob(".*")] == [".hnsw-1.abc.part"]
