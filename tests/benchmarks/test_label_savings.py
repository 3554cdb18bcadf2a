from __future__ import annotations

import numpy as np
import pytest

from benchmarks.frames import Section, split_sections
from benchmarks.label_savings import (
    JudgedCurves,
    invert_curve,
    label_savings,
    savings_summary,
    savings_table,
)
from benchmarks.results import UnitResult
from benchmarks.tables import Comparison
from tests.benchmarks.synthetic import make_result

LABELS = [100, 125, 150, 175, 200, 225]


def law(labels: float) -> float:
    return float(0.9 - 3 * labels**-0.5)


def judged(method: str, seed: int, ahead: float = 1.0) -> UnitResult:
    """Return a unit that is where random texts are with ``ahead`` times its labels."""
    result = make_result(method, seed, [0.5] * len(LABELS))
    rounds = tuple(
        record.model_copy(
            update={
                "metrics": {
                    **record.metrics,
                    "last_accuracy": law(ahead * record.num_labeled) + 0.002 * seed,
                    "best_accuracy": law(ahead * record.num_labeled) + 0.002 * seed + 0.01,
                }
            }
        )
        for record in result.rounds
    )
    assert [record.num_labeled for record in rounds] == LABELS
    return result.model_copy(update={"rounds": rounds})


def section(num_seeds: int = 6) -> Section:
    results = [judged("random", seed) for seed in range(num_seeds)]
    results += [judged("anchoral", seed, ahead=2.0) for seed in range(num_seeds)]
    (found,) = split_sections(results)
    return found


@pytest.mark.parametrize("labels", [90.0, 160.0, 400.0, 2_000.0])
def test_a_power_law_is_inverted(labels: float) -> None:
    counts = np.array(LABELS, dtype=float)
    curve = np.array([law(count) for count in LABELS])
    assert invert_curve(counts, curve, law(labels)) == pytest.approx(labels, rel=0.02)


def test_above_the_limit_there_is_no_number_of_labels() -> None:
    counts = np.array(LABELS, dtype=float)
    assert invert_curve(counts, np.array([law(c) for c in LABELS]), 0.95) == np.inf


def test_half_the_labels_are_saved_where_random_needs_twice_as_many() -> None:
    random = np.array([[law(count) for count in LABELS]] * 4)
    found = label_savings(LABELS, random, np.full(4, law(450)))
    assert found.needed == pytest.approx(450, rel=0.03)
    assert found.saved.mean == pytest.approx(0.5, abs=0.02)
    assert found.saved.low == pytest.approx(found.saved.high)
    worse = label_savings(LABELS, random, np.full(4, law(150)))
    assert worse.saved.mean == pytest.approx(-0.5, abs=0.03)
    far = label_savings(LABELS, random, np.full(4, 0.99))
    assert far.needed == 2_250
    assert far.saved.mean == pytest.approx(0.9)


def test_seeds_that_differ_widen_the_interval() -> None:
    random = np.array([[law(count) for count in LABELS]] * 4)
    found = label_savings(LABELS, random, law(450) + np.array([-0.02, -0.01, 0.01, 0.02]))
    assert found.saved.low is not None
    assert found.saved.high is not None
    assert found.saved.low < 0.45 < 0.55 < found.saved.high


def test_the_table_has_both_epochs_and_what_is_saved() -> None:
    table = savings_table(Comparison(section()))
    assert table is not None
    rows = {line.split(" | ")[0].strip("| `"): line.split(" | ") for line in table.split("\n")[2:]}
    assert rows["anchoral"][1:3] == ["6", "225"]
    assert rows["anchoral"][4].startswith("**+0.0")
    assert rows["anchoral"][8].startswith("50.")
    assert rows["random"][4] == rows["random"][7] == "-"
    assert float(rows["anchoral"][5].split()[0]) == pytest.approx(
        float(rows["anchoral"][3].split()[0]) + 0.01
    )


def test_without_judged_epochs_there_is_no_table() -> None:
    (plain,) = split_sections([make_result("random", 0)])
    assert JudgedCurves.of(plain) is None
    assert savings_table(Comparison(plain)) is None
    assert savings_summary(plain) == []


def test_the_summary_has_the_numbers() -> None:
    rows = {row["method"]: row for row in savings_summary(section())}
    assert rows["anchoral"]["savings"]["saved"]["mean"] == pytest.approx(0.5, abs=0.03)
    assert rows["random"]["savings"] is None
    assert rows["anchoral"]["differences"]["last_accuracy"]["mean"] > 0


def test_two_methods_of_one_name_have_two_curves() -> None:
    results = []
    for seed in range(4):
        made = judged("anchoral", seed, ahead=2.0)
        params = {"num_anchors": 3 if seed % 2 else 10}
        method = made.spec.method.model_copy(update={"params": params})
        spec = made.spec.model_copy(update={"method": method})
        results.append(made.model_copy(update={"spec": spec}))
    (found,) = split_sections([*(judged("random", seed) for seed in range(4)), *results])
    curves = JudgedCurves.of(found)
    assert curves is not None
    names = [name for name in curves.curves if name != "random"]
    assert len(names) == 2 and all(name.startswith("anchoral (") for name in names)
    table = savings_table(Comparison(found))
    assert table is not None
    assert table.count("anchoral (") == 2
