from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext import ExactIndex, HNSWIndex, PoolEmbeddings
from small_text_ext.pool.indexes import LiveIndex
from small_text_ext.pool.storage import ChunkStore
from small_text_ext.pool.vectors import unit_rows

Vectors = NDArray[np.float32]
BUILDERS: dict[str, Callable[[], LiveIndex]] = {
    "exact": ExactIndex,
    "exact-small-blocks": lambda: ExactIndex(block_size=70),
    "exact-torch": lambda: ExactIndex(device="cpu", block_size=500),
    "hnsw": HNSWIndex,
}


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(12, 16))
    return unit_rows(centers[np.arange(300) % 12] + 0.4 * generator.normal(size=(300, 16)))


@pytest.fixture(params=BUILDERS)
def index(request: pytest.FixtureRequest) -> LiveIndex:
    return BUILDERS[request.param]()


def brute_force(vectors: Vectors, queries: Vectors, k: int) -> tuple[NDArray[np.int64], Vectors]:
    distances = 1 - queries @ vectors.T
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distances, order, axis=1)


def test_neighbours_and_distances_are_those_of_brute_force(
    index: LiveIndex, vectors: Vectors
) -> None:
    index.build(vectors)
    ids, distances = index.search(vectors[:20], k=9, return_distance=True)
    expected, expected_distances = brute_force(vectors, vectors[:20], 9)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_allclose(distances, expected_distances, atol=1e-5)
    assert distances.min() >= 0


def test_opposite_vectors_are_at_distance_two(index: LiveIndex) -> None:
    index.build(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 5.0]]))
    _, distances = index.search(np.array([[3.0, 0.0]]), k=3, return_distance=True)
    np.testing.assert_allclose(distances, [[0, 1, 2]], atol=1e-6)


def test_ids_are_ones_own(index: LiveIndex, vectors: Vectors) -> None:
    names = np.random.default_rng(1).permutation(1000)[:300]
    index.build(vectors, names)
    expected, _ = brute_force(vectors, vectors[:5], 4)
    np.testing.assert_array_equal(index.search(vectors[:5], k=4), names[expected])
    index.remove([names[expected[0, 0]]])
    assert index.search(vectors[:1], k=1)[0, 0] == names[expected[0, 1]]


def test_removed_rows_are_not_found_until_restored(index: LiveIndex, vectors: Vectors) -> None:
    index.build(vectors)
    gone = np.arange(0, 300, 2)
    index.remove(gone)
    index.remove(gone[:3])
    assert len(index) == 150
    ids = index.search(vectors[:10], k=6)
    left = np.arange(1, 300, 2)
    np.testing.assert_array_equal(ids, left[brute_force(vectors[left], vectors[:10], 6)[0]])
    index.restore(gone)
    np.testing.assert_array_equal(
        index.search(vectors[:10], k=6), brute_force(vectors, vectors[:10], 6)[0]
    )


@pytest.mark.parametrize("left", [0, 1, 3, 40])
def test_fewer_live_rows_than_neighbours(index: LiveIndex, vectors: Vectors, left: int) -> None:
    index.build(vectors)
    index.remove(np.arange(left, 300))
    ids, distances = index.search(vectors[250:253], k=50, return_distance=True)
    assert ids.shape == distances.shape == (3, left)
    assert all(sorted(row) == list(range(left)) for row in ids.tolist())
    assert (np.diff(distances, axis=1) >= 0).all()


def test_added_rows_are_found(index: LiveIndex, vectors: Vectors) -> None:
    index.build(vectors[:200])
    index.remove([5])
    index.add(np.arange(200, 300), vectors[200:])
    assert len(index) == 299
    live = np.delete(np.arange(300), 5)
    expected = live[brute_force(vectors[live], vectors[195:205], 4)[0]]
    np.testing.assert_array_equal(index.search(vectors[195:205], k=4), expected)
    with pytest.raises(ValueError, match="id 7 occurs twice"):
        index.add([7], vectors[:1])


