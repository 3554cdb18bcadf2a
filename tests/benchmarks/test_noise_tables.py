from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.frames import Section, split_sections
from benchmarks.noise import DETECTORS, RECOMMENDED
from benchmarks.noise_tables import (
    NoiseComparison,
    flags_table,
    noise_frame,
    noise_summary,
    noise_table,
    reference_of,
    verdict,
)
from benchmarks.results import NOISE_DETECTION, UnitResult
from tests.benchmarks.synthetic import make_result

RIVAL = reference_of(RECOMMENDED)
LEVELS = {0.05: {RECOMMENDED: 0.5, RIVAL: 0.6}, 0.2: {RECOMMENDED: 0.8, RIVAL: 0.7}}


def unit(noise: float, seed: int, heights: Mapping[str, float]) -> UnitResult:
    method = {"strategy": NOISE_DETECTION, "ablation": False, "params": {"noise": noise}}
    made = make_result(f"noise-{noise}", seed, [0.1], method=method)
    metrics = {f"noise_ap.{name}": value + 0.01 * seed for name, value in heights.items()}
    metrics |= {f"noise_precision.{RECOMMENDED}": 0.75, f"noise_recall.{RECOMMENDED}": 0.25}
    seconds = {f"noise.{name}": 3.0 for name in heights}
    seconds |= {f"noise_ranking.{name}": 0.5 for name in heights}
    record = made.rounds[0].model_copy(update={"metrics": metrics, "seconds": seconds})
    return made.model_copy(update={"rounds": (record,)})


def section(num_seeds: int = 6) -> Section:
    results = [
        unit(noise, seed, heights) for noise, heights in LEVELS.items() for seed in range(num_seeds)
    ]
    (found,) = split_sections(results)
    return found


def test_every_detector_has_a_rival_that_runs() -> None:
    assert {reference_of(name) for name in DETECTORS} <= set(DETECTORS)
    assert reference_of(RIVAL) == RIVAL


def test_levels_are_columns_and_differences_that_leave_out_zero_are_bold() -> None:
    lines = noise_table(NoiseComparison(section())).split("\n")
    assert lines[0] == "| detector | 5 % | 20 % | training, s | ranking, s |"
    rows = {line.split(" | ")[0].strip("| "): line for line in lines[2:]}
    assert list(rows) == [name for name in DETECTORS if name in (RECOMMENDED, RIVAL)]
    assert rows[RECOMMENDED].count("**") == 4
    assert "| **0.525 [" in rows[RECOMMENDED]
    assert rows[RECOMMENDED].endswith("| 3.0 | 0.50 |")
    assert "**" not in rows[RIVAL]


def test_few_seeds_mark_nothing() -> None:
    assert "**" not in noise_table(NoiseComparison(section(3)))


def test_the_verdict_names_where_the_default_loses() -> None:
    text = verdict(NoiseComparison(section()))
    assert f"`{RECOMMENDED}`" in text
    assert "self-confidence at 5 %, **-0.100 [-0.100, -0.100]**" in text
    assert "20 %" not in text


def test_a_default_that_loses_nowhere_and_one_that_did_not_run_are_said() -> None:
    (better,) = split_sections([unit(0.2, seed, LEVELS[0.2]) for seed in range(2)])
    assert verdict(NoiseComparison(better)).endswith("nowhere.")
    (absent,) = split_sections([unit(0.2, 0, {"in-sample": 0.4})])
    assert verdict(NoiseComparison(absent)).endswith("was not run.")


def test_flags_have_precision_and_recall() -> None:
    table = flags_table(NoiseComparison(section()))
    assert f"| {RECOMMENDED} | 0.750 / 0.250 | 0.750 / 0.250 |" in table
    assert RIVAL not in table


def test_the_frame_is_tidy_and_the_summary_holds_the_differences() -> None:
    frame = noise_frame(section())
    assert len(frame) == 2 * 6 * 2
    of_default = frame[(frame["detector"] == RECOMMENDED) & (frame["noise"] == 0.05)]
    assert of_default["average_precision"].mean() == pytest.approx(0.525)
    assert set(of_default["training_seconds"]) == {3.0}
    numbers = noise_summary(NoiseComparison(section()))[RECOMMENDED]
    assert numbers["0.2"]["minus_cleanlab"]["mean"] == pytest.approx(0.1)


def test_two_searches_at_one_level_are_two_columns() -> None:
    others = []
    for seed in range(6):
        made = unit(0.05, seed, {RECOMMENDED: 0.1, RIVAL: 0.2})
        params = {"noise": 0.05, "num_folds": 10}
        method = made.spec.method.model_copy(update={"id": "ten-folds", "params": params})
        spec = made.spec.model_copy(update={"method": method})
        others.append(made.model_copy(update={"spec": spec}))
    (found,) = split_sections([*section().results, *others])
    comparison = NoiseComparison(found)
    header, _, *rows = noise_table(comparison).split("\n")
    assert "| detector | 5 %, noise-0.05 | 5 %, ten-folds | 20 % |" in header
    (row,) = [row for row in rows if row.startswith(f"| {RECOMMENDED} |")]
    cells = [cell.strip(" *").split(" ")[0] for cell in row.split("|")[2:5]]
    assert cells == ["0.525", "0.125", "0.825"]
    frame = noise_frame(found)
    of_default = frame[frame["detector"] == RECOMMENDED]
    assert len(of_default) == 18
    assert set(of_default["method"]) == {"noise-0.05", "ten-folds", ""}
    assert set(noise_summary(comparison)[RECOMMENDED]) == {
        "0.05, noise-0.05",
        "0.05, ten-folds",
        "0.2",
    }
