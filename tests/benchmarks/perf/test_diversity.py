from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.perf.diversity import (
    Cost,
    Workload,
    cost_table,
    diversity_targets,
    measure_cost,
)
from benchmarks.picking import CONTESTANTS, ENGINE, HOST, OURS
from tests.benchmarks.test_cli import invoke, plain

LARGE, SMALL = Workload(90, 110, 30), Workload(60, 70, 8)


def test_ratios_are_taken_on_the_same_workload() -> None:
    costs = [
        Cost(OURS, LARGE, [2.0], [100.0], [1, 2]),
        Cost(ENGINE, LARGE, [20.0], [], [2, 3]),
        Cost(OURS, SMALL, [0.5], [1.0]),
        Cost(HOST, SMALL, [600.0], [1.0]),
    ]
    targets = diversity_targets(costs)
    assert [target.values for target in targets] == [(2.0,), (100.0,), (10.0,), (1200.0,)]
    assert all(target.met for target in targets)
    without = diversity_targets([costs[0], *costs[2:]])
    assert without[2].measured == "not measured: lightly-mundig is not installed"
    assert list(cost_table(costs, 8).columns[-1].cells) == ["2", "1", "0", "0"]
    assert "not known here" in list(cost_table(costs, 8).columns[-2].cells)


def test_the_command_prints_all_in_one_run(tmp_path: Path) -> None:
    out = tmp_path / "costs.json"
    sizes = ("--candidates", 90, "--selected", 110, "--picks", 30, "--columns", 8)
    host = ("--host-candidates", 60, "--host-selected", 70, "--host-picks", 8)
    result = invoke("perf", "diversity", *sizes, *host, "--out", out)
    assert result.exit_code == 0, result.output
    written = json.loads(out.read_text(encoding="utf-8"))
    names = [cost["contestant"] for cost in written["costs"]]
    has_engine = importlib.util.find_spec("lightly_mundig") is not None
    expected = [name for name in CONTESTANTS if name != HOST and (has_engine or name != ENGINE)]
    assert names == [*expected, OURS, HOST]
    assert all(cost["seconds"][0] > 0 for cost in written["costs"])
    assert written["targets"][3]["values"][0] > 0
    assert "MB above the input" in plain(result)


def test_who_does_not_end_is_stopped_and_known_to_be_slower() -> None:
    cost = measure_cost(HOST, Workload(2_000, 3_000, 1_500), 64, repeats=3, limit=0.2)
    assert cost.was_stopped
    assert (cost.seconds, cost.megabytes, cost.picks) == ([0.2], [], [])
    ours = [Cost(OURS, load, [0.1, 0.1, 0.1], [1.0], [1]) for load in (LARGE, cost.workload)]
    costs = [ours[0], ours[1], cost]
    assert diversity_targets(costs)[3].measured == "above 2.0 [2.0, 2.0]"
    assert diversity_targets(costs)[3].met is None
    assert replace(diversity_targets(costs)[3], at_least=1.5).met is True
    assert list(cost_table(costs, 8).columns[4].cells)[-1] == "above 0.20 [0.20, 0.20]"
    assert list(cost_table(costs, 8).columns[-1].cells)[-1] == "stopped"


def test_who_dies_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"nobody ended with exit code 1 before it had picked 8"):
        measure_cost("nobody", SMALL, 8)


def test_more_picks_than_candidates_are_refused() -> None:
    result = invoke("perf", "diversity", "--candidates", 10, "--picks", 11)
    assert result.exit_code == 2
    assert "--picks 11 is more than the 10 candidates" in plain(result)
