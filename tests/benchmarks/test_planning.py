from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import planning
from benchmarks.loop import run_unit
from benchmarks.planning import (
    Costs,
    UnitCosts,
    cost_key,
    describe_plan,
    make_plan,
    total_seconds,
    unit_seconds,
)
from benchmarks.results import UnitSpec
from benchmarks.runner import prepare_run
from benchmarks.selection import Selection, select_suite
from tests.benchmarks.synthetic import make_spec

COST = UnitCosts(fit=2.0, evaluate=0.001, first_query=30.0, later_query=0.5, harness=0.25)
BBC = {"num_texts": 1_000}


def costs(*specs: UnitSpec, cost: UnitCosts = COST) -> Costs:
    units = {cost_key(spec.classifier, spec.method): cost for spec in specs}
    return Costs(encode={}, units=units, load=0.01, start=5.0, pool_size=400)


def test_a_unit_takes_its_fits_its_index_and_its_queries() -> None:
    spec = make_spec("anchoral", 0, dataset=BBC)
    queries = 2 * (30.0 + 3 * 0.5)  # the pool is twice the calibration's
    rounds = 5 * (2.0 + 200 * 0.001 + 0.25)
    assert unit_seconds(spec, costs(spec)) == pytest.approx(queries + rounds)


def test_without_rounds_there_is_no_query() -> None:
    spec = make_spec("anchoral", 0, dataset=BBC, protocol={"rounds": 0})
    assert unit_seconds(spec, costs(spec)) == pytest.approx(2.0 + 0.2 + 0.25)


def test_the_ceiling_is_one_fit_that_grows_with_the_pool() -> None:
    spec = make_spec("full-data", 0, dataset=BBC)
    assert unit_seconds(spec, costs(spec)) == pytest.approx(2 * 2.0 + 0.2 + 0.25)


def test_units_share_workers_and_data_but_not_their_start() -> None:
    specs = [make_spec(name, seed, dataset=BBC) for name in ("random", "seals") for seed in (0, 1)]
    cost = costs(*specs)
    alone = sum(unit_seconds(spec, cost) for spec in specs)
    assert total_seconds(specs, cost, jobs=2) == pytest.approx(5 + 2 * 1_000 * 0.01 + alone / 2)
    assert total_seconds([], cost, jobs=2) == 0.0


def test_a_plan_of_a_real_suite_counts_and_times(suite_file: Path, tmp_path: Path) -> None:
    run = prepare_run(select_suite(Selection(str(suite_file))), tmp_path)
    before = torch.get_num_threads()
    plan = make_plan(run)
    assert torch.get_num_threads() == before
    assert (plan.units, plan.pending, plan.fits, plan.failures) == (6, 6, 18, ())
    assert plan.unit_seconds > 0
    rows = dict(describe_plan(plan))
    assert rows["fits"] == "18"
    done = make_plan(replace(run, pending=[]))
    assert (done.pending, done.fits, done.hours) == (0, 0, 0.0)


def test_every_method_is_queried_with_the_threads_of_a_worker(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, list[bool]]] = []

    def spy(spec: UnitSpec, *arguments: Any) -> Any:  # noqa: ANN401
        records = run_unit(spec, *arguments)
        queries = [record.seconds["query"] > 0 for record in records]
        seen.append((spec.method.id, torch.get_num_threads(), queries))
        return records

    monkeypatch.setattr(planning, "run_unit", spy)
    monkeypatch.setattr(planning, "threads_per_worker", lambda jobs: 10 + jobs)
    make_plan(prepare_run(select_suite(Selection(str(suite_file))), tmp_path))
    timed = seen[1:]  # the first is the warm-up
    assert [name for name, _, _ in timed] == ["random", "least-confidence", "anchoral"]
    assert {threads for _, threads, _ in seen} == {11}
    assert all(queries == [False, True, True] for _, _, queries in timed)


def test_what_fails_in_the_calibration_is_said(suite_file: Path, tmp_path: Path) -> None:
    text = suite_file.read_text() + "\n[methods.anchor-subsampling]\nsubsample_size = 50\n"
    broken = tmp_path / "broken.toml"
    broken.write_text(text)
    plan = make_plan(prepare_run(select_suite(Selection(str(broken))), tmp_path))
    (failure,) = plan.failures
    assert failure.startswith("anchor-subsampling with logistic: AttributeError")
    assert ("fails in the calibration", failure) in describe_plan(plan)
