from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_text.vector_indexes import HNSWIndex as HostHNSWIndex
from small_text.vector_indexes import KNNIndex

from small_text_ext import ExactIndex, HNSWIndex, PoolEmbeddings
from small_text_ext._extras import MissingExtraError
from small_text_ext.pool.search import PoolSearch
from small_text_ext.pool.storage import ChunkStore


@pytest.fixture(scope="module")
def pool() -> PoolEmbeddings:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(10, 12))
    return PoolEmbeddings.from_array(
        centers[np.arange(200) % 10] + 0.4 * generator.normal(size=(200, 12))
    )


def expected(pool: PoolEmbeddings, live: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    rows = np.flatnonzero(live)
    order = np.argsort(-(pool[:6] @ pool[rows].T), axis=1, kind="stable")[:, :k]
    return rows[order]


MAKERS = {
    "exact-by-name": lambda: "exact",
    "hnsw-by-name": lambda: "hnsw",
    "exact": ExactIndex,
    "hnsw": HNSWIndex,
    "host-knn": KNNIndex,
    "host-hnsw": HostHNSWIndex,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_any_index_is_kept_in_step(pool: PoolEmbeddings, kind: str) -> None:
    index: Any = MAKERS[kind]()
    search = PoolSearch(pool, index)
    generator = np.random.default_rng(3)
    for share in (1.0, 0.7, 0.9, 0.2, 1.0):
        live = generator.random(200) < share
        rows, distances = search.nearest(pool[:6], 7, live)
        np.testing.assert_array_equal(rows, expected(pool, live, 7))
        similarities = np.einsum("qd,qkd->qk", pool[:6], pool[rows.ravel()].reshape(6, 7, -1))
        np.testing.assert_allclose(distances, 1 - similarities, atol=1e-5)


def test_nothing_live_finds_nothing(pool: PoolEmbeddings) -> None:
    rows, distances = PoolSearch(pool).nearest(pool[:3], 5, np.zeros(200, dtype=bool))
    assert rows.shape == distances.shape == (3, 0)


def test_an_index_that_was_built_before_is_used(pool: PoolEmbeddings) -> None:
    index = ExactIndex()
    index.build(pool)
    index.remove([1, 2])
    live = np.ones(200, dtype=bool)
    rows, _ = PoolSearch(pool, index).nearest(pool[:6], 4, live)
    np.testing.assert_array_equal(rows, expected(pool, live, 4))


def test_an_index_of_other_vectors_is_refused(pool: PoolEmbeddings) -> None:
    index = ExactIndex()
    index.build(np.asarray(pool)[::-1])
    search = PoolSearch(pool, index)
    with pytest.raises(ValueError, match=f"{index.fingerprint}, the embeddings have"):
        search.nearest(pool[:1], 4, np.ones(200, dtype=bool))


def on_disk(pool: PoolEmbeddings, folder: Path) -> PoolEmbeddings:
    store = ChunkStore(
        {
            "format": 1,
            "model": None,
            "precision": "float32",
            "storage_dtype": "float32",
            "chunk_size": 64,
            "chunks": [],
        },
        folder,
    )
    store.announce(len(pool))
    for start in range(0, len(pool), 64):
        part = pool[start : start + 64]
        store.store(part, [str(i) for i in range(start, start + len(part))])
    return PoolEmbeddings.open(folder)


def test_the_graph_is_kept_beside_the_embeddings(
    pool: PoolEmbeddings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, live = on_disk(pool, tmp_path), np.arange(200) % 3 > 0
    first, _ = PoolSearch(stored, "hnsw").nearest(pool[:6], 5, live)
    assert len(list(tmp_path.glob("hnsw-*/graph.hnsw"))) == 1
    monkeypatch.setattr(HNSWIndex, "build", lambda *_: pytest.fail("it built again"))
    again, _ = PoolSearch(PoolEmbeddings.open(tmp_path), "hnsw").nearest(pool[:6], 5, live)
    np.testing.assert_array_equal(first, again)


def test_pickle_drops_what_can_be_made_again(pool: PoolEmbeddings, tmp_path: Path) -> None:
    stored, live = on_disk(pool, tmp_path), np.arange(200) % 3 > 0
    search = PoolSearch(stored, "hnsw")
    before, _ = search.nearest(pool[:6], 5, live)
    data = pickle.dumps(search)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).nearest(pool[:6], 5, live)[0], before)


def test_pickle_keeps_an_index_that_was_given(pool: PoolEmbeddings) -> None:
    search, live = PoolSearch(pool, HNSWIndex()), np.arange(200) % 3 > 0
    before, _ = search.nearest(pool[:6], 5, live)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(search)).nearest(pool[:6], 5, live)[0], before
    )


