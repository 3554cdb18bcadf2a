from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_text import SklearnDataset

from benchmarks.perf import selection as module
from benchmarks.perf.selection import (
    ClockedSelector,
    SelectionTimings,
    measure_selection,
    selection_targets,
)
from small_text_ext import MLPClassification, MLPModelArguments
from small_text_ext.training.online_selection import ScoreSelector
from tests.benchmarks.test_cli import invoke, plain
from tests.tiny_models import tiny_model

X = np.random.default_rng(0).normal(size=(600, 6)).astype(np.float32)
DATA = SklearnDataset(X, (X[:, 0] > 0).astype(int), target_labels=np.arange(2))


def make(selector: ScoreSelector) -> MLPClassification:
    return MLPClassification(
        MLPModelArguments(), 2, batch_size=8, num_epochs=2, batch_selector=selector, seed=0
    )


def test_the_bound_is_one_and_r_times_f() -> None:
    timings = SelectionTimings("x", ratio=10, uniform=[2.0], forward=[8.0], selected=[11.0])
    assert timings.forward_share == (0.4,)
    assert timings.slow_down == (5.5,)
    assert timings.over_bound == pytest.approx((5.5 / 5.0,))
    (target,) = selection_targets([timings])
    assert target.met


def test_probes_are_off_the_clock_and_change_nothing() -> None:
    selectors = [ClockedSelector("uniform", selected_fraction=0.2, probes=p) for p in (True, False)]
    fits = [make(selector).fit(DATA) for selector in selectors]
    assert fits[0].history_ == fits[1].history_
    probing, plain_one = selectors
    assert len(probing.passes) == len(probing.beginnings) == len(plain_one.beginnings) == 30
    assert plain_one.passes == []
    span = probing.beginnings[-1] - probing.beginnings[0]
    assert 0 < probing.seconds_per_step() * 29 < span


def test_every_repeat_has_all_three_sides() -> None:
    timings = measure_selection("x", make, DATA, ratio=5, repeats=2)
    assert [len(side) for side in (timings.uniform, timings.forward, timings.selected)] == [2, 2, 2]
    assert min(*timings.uniform, *timings.forward, *timings.selected) > 0


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(RuntimeError, match="pass more texts, or a smaller ratio"):
        measure_selection("x", make, DATA[np.arange(96)], ratio=6, repeats=1)


def test_the_command_prints_both_sides(
    titles_source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny_model(tmp_path / "model"))
    original: Any = module.head_contest
    # Vectors are those of the real encoder, which is not what is timed.
    monkeypatch.setattr(module, "head_contest", lambda data, n, _: original(data, n, "minilm"))
    monkeypatch.setattr(module, "_FEWEST_STEPS", 1)
    small = ("--repeats", 1, "--ratio", 2, "--vectors", 200, "--texts", 200)
    out = tmp_path / "seconds.json"
    result = invoke(
        "perf", "selection", *small, "--model", model, "--dataset", titles_source, "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "slow-down over 1 + r f" in plain(result)
    written = json.loads(out.read_text(encoding="utf-8"))
    assert [each["name"] for each in written["timings"]] == ["a head of 512 units", "an encoder"]
    assert len(written["targets"]) == 2
