from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.runner import prepare_run
from tests.benchmarks.published_runs import run_suite, small_suite
from tests.benchmarks.stand_ins import LocalHub

SUITES = (
    "rho-sst2",
    "rho-cola",
    "rho-noise",
    "rho-irrelevant",
    "rho-no-holdout",
    "rho-small-il",
    "rho-holdout-size",
    "rho-update-il",
    "rho-proxy",
    "rho-compute-matched",
)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_is_resolved_with_its_numbers(
    name: str, local_hub: LocalHub, tmp_path: Path
) -> None:
    suite = small_suite(name)
    assert suite.published is not None
    assert (suite.published.id, suite.published.line) == (name, "rho-loss")
    assert suite.published.differences
    named = {number.method for number in suite.published.numbers} - {None}
    assert named <= set(suite.methods)
    run = prepare_run(suite, tmp_path)
    assert {unit.spec.method.id for unit in run.units} == set(suite.methods)
    for unit in run.units:
        for value in unit.spec.method.params.values():
            if isinstance(value, dict):
                assert len(value["model"]["fingerprint"]) == 64


def test_numbers_that_are_only_recalled_say_so() -> None:
    for name in ("rho-sst2", "rho-cola"):
        published = small_suite(name).published
        assert published is not None
        assert published.status == "partly recovered"
        assert all("recalled" in number.note for number in published.numbers)


def test_half_is_held_out_and_a_tenth_of_the_rest_is_trained(
    local_hub: LocalHub, tmp_path: Path
) -> None:
    (result,) = run_suite(small_suite("rho-sst2"), tmp_path, ["rho-loss"])
    (record,) = result.rounds
    assert result.pool_counts == {"negative": 60, "positive": 60}
    assert (record.num_labeled, record.step) == (60, 3), "of 20 candidates 2 are trained"
    assert record.metrics["irreducible_accuracy"] is not None
    assert record.seconds["irreducible"] > 0


def test_equal_compute_is_counted_as_the_suite_says() -> None:
    methods = small_suite("rho-compute-matched").methods
    forward = 1 / 3
    irreducible = 10 * 1 + 10 * forward + forward
    for fraction, matched in ((0.1, "uniform-matched"), (0.5, "uniform-of-two-matched")):
        epochs = 15 * (fraction + forward)
        of_uniform = 15 * fraction
        for name, cost in ((matched, epochs), (f"{matched}-in-full", epochs + irreducible)):
            assert methods[name].params["passes"] == pytest.approx(cost / of_uniform, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", SUITES)
def test_every_unit_runs(name: str, local_hub: LocalHub, tmp_path: Path) -> None:
    for result in run_suite(small_suite(name), tmp_path):
        last = result.rounds[-1]
        assert last.metrics["accuracy"] is not None
        assert 0 <= last.metrics["accuracy"] <= 1
        assert last.step is not None
        if "core-set" not in result.spec.method.id:
            assert not np.isnan(last.metrics["selected_correct"] or 0.0)
