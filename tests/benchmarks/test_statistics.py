from __future__ import annotations

import numpy as np
import pytest

from benchmarks.statistics import (
    MIN_SEEDS_TO_MARK,
    Estimate,
    estimate_mean,
    estimate_median,
    normalized_area,
    paired_difference,
    published_area,
    seconds_per_query,
)


def test_what_was_not_measured_is_left_out_of_a_mean() -> None:
    estimate = estimate_mean([0.2, None, float("nan"), 0.4])
    assert estimate is not None
    assert estimate.mean == pytest.approx(0.3)
    assert estimate.num_seeds == 2
    assert estimate.low == pytest.approx(0.2) and estimate.high == pytest.approx(0.4)


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    assert estimate_mean([0.5]) == Estimate(0.5, None, None, 1)
    assert estimate_mean([None]) is None


def test_differences_are_taken_by_seed() -> None:
    hard_and_easy = np.linspace(0.1, 0.9, 8)
    gains = np.array([0.04, 0.06] * 4)
    values = {seed: float(height + gains[seed]) for seed, height in enumerate(hard_and_easy)}
    reference = {seed: float(height) for seed, height in enumerate(hard_and_easy)}
    difference = paired_difference(values, reference)
    alone = estimate_mean(reference.values())
    assert difference is not None and alone is not None
    assert difference.low is not None and difference.high is not None
    assert difference.mean == pytest.approx(0.05)
    assert 0.04 <= difference.low < 0.05 < difference.high <= 0.06
    assert difference.excludes_zero
    assert alone.low is not None and alone.high is not None
    assert difference.high - difference.low < (alone.high - alone.low) / 10


def test_differences_use_the_seeds_that_both_have() -> None:
    difference = paired_difference({0: 0.5, 1: 0.9, 2: None}, {0: 0.25, 2: 0.1, 3: 0.7})
    assert difference == Estimate(0.25, None, None, 1)
    assert paired_difference({0: 1.0}, {1: 1.0}) is None


def test_few_seeds_never_exclude_zero() -> None:
    few = estimate_mean([0.5 + 0.01 * seed for seed in range(MIN_SEEDS_TO_MARK - 1)])
    enough = estimate_mean([-0.5 - 0.01 * seed for seed in range(MIN_SEEDS_TO_MARK)])
    assert few is not None and enough is not None
    assert few.low is not None and few.low > 0
    assert not few.excludes_zero
    assert enough.excludes_zero
    assert not Estimate(0.1, -0.1, 0.3, 10).excludes_zero
    assert not Estimate(0.1, None, None, 1).excludes_zero


def test_areas_of_known_curves() -> None:
    assert normalized_area([100, 200, 400], [0.0, 1.0, 1.0]) == pytest.approx(250 / 300)
    assert normalized_area([100, 125, 150], [0.4, 0.4, 0.4]) == pytest.approx(0.4)
    assert normalized_area([100], [0.3]) == pytest.approx(0.3)
    assert published_area([0.0, 1.0, 1.0]) == pytest.approx(1.5)


def test_even_rounds_make_both_areas_agree_up_to_their_number() -> None:
    curve = np.random.default_rng(0).random(21).tolist()
    published = published_area(curve)
    assert published is not None
    assert normalized_area(list(range(100, 601, 25)), curve) == pytest.approx(published / 20)


def test_a_curve_with_a_gap_has_no_area() -> None:
    assert normalized_area([1, 2], [0.5, None]) is None
    assert published_area([0.5, None]) is None
    assert normalized_area([], []) is None
    assert published_area([]) is None


def test_areas_refuse_what_is_no_curve_over_labels() -> None:
    with pytest.raises(ValueError, match="must increase"):
        normalized_area([100, 100], [0.1, 0.2])
    with pytest.raises(ValueError, match="2 points and values 1"):
        normalized_area([100, 125], [0.1])


def test_the_initial_round_is_no_query() -> None:
    assert seconds_per_query([9.0, 1.0, 2.0]) == pytest.approx(1.5)
    assert seconds_per_query([9.0]) is None


def test_a_median_is_not_moved_by_one_far_value() -> None:
    near = estimate_median([0.4, 0.5, None, 0.6])
    far = estimate_median([0.4, 0.5, 60.0, float("nan")])
    assert near is not None and far is not None
    assert near.mean == far.mean == 0.5
    assert (near.low, near.high) == (0.4, 0.6)
    assert far == estimate_median([0.4, 0.5, 60.0])
    assert estimate_median([0.5]) == Estimate(0.5, None, None, 1)
    assert estimate_median([None]) is None
