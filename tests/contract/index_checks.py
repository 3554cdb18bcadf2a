"""What small-text and this house promise of a vector index, one function a promise."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext import PoolEmbeddings
from tests.contract.cases import IndexCase
from tests.contract.scenarios import NUM_DIMENSIONS, NUM_ROWS, clustered_vectors

Check = Callable[[IndexCase], None]
CHECKS: list[Check] = []
Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


def contract(check: Check) -> Check:
    """Add a check to those that run on every public index."""
    CHECKS.append(check)
    return check


def pool() -> Floats:
    """Return a writable copy of the vectors."""
    return np.array(clustered_vectors())


def queries(number: int = 20) -> Floats:
    """Return unit vectors that are not in the pool."""
    return np.array(clustered_vectors(NUM_ROWS, seed=5)[:number])


def nearest(vectors: Floats, ids: Ids, asked: Floats, k: int) -> tuple[Ids, Floats]:
    """Return the true neighbours by brute force, in double precision."""
    distances = 1.0 - asked.astype(np.float64) @ vectors.astype(np.float64).T
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return ids[order], np.take_along_axis(distances, order, axis=1).astype(np.float32)


def built(case: IndexCase, ids: Ids | None = None) -> Any:  # noqa: ANN401
    """Return an index of the whole pool."""
    index = case.build()
    index.build(pool(), ids)
    return index


def assert_finds(
    index: Any,  # noqa: ANN401
    case: IndexCase,
    vectors: Floats,
    ids: Ids,
    k: int = 10,
) -> None:
    """The index returns the true neighbours among these vectors, with true distances."""
    found, distances = index.search(queries(), k=k, return_distance=True)
    expected, _ = nearest(vectors, ids, queries(), k)
    assert found.shape == distances.shape == expected.shape
    assert np.isin(found, ids).all(), "an id was found that is not there"
    assert all(len(set(row)) == len(row) for row in found.tolist()), "an id was found twice"
    overlap = [len(np.intersect1d(a, b)) for a, b in zip(found, expected, strict=True)]
    assert np.mean(overlap) / expected.shape[1] >= case.recall
    assert (np.diff(distances, axis=1) >= 0).all(), "not sorted by distance"
    row_of = {int(id_): row for row, id_ in enumerate(ids)}
    rows = np.vectorize(row_of.__getitem__)(found)
    true = 1.0 - np.einsum("qd,qkd->qk", queries(), vectors[rows])
    np.testing.assert_allclose(distances, true, atol=2e-6)


@contract
def check_search(case: IndexCase) -> None:
    for k in (1, 10, 50):
        assert_finds(built(case), case, pool(), np.arange(NUM_ROWS), k)


@contract
def check_ids_of_ones_own(case: IndexCase) -> None:
    ids = np.random.default_rng(3).permutation(10 * NUM_ROWS)[:NUM_ROWS]
    assert_finds(built(case, ids), case, pool(), ids)


@contract
def check_pool_embeddings_are_vectors(case: IndexCase) -> None:
    index = case.build()
    index.build(PoolEmbeddings.from_array(pool()))
    assert_finds(index, case, pool(), np.arange(NUM_ROWS))


@contract
def check_types_and_ranges(case: IndexCase) -> None:
    index = case.build()
    index.build(np.concatenate([pool(), -pool()]))
    ids, distances = index.search(pool()[:5], k=2 * NUM_ROWS, return_distance=True)
    assert np.issubdtype(ids.dtype, np.integer)
    assert distances.dtype == np.float32
    assert distances.min() >= 0
    assert distances.max() <= 2
    assert distances.max() > 1.9
    np.testing.assert_allclose(distances[:, 0], 0, atol=1e-6)


@contract
def check_ids_alone(case: IndexCase) -> None:
    index = built(case)
    both = index.search(queries(), k=7, return_distance=True)
    np.testing.assert_array_equal(index.search(queries(), k=7), both[0])


@contract
def check_default_k_is_the_hosts(case: IndexCase) -> None:
    assert built(case).search(queries(3)).shape == (3, 10)


@contract
def check_lengths_do_not_matter(case: IndexCase) -> None:
    """Cosine looks at directions: vectors and queries of any length give the same answer."""
    index = case.build()
    scale = np.linspace(0.1, 30, NUM_ROWS, dtype=np.float32)[:, None]
    index.build(pool() * scale)
    assert_finds(index, case, pool(), np.arange(NUM_ROWS))
    np.testing.assert_array_equal(index.search(7 * queries(), k=3), index.search(queries(), k=3))


@contract
def check_remove_and_restore(case: IndexCase) -> None:
    ids = np.arange(NUM_ROWS) + 1000
    index = built(case, ids)
    before = index.search(queries(), k=10, return_distance=True)
    gone = np.unique(before[0])[::2]
    index.remove(gone)
    left = np.setdiff1d(ids, gone)
    assert_finds(index, case, pool()[left - 1000], left)
    index.remove(gone[:3])  # hiding what is hidden changes nothing
    index.restore(gone[:5])
    left = np.union1d(left, gone[:5])
    assert_finds(index, case, pool()[left - 1000], left)
    index.restore(gone)
    after = index.search(queries(), k=10, return_distance=True)
    np.testing.assert_array_equal(after[0], before[0])
    np.testing.assert_array_equal(after[1], before[1])


@contract
def check_add(case: IndexCase) -> None:
    index = case.build()
    index.build(pool()[:400], np.arange(400))
    index.remove([3, 5])
    index.add(np.arange(400, NUM_ROWS), pool()[400:])
    left = np.setdiff1d(np.arange(NUM_ROWS), [3, 5])
    assert_finds(index, case, pool()[left], left)
    index.restore([3, 5])
    assert_finds(index, case, pool(), np.arange(NUM_ROWS))


@contract
def check_a_second_build_starts_anew(case: IndexCase) -> None:
    index = built(case)
    index.remove(np.arange(100))
    index.build(pool()[:300])
    assert_finds(index, case, pool()[:300], np.arange(300))


@contract
def check_fewer_live_rows_than_asked_for(case: IndexCase) -> None:
    index = built(case)
    index.remove(np.arange(4, NUM_ROWS))
    ids, distances = index.search(queries(), k=10, return_distance=True)
    assert ids.shape == distances.shape == (20, 4)
    assert (np.sort(ids, axis=1) == np.arange(4)).all()
    assert_finds(index, case, pool()[:4], np.arange(4), k=4)
    index.remove(np.arange(4))
    ids, distances = index.search(queries(), k=10, return_distance=True)
    assert ids.shape == distances.shape == (20, 0)
    index.restore([17])
    assert (index.search(queries(), k=10) == 17).all()


@contract
def check_more_than_the_index_holds(case: IndexCase) -> None:
    index = case.build()
    index.build(pool()[:6])
    assert index.search(queries(), k=50).shape == (20, 6)


@contract
def check_single_vector(case: IndexCase) -> None:
    index = case.build()
    index.build(pool()[:1], np.array([41]))
    ids, distances = index.search(pool()[:1], k=3, return_distance=True)
    assert ids.tolist() == [[41]]
    np.testing.assert_allclose(distances, 0, atol=1e-6)


@contract
def check_equal_vectors(case: IndexCase) -> None:
    """Texts repeat; each copy is a row of its own."""
    index = case.build()
    index.build(np.repeat(pool()[:20], 5, axis=0))
    found = index.search(pool()[:3], k=5)
    assert [sorted(row) for row in found.tolist()] == [
        list(range(5 * row, 5 * row + 5)) for row in range(3)
    ]


@contract
def check_wrong_dimension(case: IndexCase) -> None:
    index = built(case)
    for width in (NUM_DIMENSIONS - 1, NUM_DIMENSIONS + 1):
        with pytest.raises(ValueError, match=str(width)):
            index.search(np.ones((2, width), dtype=np.float32), k=3)
        with pytest.raises(ValueError, match=str(width)):
            index.add([NUM_ROWS], np.ones((1, width), dtype=np.float32))


@contract
def check_bad_vectors(case: IndexCase) -> None:
    for value in (np.nan, np.inf, 0.0):
        bad = pool()
        bad[7] = value
        with pytest.raises(ValueError):
            case.build().build(bad)
        with pytest.raises(ValueError):
            built(case).search(bad[7:8], k=3)


@contract
def check_bad_ids(case: IndexCase) -> None:
    index = built(case)
    for call in (index.remove, index.restore):
        with pytest.raises(ValueError, match=str(NUM_ROWS + 1)):
            call([3, NUM_ROWS + 1])
    assert 3 in index.search(pool()[3:4], k=1), "a refused call removed a row"
    with pytest.raises(ValueError, match="3"):
        index.add([3], queries(1))
    with pytest.raises(ValueError):
        index.add([NUM_ROWS, NUM_ROWS], queries(2))
    with pytest.raises(ValueError):
        index.add([NUM_ROWS], queries(2))
    with pytest.raises(ValueError):
        case.build().build(pool(), np.zeros(NUM_ROWS, dtype=int))
    with pytest.raises(ValueError):
        case.build().build(pool(), np.arange(NUM_ROWS - 1))
    assert_finds(index, case, pool(), np.arange(NUM_ROWS))


@contract
def check_bad_k(case: IndexCase) -> None:
    for k in (0, -1):
        with pytest.raises(ValueError, match=str(k)):
            built(case).search(queries(), k=k)


@contract
def check_before_the_build(case: IndexCase) -> None:
    index = case.build()
    assert index.index is None
    for name, arguments in {
        "search": (queries(), 3),
        "remove": ([0],),
        "restore": ([0],),
        "add": ([0], queries(1)),
    }.items():
        with pytest.raises(ValueError, match="build"):
            getattr(index, name)(*arguments)
    assert built(case).index is not None


@contract
def check_save_and_load(case: IndexCase) -> None:
    ids = np.arange(NUM_ROWS)[::-1] * 3
    index = built(case, ids.copy())
    index.remove(ids[:50])
    expected = index.search(queries(), k=10, return_distance=True)
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        loaded = type(index).load(Path(folder) / "index")
        for found, wanted in zip(
            loaded.search(queries(), k=10, return_distance=True), expected, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
        loaded.restore(ids[:50])
        assert_finds(loaded, case, pool(), ids)
        loaded.add([1], queries(1))
        assert loaded.search(queries(1), k=1).item() == 1
        del loaded


@contract
def check_load_knows_its_vectors(case: IndexCase) -> None:
    embeddings = PoolEmbeddings.from_array(pool())
    index = case.build()
    index.build(embeddings)
    with tempfile.TemporaryDirectory() as folder:
        index.save(folder)
        type(index).load(folder, fingerprint=embeddings.fingerprint)
        other = PoolEmbeddings.from_array(pool()[::-1])
        with pytest.raises(ValueError, match=other.fingerprint) as error:
            type(index).load(folder, fingerprint=other.fingerprint)
        assert embeddings.fingerprint in str(error.value)


@contract
def check_load_of_nothing(case: IndexCase) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.raises(FileNotFoundError, match="save"),
    ):
        type(case.build()).load(folder)


@contract
def check_save_again_over_itself(case: IndexCase) -> None:
    """A loaded index may lie on the very files that a save replaces."""
    with tempfile.TemporaryDirectory() as folder:
        built(case).save(folder)
        loaded = type(case.build()).load(folder)
        loaded.remove(np.arange(100))
        loaded.save(folder)
        again = type(loaded).load(folder)
        assert_finds(again, case, pool()[100:], np.arange(100, NUM_ROWS))
        assert_finds(loaded, case, pool()[100:], np.arange(100, NUM_ROWS))


@contract
def check_pickle(case: IndexCase) -> None:
    index = built(case)
    index.remove(np.arange(100))
    expected = index.search(queries(), k=10)
    for copy in (pickle.loads(pickle.dumps(index)), dill.loads(dill.dumps(index))):
        np.testing.assert_array_equal(copy.search(queries(), k=10), expected)
        copy.restore(np.arange(100))
        assert_finds(copy, case, pool(), np.arange(NUM_ROWS))
    np.testing.assert_array_equal(index.search(queries(), k=10), expected)
    assert pickle.loads(pickle.dumps(case.build())).index is None


@contract
def check_inputs_are_unchanged(case: IndexCase) -> None:
    vectors, ids, asked = pool() * 2, np.arange(NUM_ROWS), queries() * 3
    arrays: list[NDArray[Any]] = [vectors, ids, asked]
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    index = case.build()
    index.build(vectors, ids)
    index.search(asked, k=3)
    index.remove(ids[:3])
    index.restore(ids[:3])
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@contract
def check_callers_arrays_are_not_kept(case: IndexCase) -> None:
    """Whoever reuses the arrays of a build, or of a result, does not change the index."""
    vectors, ids = pool(), np.arange(NUM_ROWS)
    index = case.build()
    index.build(vectors, ids)
    vectors[:], ids[:] = vectors[::-1].copy(), -5
    assert_finds(index, case, pool(), np.arange(NUM_ROWS))
    found, distances = index.search(queries(), k=5, return_distance=True)
    found[:], distances[:] = -1, -1
    assert_finds(index, case, pool(), np.arange(NUM_ROWS))


@contract
def check_two_builds_agree(case: IndexCase) -> None:
    np.testing.assert_array_equal(
        built(case).search(queries(), k=10), built(case).search(queries(), k=10)
    )


@contract
def check_str(case: IndexCase) -> None:
    index = case.build()
    text = str(index)
    assert text.startswith(f"{type(index).__name__}(")
    assert " at 0x" not in text
    assert str(built(case)) == text


def replay(case: IndexCase) -> list[list[int]]:
    """Return what a fresh process must repeat."""
    index = built(case)
    index.remove(np.arange(50))
    found: list[list[int]] = index.search(queries(), k=10).tolist()
    return found