def test_a_pool_that_has_grown_is_indexed_anew(pool: PoolEmbeddings, tmp_path: Path) -> None:
    stored = on_disk(pool, tmp_path)
    search = PoolSearch(stored)
    search.nearest(pool[:1], 3, np.ones(200, dtype=bool))
    stored._store.announce(201)
    stored._store.store(pool[:1], ["copy of the first"])
    rows, _ = search.nearest(pool[:1], 2, np.ones(201, dtype=bool))
    assert rows.tolist() == [[0, 200]]


@pytest.mark.parametrize(
    ("index", "error"), [("annoy", ValueError), (3, TypeError), (ExactIndex, TypeError)]
)
def test_another_index_is_refused(
    pool: PoolEmbeddings,
    index: Any,  # noqa: ANN401
    error: type[Exception],
) -> None:
    with pytest.raises(error, match="pass 'exact', 'hnsw' or a VectorIndex"):
        PoolSearch(pool, index)


def test_an_index_without_its_package_is_refused_before_the_first_search(
    pool: PoolEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "hnswlib", None)
    with pytest.raises(MissingExtraError, match=r"small-text-ext\[hnsw\]"):
        PoolSearch(pool, "hnsw")
    PoolSearch(pool, "exact")


@pytest.mark.parametrize("make", [ExactIndex, HNSWIndex])
def test_one_index_serves_two_strategies(pool: PoolEmbeddings, make: Any) -> None:  # noqa: ANN401
    index = make()
    first, second = PoolSearch(pool, index), PoolSearch(pool, index)
    everything, half = np.ones(200, dtype=bool), np.arange(200) >= 100
    for search, live in ((first, everything), (second, half), (first, everything), (second, half)):
        rows, _ = search.nearest(pool[:6], 5, live)
        np.testing.assert_array_equal(rows, expected(pool, live, 5))


@pytest.mark.parametrize("kind", MAKERS)
def test_any_index_follows_a_pool_that_grows(
    pool: PoolEmbeddings, tmp_path: Path, kind: str
) -> None:
    make: Any = MAKERS[kind]
    stored = on_disk(pool, tmp_path)
    search = PoolSearch(stored, make())
    search.nearest(pool[:1], 3, np.ones(200, dtype=bool))
    stored._store.announce(201)
    stored._store.store(pool[:1], ["copy of the first"])
    rows, _ = search.nearest(pool[:1], 2, np.ones(201, dtype=bool))
    assert set(rows[0].tolist()) == {0, 200}
    assert len(list(tmp_path.glob("hnsw-*"))) <= 1


def test_an_index_with_ids_of_its_own_is_refused(pool: PoolEmbeddings) -> None:
    index = ExactIndex()
    index.build(pool, np.random.default_rng(0).permutation(200))
    with pytest.raises(ValueError, match="ids of its own: build it with"):
        PoolSearch(pool, index).nearest(pool[:1], 4, np.ones(200, dtype=bool))


def test_a_small_part_is_searched_by_itself(pool: PoolEmbeddings) -> None:
    index = HNSWIndex()
    search = PoolSearch(pool, index)
    live = np.arange(200) % 40 == 1
    rows, _ = search.nearest(pool[:6], 3, live)
    np.testing.assert_array_equal(rows, expected(pool, live, 3))
    assert index.index is None


def test_processes_that_build_at_once_agree(pool: PoolEmbeddings, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    on_disk(pool, tmp_path)
    live = np.ones(200, dtype=bool)

    def search(_: int) -> NDArray[np.int64]:
        own = PoolSearch(PoolEmbeddings.open(tmp_path), "hnsw")
        return own.nearest(pool[:6], 5, live)[0]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(search, range(4)))
    for rows in found:
        np.testing.assert_array_equal(rows, expected(pool, live, 5))
    assert len(list(tmp_path.glob("hnsw-*/index.json"))) == 1
    assert not list(tmp_path.glob(".hnsw-*"))


def test_a_stored_pool_is_not_in_the_pickle_of_a_given_index(
    pool: PoolEmbeddings, tmp_path: Path
) -> None:
    stored, live = on_disk(pool, tmp_path), np.arange(200) % 3 > 0
    search = PoolSearch(stored, ExactIndex(block_size=500))
    before, _ = search.nearest(pool[:6], 5, live)
    data = pickle.dumps(search)
    assert len(data) < 8000 < pool[:].nbytes
    copy = pickle.loads(data)
    np.testing.assert_array_equal(copy.nearest(pool[:6], 5, live)[0], before)
    assert isinstance(copy.given, ExactIndex)
    assert copy.given.fingerprint == stored.fingerprint
