from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.perf import dynamics as module
from benchmarks.perf.dynamics import (
    NEVER_CORRECT,
    FitTimings,
    MetricTimings,
    dynamics_targets,
    encoder_contest,
    measure_fits,
    measure_metrics,
    published_metrics,
)
from small_text_ext.training.dynamics import DynamicsRecorder, TrainingDynamics
from tests.benchmarks.test_cli import invoke, plain
from tests.tiny_models import tiny_model


def test_the_loop_computes_the_published_coordinates() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 40, 3)).astype(np.float32)
    logits[:, 0, 1:], logits[:, 0, 0] = 5.0, 0.0
    labels = np.arange(40) % 3
    ours = TrainingDynamics.from_logits(logits, labels).metrics()
    theirs = published_metrics(logits, labels)
    assert theirs[0]["forgetfulness"] == NEVER_CORRECT
    assert {record["forgetfulness"] for record in theirs} > {0.0, 1.0, 2.0}
    for name in theirs[0]:
        assert ours[name].to_numpy() == pytest.approx([record[name] for record in theirs], abs=1e-6)


def test_the_loop_is_extrapolated_from_its_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    timings = measure_metrics(num_items=200, num_sampled=50, repeats=3)
    assert timings.ours == [1.0] * 3
    assert timings.loop == [4.0] * 3
    assert timings.difference < 1e-6


class Waiting:
    """A classifier whose fits are noted."""

    def __init__(self, recorder: object, log: list[bool]) -> None:
        self.recorder, self.log = recorder, log

    def fit(self, train_set: object) -> None:
        self.log.append(isinstance(self.recorder, DynamicsRecorder))


def test_pairs_are_interleaved_in_turn_after_a_warm_up() -> None:
    log: list[bool] = []
    timings = measure_fits("x", lambda recorder: Waiting(recorder, log), None, 3)
    assert log == [False, False, True, True, False, False, True]
    assert len(timings.recorded) == len(timings.plain) == 3


def test_targets_are_those_asked_for() -> None:
    metrics = MetricTimings(67_349, 100, [0.1, 0.1], [10.0, 30.0], 2e-8)
    slow = FitTimings("x", recorded=[1.1, 2.2], plain=[1.0, 2.0])
    seconds, loop, difference, fit = dynamics_targets(metrics, [slow])
    assert (seconds.met, difference.met, fit.met) == (True, True, False)
    assert loop.values == pytest.approx((100.0, 300.0))
    assert "EXTRAPOLATED from 100 items" in loop.measure
    assert fit.values == pytest.approx((1.1, 1.1))
    assert (seconds.at_most, fit.at_most) == (0.2, 1.03)


def test_an_encoder_is_fitted_with_the_recorder(titles_source: str, tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    _, make, train_set = encoder_contest(titles_source, 16, str(model))
    recorder = DynamicsRecorder()
    make(recorder).fit(train_set)
    assert recorder.dynamics.logits.shape == (1, 16, 5)
    assert make(None).recorder is None


def test_the_command_prints_targets_and_writes_the_seconds(
    titles_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny_model(tmp_path / "model"))
    original: Any = module.head_contest
    # Vectors are those of the real encoder, which is not what is timed.
    monkeypatch.setattr(module, "head_contest", lambda data, n, _: original(data, n, "minilm"))
    small = ("--items", 500, "--sample", 20, "--vectors", 60, "--texts", 16, "--repeats", 1)
    sources = ("--vectors-from", titles_source, "--texts-from", titles_source, "--model", model)
    out = tmp_path / "seconds.json"
    result = invoke("perf", "dynamics", *small, *sources, "--out", out)
    assert result.exit_code == 0, result.output
    assert "EXTRAPOLATED" in plain(result)
    content = json.loads(out.read_text())
    assert len(content["fits"]) == 2
    assert len(content["targets"]) == 5
    assert content["coordinates"]["num_items"] == 500
