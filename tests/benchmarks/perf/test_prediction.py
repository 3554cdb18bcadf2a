from __future__ import annotations

import numpy as np
import pytest

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import Sides, host_dataset
from benchmarks.perf.prediction import (
    PredictionPlan,
    PredictionTiming,
    best_host,
    check_lengths,
    largest_difference,
    longest_text,
    measure_prediction,
    speedup,
)
from benchmarks.suggestions import SuiteError


@pytest.fixture(scope="module")
def timings(sides: Sides, sample: LabeledTexts) -> list[PredictionTiming]:
    plan = PredictionPlan(sample, 24, (longest_text(sides, sample), 256), (12, 32))
    return measure_prediction(sides, plan, 2, lambda message: None)


def _host(length: int, batch_size: int, seconds: list[float]) -> PredictionTiming:
    zeros = [1.0] * len(seconds)
    return PredictionTiming("host", "float32", 10, length, batch_size, seconds, zeros)


def _ours(seconds: list[float]) -> PredictionTiming:
    return PredictionTiming("ours", "float32", 40, None, None, seconds, [0.0] * len(seconds))


def test_every_way_is_timed_in_every_repeat(timings: list[PredictionTiming], sides: Sides) -> None:
    host = [timing for timing in timings if timing.side == "host"]
    assert len(host) == 4
    assert len(timings) == 4 + len(sides.ours)
    assert all(len(timing.seconds) == len(timing.tokenizing) == 2 for timing in timings)
    assert all(second > 0 for timing in timings for second in timing.seconds)
    assert all(min(timing.tokenizing) > 0 for timing in host)


def test_the_host_predicts_fewer_of_the_same_texts_at_a_greater_length(
    timings: list[PredictionTiming],
) -> None:
    numbers = {timing.max_length: len(timing.proba) for timing in timings if timing.max_length}
    assert sorted(numbers.values()) == [12, 24]
    assert numbers[256] == 12


def test_both_sides_predict_the_same(timings: list[PredictionTiming]) -> None:
    (difference,) = largest_difference(timings, "float32")
    assert difference <= 1e-4
    ours = next(timing for timing in timings if timing.side == "ours")
    assert len(ours.proba) == 96
    ours.proba[3] += 0.01
    (spoilt,) = largest_difference(timings, "float32")
    ours.proba[3] -= 0.01
    assert spoilt == pytest.approx(0.01, abs=1e-4)


def test_the_longest_text_is_just_not_cut(sides: Sides, sample: LabeledTexts) -> None:
    longest = longest_text(sides, sample)
    tokens = [int(mask.sum()) for _, mask, _ in host_dataset(sample, sides.host, 512).data]
    assert longest == max(tokens)


def test_a_length_that_cuts_a_text_is_an_error() -> None:
    check_lengths((128, 512), 128)
    with pytest.raises(SuiteError, match="--max-length is 64, but a text has 65 tokens"):
        check_lengths((128, 64), 65)


def test_the_hosts_tokenising_is_told_apart() -> None:
    timing = _host(128, 12, [1.0, 4.0])
    assert timing.rates() == [10.0, 2.5]
    assert timing.rates(with_tokenizing=True) == [5.0, 2.0]


def test_the_speedup_is_over_the_hosts_best_batch_size_without_its_tokenising() -> None:
    timings = [
        _host(128, 12, [5.0, 5.0, 5.0]),
        _host(128, 32, [2.0, 4.0, 2.0]),
        _host(512, 12, [20.0, 20.0, 10.0]),
        _ours([1.0, 2.0, 4.0]),
    ]
    assert best_host(timings, 128).batch_size == 32
    assert speedup(timings, 128, "float32") == (8.0, 8.0, 2.0)
    assert speedup(timings, 512, "float32") == (80.0, 40.0, 10.0)


def test_what_the_hardware_lacks_has_no_numbers() -> None:
    timings = [_host(128, 12, [1.0]), _ours([1.0])]
    assert speedup(timings, 128, "bfloat16") == ()
    assert largest_difference(timings, "bfloat16") == ()


def test_numbers_are_written_without_the_probabilities(timings: list[PredictionTiming]) -> None:
    written = timings[0].as_json()
    assert "proba" not in written
    assert written["seconds"] == timings[0].seconds
    assert np.size(timings[0].proba) > 0