def test_save_and_load_keep_what_was_removed(
    index: LiveIndex, vectors: Vectors, tmp_path: Path
) -> None:
    index.build(vectors, np.arange(300) + 50)
    index.remove(np.arange(50, 100))
    index.save(tmp_path / "index")
    loaded = type(index).load(tmp_path / "index", fingerprint=index.fingerprint)
    assert len(loaded) == 250
    ids, distances = index.search(vectors[:9], 7, True)
    loaded_ids, loaded_distances = loaded.search(vectors[:9], 7, True)
    np.testing.assert_array_equal(ids, loaded_ids)
    np.testing.assert_allclose(distances, loaded_distances, atol=1e-6)
    loaded.restore([50])
    assert loaded.search(vectors[:1], k=1)[0, 0] == 50
    assert not list(tmp_path.rglob("*.part"))


def test_load_refuses_other_vectors(index: LiveIndex, vectors: Vectors, tmp_path: Path) -> None:
    index.build(vectors)
    index.save(tmp_path)
    other = PoolEmbeddings.from_array(vectors[:100]).fingerprint
    with pytest.raises(ValueError, match=f"{index.fingerprint}, these have {other}: build it"):
        type(index).load(tmp_path, fingerprint=other)


def test_load_refuses_another_kind(vectors: Vectors, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"write one with HNSWIndex\.save"):
        HNSWIndex.load(tmp_path)
    index = ExactIndex()
    index.build(vectors)
    index.save(tmp_path)
    with pytest.raises(ValueError, match=r"holds a ExactIndex: use ExactIndex\.load"):
        HNSWIndex.load(tmp_path)


def test_fingerprint_is_that_of_the_embeddings(index: LiveIndex, vectors: Vectors) -> None:
    pool = PoolEmbeddings.from_array(vectors)
    index.build(pool)
    assert index.fingerprint == pool.fingerprint
    before = index.fingerprint
    index.add([300], vectors[:1])
    assert index.fingerprint != before


def test_pickle(index: LiveIndex, vectors: Vectors) -> None:
    index.build(vectors)
    index.remove(np.arange(20))
    index.search(vectors[:1], k=2)
    copy = pickle.loads(pickle.dumps(index))
    np.testing.assert_array_equal(copy.search(vectors[:9], k=5), index.search(vectors[:9], k=5))
    copy.restore([3])
    assert copy.search(vectors[3:4], k=1).tolist() == [[3]]
    assert str(copy) == str(index)


def test_bad_input_is_named(index: LiveIndex, vectors: Vectors) -> None:
    with pytest.raises(ValueError, match="call build"):
        index.search(vectors[:1])
    index.build(vectors)
    with pytest.raises(ValueError, match="dimension 15, the index holds vectors of dimension 16"):
        index.search(vectors[:1, :15])
    with pytest.raises(ValueError, match="dimension 15"):
        index.add([400], vectors[:1, :15])
    with pytest.raises(ValueError, match="id 999 is not in the index"):
        index.remove([3, 999])
    assert len(index) == 300
    with pytest.raises(ValueError, match="k is 0"):
        index.search(vectors[:1], k=0)
    with pytest.raises(ValueError, match="id 1 occurs twice"):
        index.build(vectors[:3], [1, 1, 2])
    with pytest.raises(ValueError, match="pass one id each"):
        index.build(vectors[:3], [1, 2])


def test_no_queries_give_no_rows(index: LiveIndex, vectors: Vectors) -> None:
    index.build(vectors)
    assert index.search(vectors[:0], k=5).shape == (0, 5)


def test_chunks_on_disk_in_half_precision(
    index: LiveIndex, vectors: Vectors, tmp_path: Path
) -> None:
    store = ChunkStore(
        {
            "format": 1,
            "model": None,
            "precision": "float32",
            "storage_dtype": "float16",
            "chunk_size": 90,
            "chunks": [],
        },
        tmp_path,
    )
    store.announce(300)
    for start in range(0, 300, 90):
        part = vectors[start : start + 90].astype(np.float16)
        store.store(part, [str(i) for i in range(start, start + len(part))])
    index.build(PoolEmbeddings.open(tmp_path))
    found = index.search(vectors[:40], k=1).ravel()
    np.testing.assert_array_equal(found, np.arange(40))


