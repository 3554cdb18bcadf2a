from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from numpy.typing import NDArray

from small_text_ext._random import derived_generator
from small_text_ext.pool import distances
from small_text_ext.pool.distances import RowBlocks
from small_text_ext.pool.embeddings import PoolEmbeddings
from small_text_ext.query_strategies import k_center
from small_text_ext.query_strategies.joint_scores import ClassBalance, Weight
from small_text_ext.query_strategies.k_center import k_center_greedy
from tests.query_strategies.plain_selection import (
    greedy,
    in_chunks,
    random_pool,
    spread_of,
    squared_distances,
)


def order_of(pool: PoolEmbeddings, seed: int = 0) -> NDArray[np.int64]:
    return derived_generator(seed).permutation(len(pool))


def task(seed: int, with_ties: bool = False) -> tuple[PoolEmbeddings, list[int], int]:
    """Return a small pool, some selected rows (every third time none), and a number of picks."""
    generator = np.random.default_rng([seed, with_ties])
    pool = random_pool(generator, with_ties)
    num_selected = 0 if seed % 3 == 0 else int(generator.integers(1, len(pool) - 1))
    selected = generator.choice(len(pool), num_selected, replace=False).tolist()
    return pool, selected, int(generator.integers(1, len(pool) - num_selected + 1))


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make most rows of a small pool out of date between two passes."""
    monkeypatch.setattr(k_center, "_PENDING", 3)
    monkeypatch.setattr(k_center, "_ACTIVE", 5)


def check_farthest_first(seed: int, with_ties: bool) -> None:
    pool, selected, n = task(seed, with_ties)
    exact = squared_distances(pool)
    # Nearer than single precision can tell is a duplicate there.
    known = {"float64": exact, "float32": np.where(exact < 4e-6, 0.0, exact)}
    precisions: tuple[Any, ...] = ("float64",) if with_ties else ("float32", "float64")
    for precision in precisions:
        expected = greedy(known[precision], n, selected, lambda near, _: near, order_of(pool))
        picks = k_center_greedy(pool, n, selected, precision=precision)
        assert picks.tolist() == expected


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("with_ties", [False, True])
def test_it_is_farthest_first(with_ties: bool) -> None:
    for seed in range(100):
        check_farthest_first(seed, with_ties)


@pytest.mark.usefixtures("small_blocks")
def test_it_is_farthest_first_whatever_hypothesis_finds() -> None:
    drawn = hypothesis.strategies.integers(0, 2**31)

    @hypothesis.settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @hypothesis.given(drawn, hypothesis.strategies.booleans())
    def check(seed: int, with_ties: bool) -> None:
        check_farthest_first(seed, with_ties)

    check()


def test_blocks_change_nothing() -> None:
    """More picks than fit between two passes, more rows than are kept up to date."""
    generator = np.random.default_rng(3)
    pool = PoolEmbeddings.from_array(generator.normal(size=(700, 8)))
    rows = np.array(pool, dtype=np.float64)
    nearest = (2 - 2 * rows @ rows[:5].T).min(axis=1)
    expected: list[int] = []
    for _ in range(300):
        nearest[[0, 1, 2, 3, 4, *expected]] = -1
        expected.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, 2 - 2 * rows @ rows[expected[-1]])
    assert k_center_greedy(pool, 300, range(5)).tolist() == expected


@pytest.mark.parametrize(
    ("strength", "exponent"), [(1, 1), (2, 0.5), (0, 3), (1, -2), (-1, 1), (0.5, 0), (1, 1e3)]
)
@pytest.mark.usefixtures("small_blocks")
def test_product_is_distance_times_weight(strength: float, exponent: float) -> None:
    for seed in range(12):
        pool, selected, n = task(seed)
        weights = np.random.default_rng(seed).uniform(0.5, 1, size=len(pool))
        expected = greedy(
            squared_distances(pool),
            n,
            selected,
            lambda squared, _, w=weights: np.sqrt(squared) ** strength * w**exponent,  # type: ignore[misc]
            order_of(pool),
        )
        weight = Weight(weights, exponent)
        picks = k_center_greedy(pool, n, selected, weight, strength=strength, precision="float64")
        assert picks.tolist() == expected


@pytest.mark.parametrize(
    ("strength", "exponent"), [(1, 1), (2, 0.5), (0, 3), (1, -2), (-1, 1), (0.5, 0)]
)
@pytest.mark.usefixtures("small_blocks")
def test_objective_is_the_rule_of_the_engine(strength: float, exponent: float) -> None:
    for seed in range(12):
        pool, selected, n = task(seed)
        weights = np.random.default_rng(seed).uniform(0.5, 1, size=len(pool))
        squared = squared_distances(pool)

        def score(
            nearest: NDArray[np.float64],
            members: list[int],
            squared: NDArray[np.float64] = squared,
            weights: NDArray[np.float64] = weights,
        ) -> NDArray[np.float64]:
            diversity = (spread_of(squared, members) + nearest) ** strength
            return np.asarray(diversity * (weights[members].sum() + weights) ** exponent)

        picks = k_center_greedy(
            pool,
            n,
            selected,
            Weight(weights, exponent),
            combine="objective",
            strength=strength,
            precision="float64",
        )
        assert picks.tolist() == greedy(squared, n, selected, score, order_of(pool))


@pytest.mark.parametrize("strength", [60.0, 400.0])
def test_large_strengths_of_the_objective_neither_overflow_nor_tie(strength: float) -> None:
    """The logarithms of the scores decide; the scores themselves have no floating-point numbers."""
    generator = np.random.default_rng(0)
    pool = PoolEmbeddings.from_array(generator.normal(size=(300, 6)))
    weights, squared = generator.uniform(0.5, 1, size=300), squared_distances(pool)
    selected = list(range(200))

    def score(nearest: NDArray[np.float64], members: list[int]) -> NDArray[np.float64]:
        diversity = np.log(spread_of(squared, members) + nearest)
        return np.asarray(strength * (diversity + np.log(weights[members].sum() + weights)))

    for seed in (0, 1):
        picks = k_center_greedy(
            pool,
            20,
            selected,
            Weight(weights, strength),
            combine="objective",
            strength=strength,
            precision="float64",
            seed=seed,
        )
        assert picks.tolist() == greedy(squared, 20, selected, score, order_of(pool, seed))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("joined", [False, True])
def test_picks_are_those_of_lightly_mundig(joined: bool) -> None:
    """Its sums are of single precision: where two rows are all but equal, it may take the other."""
    mundig = pytest.importorskip("lightly_mundig", reason="lightly-mundig is not installed")
    for seed in range(1, 60):
        pool, selected, n = task(seed)
        selected = selected or [0]  # without any, the engine starts at the first row
        n = min(n, len(pool) - len(selected))
        weights = np.random.default_rng(seed).uniform(0.5, 1, size=len(pool))
        strength, exponent = (float((-1, 0.5, 1, 2)[seed % 4]), 2.0) if joined else (1.0, 0.0)
        engine = mundig.Selection()
        engine.add_diversifying_strategy(np.array(pool).tolist(), strength)
        if joined:
            engine.add_weighting_strategy(weights.tolist(), exponent)
        found = engine.run_selection(selected, len(pool), n + len(selected))
        theirs = [row for row in found if row not in selected]
        terms = [Weight(weights, exponent)] if joined else None
        ours = k_center_greedy(
            pool, n, selected, terms, combine="objective", strength=strength, precision="float64"
        ).tolist()
        if ours != theirs:
            differ = next(i for i in range(n) if ours[i] != theirs[i])
            members = [*selected, *ours[:differ]]
            nearest = squared_distances(pool)[:, members].min(axis=1)
            assert not joined
            assert 0 <= nearest[ours[differ]] - nearest[theirs[differ]] < 1e-4


def test_one_run_serves_every_smaller_budget() -> None:
    pool, weights = PoolEmbeddings.from_array(np.eye(40) + 0.1), np.linspace(0.1, 1, 40)
    for combine in ("product", "objective"):
        many = k_center_greedy(pool, 30, [3], weights, combine=combine)
        few = k_center_greedy(pool, 7, [3], weights, combine=combine)
        assert many[:7].tolist() == few.tolist()


def test_a_bar_counts_the_picks(capsys: pytest.CaptureFixture[str]) -> None:
    vectors = np.random.default_rng(3).normal(size=(300, 6))
    shown = k_center_greedy(vectors, 200, [0], show_progress=True)
    assert "200/200" in capsys.readouterr().err
    assert shown.tolist() == k_center_greedy(vectors, 200, [0]).tolist()
    assert capsys.readouterr().err == ""


def test_the_seed_decides_between_equals_alone() -> None:
    ties = np.eye(8)
    assert len({k_center_greedy(ties, 1, seed=seed)[0] for seed in range(20)}) > 3
    assert k_center_greedy(ties, 8, seed=3).tolist() == k_center_greedy(ties, 8, seed=3).tolist()
    different = np.random.default_rng(0).normal(size=(30, 4))
    assert len({tuple(k_center_greedy(different, 20, [1], seed=seed)) for seed in range(5)}) == 1


def test_duplicates_come_last() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 64))
    twice = np.concatenate([vectors, vectors])
    picks = k_center_greedy(twice, 40)
    assert set(picks[:20] % 20) == set(range(20))
    assert k_center_greedy(twice, 40, minimum_distance=1e-2).tolist() == picks[:20].tolist()


def test_it_stops_at_a_minimum_distance() -> None:
    angles = np.radians([0, 5, 40, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert k_center_greedy(vectors, 3, [0]).tolist() == [3, 2, 1]
    assert k_center_greedy(vectors, 3, [0], minimum_distance=0.1).tolist() == [3, 2]
    near_but_heavy = [1.0, 1e6, 1.0, 1.0]
    picks = k_center_greedy(vectors, 3, [0], near_but_heavy, minimum_distance=0.1)
    assert picks.tolist() == [3, 2]


def test_limits_come_before_everything() -> None:
    vectors = np.random.default_rng(1).normal(size=(30, 3))
    weight = Weight(np.arange(30.0), at_least=10, at_most=19)
    assert set(k_center_greedy(vectors, 10, weights=weight)) == set(range(10, 20))
    with pytest.raises(ValueError, match=r"n is 11, and there are 10 candidates \(20 more"):
        k_center_greedy(vectors, 11, weights=weight)


def test_balance_fills_the_classes_that_lack() -> None:
    vectors = np.random.default_rng(1).normal(size=(60, 3))
    classes = np.repeat([0, 1, 2], [40, 10, 10])
    balance = ClassBalance(classes, strength=50)
    picks = k_center_greedy(vectors, 20, [0, 1, 2, 3, 4], balance=balance)
    assert np.bincount(classes[[0, 1, 2, 3, 4, *picks]]).tolist() == [9, 8, 8]
    few = ClassBalance(classes, targets=[0, 0, 1], strength=50)
    assert set(classes[k_center_greedy(vectors, 10, balance=few)]) == {2}


def test_mapped_chunks_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    pool = PoolEmbeddings.from_array(generator.normal(size=(20_000, 128)))
    expected = k_center_greedy(pool, 80, np.arange(300), precision="float64")
    mapped = in_chunks(pool, tmp_path / "pool", 4_096)
    monkeypatch.setattr(distances, "_HELD_BYTES", 0)
    monkeypatch.setattr(distances, "_BLOCK_ROWS", 500)
    tracemalloc.start()
    picks = k_center_greedy(mapped, 80, np.arange(300), precision="float64")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert picks.tolist() == expected.tolist()
    assert peak < 0.7 * 20_000 * 128 * 4


def test_torch_gives_the_same_picks() -> None:
    vectors = np.random.default_rng(4).normal(size=(400, 12))
    arguments: dict[str, Any] = {"weights": np.linspace(0.2, 1, 400), "precision": "float64"}
    for combine in ("product", "objective"):
        with_numpy = k_center_greedy(vectors, 90, range(20), combine=combine, **arguments)
        with_torch = k_center_greedy(
            vectors,
            90,
            range(20),
            combine=combine,
            device="cpu",
            **arguments,
        )
        assert with_torch.tolist() == with_numpy.tolist()


def test_distance_alone_needs_no_sum() -> None:
    vectors = np.random.default_rng(5).normal(size=(300, 8))
    for strength in (0.5, 3.0):
        joined = k_center_greedy(vectors, 200, [1, 2], combine="objective", strength=strength)
        assert joined.tolist() == k_center_greedy(vectors, 200, [1, 2]).tolist()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_equals_are_picked_many_at_a_time(precision: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    """In the order of the seed, and without a pass over the pool for each of them."""
    passes: list[int] = []
    original = RowBlocks.nearest_squared

    def counted(blocks: RowBlocks, others: NDArray[Any]) -> NDArray[np.float64]:
        passes.append(len(others))
        return original(blocks, others)

    monkeypatch.setattr(RowBlocks, "nearest_squared", counted)
    pool = PoolEmbeddings.from_array(np.repeat(np.eye(40), 25, axis=0))
    picks = k_center_greedy(pool, 1000, precision=precision, seed=7)
    order = order_of(pool, 7)
    first = {group: min(order[group * 25 : group * 25 + 25]) for group in range(40)}
    assert order[picks[:40]].tolist() == sorted(first.values())
    assert order[picks[40:]].tolist() == sorted(set(range(1000)) - set(first.values()))
    assert len(passes) <= 1000 / 128 + 2


def test_scores_without_bound_are_still_scores() -> None:
    """A negative power of a distance of 0, times a negative weight, excludes nothing."""
    twice = np.repeat(np.eye(3), 2, axis=0)
    picks = k_center_greedy(twice, 6, weights=-np.ones(6), strength=-1)
    assert sorted(picks) == list(range(6))


def test_rows_stored_in_half_precision_have_duplicates(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 384))
    once = PoolEmbeddings.from_array(np.concatenate([vectors, vectors]))
    half = in_chunks(once, tmp_path / "pool", 64, "float16")
    for precision in ("float32", "float64"):
        picks = k_center_greedy(half, 200, precision=precision, minimum_distance=2e-3)
        assert sorted(picks % 100) == list(range(100))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 9}, "n is 9, and there are 8 candidates"),
        ({"n": 0}, "n is 0"),
        ({"n": 2, "selected": [8]}, "selected reaches from 8 to 8, the embeddings have 8"),
        ({"n": 2, "selected": [1, 1]}, "selected names a row twice"),
        ({"n": 2, "selected": [0.5]}, "type float64: pass rows"),
        ({"n": 2, "selected": [1], "candidates": [1, 2]}, "1 of the candidates are selected"),
        ({"n": 2, "weights": np.ones(7)}, r"weights have the shape \(7,\).* 8 rows"),
        ({"n": 2, "weights": [np.nan] * 8}, "8 values that are NaN"),
        ({"n": 2, "weights": Weight(-np.ones(8), 0.5)}, "no power of 0.5"),
        ({"n": 2, "weights": Weight(np.zeros(8), -1)}, "8 weights are 0"),
        ({"n": 2, "weights": Weight(np.ones(8), np.nan)}, "strength of a weight is nan"),
        ({"n": 2, "strength": np.inf}, "strength is inf"),
        ({"n": 2, "combine": "sum"}, "combine is 'sum'"),
        ({"n": 2, "precision": "float16"}, "precision is 'float16'"),
        ({"n": 2, "minimum_distance": 3}, "minimum_distance is 3"),
        ({"n": 2, "seed": -1}, "seed is -1"),
        ({"n": 2, "balance": ClassBalance(np.zeros(3, int))}, "classes to balance have the shape"),
        ({"n": 2, "balance": ClassBalance(np.full(8, -1))}, "reach from -1"),
        ({"n": 2, "balance": ClassBalance(np.ones(8, int), [1.0])}, "a target for each"),
        ({"n": 2, "balance": ClassBalance(np.zeros(8, int), [-1.0])}, "targets are"),
        ({"n": 2, "balance": ClassBalance(np.zeros(8, int), None, np.nan)}, "strength of balance"),
    ],
    ids=str,
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        k_center_greedy(np.eye(8), **arguments)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_vectors_without_a_direction_are_refused(value: float) -> None:
    vectors = np.eye(4)
    vectors[2] = value
    with pytest.raises(ValueError, match=r"1 of 4 rows are zero, NaN or infinite.*first row 2"):
        k_center_greedy(vectors, 2)


def test_a_number_of_picks_is_whole() -> None:
    with pytest.raises(TypeError, match=r"n is 2\.0"):
        k_center_greedy(np.eye(4), 2.0)  # type: ignore[arg-type]


def test_negative_weights_work_under_whole_strengths() -> None:
    vectors, weights = np.eye(4), np.array([-3.0, 1.0, -1.0, 2.0])
    assert k_center_greedy(vectors, 4, weights=weights).tolist() == [3, 1, 2, 0]
    assert k_center_greedy(vectors, 1, weights=Weight(weights, 2)).tolist() == [0]
