from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.perf.scaling import Throughput, scaling_target
from tests.benchmarks.test_cli import invoke, plain


@pytest.mark.parametrize(("seconds", "met"), [([10.0, 11.0], True), ([13.0, 14.0], False)])
def test_the_target_is_the_ratio_of_units_per_hour(seconds: list[float], met: bool) -> None:
    one, two = Throughput(1, 5, [20.0, 20.0]), Throughput(2, 5, seconds)
    target = scaling_target(one, two)
    assert one.per_hour == (900.0, 900.0)
    assert target.values == pytest.approx(tuple(20 / value for value in seconds))
    assert target.met is met


def test_the_command_writes_what_it_prints(suite_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    options = ("--method", "random", "--seeds", 2, "--repeats", 1, "--out", out)
    result = invoke("perf", "scaling", suite_file, *options)
    assert result.exit_code == 0, result.output
    assert "units per hour with 2 workers over one" in plain(result)
    found = json.loads(out.read_text())
    assert [(each["jobs"], len(each["seconds"])) for each in found["timings"]] == [(1, 1), (2, 1)]
    assert found["settings"]["units"] == 2


def test_a_unit_that_fails_ends_the_measurement(suite_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(
        suite_file.read_text() + "\n[methods.anchor-subsampling]\nsubsample_size = 50\n"
    )
    result = invoke("perf", "scaling", broken, "--method", "anchor-subsampling", "--seeds", 1)
    assert result.exit_code == 2
    assert "failed, so nothing is timed: AttributeError" in plain(result)