def test_equally_near_rows_that_are_found_come_in_row_order() -> None:
    index = ExactIndex()
    index.build(np.tile([[1.0, 0.0]], (6, 1)))
    assert index.search([[1.0, 0.0]], k=6).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_hnsw_sets_ef_again_after_loading(vectors: Vectors, tmp_path: Path) -> None:
    index = HNSWIndex(ef=123)
    index.build(vectors)
    index.save(tmp_path)
    loaded = HNSWIndex.load(tmp_path)
    assert loaded.index is not None
    assert loaded.index.ef == loaded.ef == 123


def test_hnsw_with_one_thread_builds_the_same_graph(vectors: Vectors, tmp_path: Path) -> None:
    for name in ("a", "b"):
        index = HNSWIndex()
        index.build(vectors)
        index.save(tmp_path / name)
    graphs = [(tmp_path / name / "graph.hnsw").read_bytes() for name in ("a", "b")]
    assert graphs[0] == graphs[1]


def test_hnsw_searches_exactly_where_the_graph_gives_up(vectors: Vectors) -> None:
    index = HNSWIndex(m=2, ef_construction=2, ef=2)
    index.build(vectors)
    assert index.index is not None
    with pytest.raises(RuntimeError):  # hnswlib alone
        index.index.knn_query(vectors[:1], k=300)
    ids = index.search(vectors[:2], k=300)
    np.testing.assert_array_equal(np.sort(ids, axis=1), np.tile(np.arange(300), (2, 1)))
    np.testing.assert_array_equal(ids[:, 0], [0, 1])


@pytest.mark.parametrize("arguments", [{"m": 1}, {"ef": 0}, {"ef_construction": -3}])
def test_hnsw_refuses_parameters_out_of_range(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="pass at least 2"):
        HNSWIndex(**arguments)


def test_exact_refuses_empty_blocks() -> None:
    with pytest.raises(ValueError, match="block_size is 0"):
        ExactIndex(block_size=0)


def test_an_index_that_grows_with_its_pool_stays_its_pools(
    index: LiveIndex, vectors: Vectors, tmp_path: Path
) -> None:
    store = ChunkStore(
        {
            "format": 1,
            "model": None,
            "precision": "float32",
            "storage_dtype": "float32",
            "chunk_size": 200,
            "num_texts": 300,
            "chunks": [],
        },
        tmp_path,
    )
    store.store(vectors[:200], [str(i) for i in range(200)])
    pool = PoolEmbeddings(store)
    index.build(pool)
    store.store(vectors[200:], [str(i) for i in range(200, 300)])
    index.add(np.arange(200, 300), vectors[200:])
    assert index.fingerprint == pool.fingerprint


def test_a_save_that_fails_leaves_no_index_that_loads(
    index: LiveIndex, vectors: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.build(vectors[:100])
    index.save(tmp_path)
    index.build(vectors)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr("small_text_ext.pool.indexes.write_json", fail)
        with pytest.raises(OSError, match="disk full"):
            index.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no index"):
        type(index).load(tmp_path)


def test_an_interrupted_graph_does_not_count_as_built(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = HNSWIndex()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(HNSWIndex, "_insert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            index.build(vectors)
    assert index.index is None


def test_a_graph_keeps_no_second_copy_of_the_vectors(vectors: Vectors) -> None:
    index = HNSWIndex()
    index.build(vectors)
    assert len(pickle.dumps(index)) < len(pickle.dumps(index.index)) + vectors.nbytes / 2


def test_other_errors_of_hnswlib_are_not_hidden(vectors: Vectors) -> None:
    index = HNSWIndex()
    index.build(vectors)

    class Broken:
        def knn_query(self, *_: object, **__: object) -> None:
            raise RuntimeError("out of memory")

    index._graph = Broken()
    with pytest.raises(RuntimeError, match="out of memory"):
        index.search(vectors[:1])
