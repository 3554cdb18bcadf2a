from __future__ import annotations

import json
from pathlib import Path

from benchmarks.frames import split_sections
from benchmarks.frozen_tables import (
    FrozenComparison,
    frozen_comparisons,
    frozen_summary,
    frozen_table,
)
from benchmarks.report import write_report
from benchmarks.results import FROZEN_EVALUATION, UnitResult, write_result
from tests.benchmarks.synthetic import make_result


def frozen(
    encoder: str, dataset: str, accuracy: float, seed: int = 0, **metrics: float
) -> UnitResult:
    method = {
        "strategy": FROZEN_EVALUATION,
        "ablation": False,
        "params": {"models": [encoder], "fingerprints": ["f"]},
    }
    result = make_result(encoder, seed, [0.5], method=method, dataset={"id": dataset})
    measured = {"accuracy": accuracy, "test_accuracy": 0.5, "parity_accuracy": 0.9, **metrics}
    rounds = (result.rounds[0].model_copy(update={"metrics": measured}),)
    return result.model_copy(update={"rounds": rounds})


def compared(*results: UnitResult) -> FrozenComparison:
    (found,) = frozen_comparisons(split_sections(results))
    return found


def test_encoders_stand_beside_each_other_on_each_data_set() -> None:
    found = compared(
        frozen("bert", "trec", 0.8), frozen("bert", "sst", 0.6), frozen("electra", "trec", 0.7)
    )
    assert frozen_table(found, "accuracy").split("\n") == [
        "| encoder | trec | sst |",
        "| :-- | --: | --: |",
        "| `bert` | 0.800 | 0.600 |",
        "| `electra` | 0.700 | - |",
    ]
    assert "0.900" in frozen_table(found, "parity_accuracy")


def test_two_evaluations_of_one_name_are_never_averaged() -> None:
    other = frozen("bert", "trec", 0.6, seed=1)
    params = {**other.spec.method.params, "k": 9}
    method = other.spec.method.model_copy(update={"params": params})
    spec = other.spec.model_copy(update={"method": method})
    found = compared(frozen("bert", "trec", 0.8), other.model_copy(update={"spec": spec}))
    assert len(found.methods) == 2
    assert all(name.startswith("bert (") for name in found.methods)


def test_seeds_are_averaged_and_other_data_are_not() -> None:
    twice = compared(frozen("bert", "trec", 0.8), frozen("bert", "trec", 0.6, seed=1))
    assert "| `bert` | 0.700 [" in frozen_table(twice, "accuracy")
    other = frozen("bert", "trec", 0.6, seed=1)
    spec = other.spec.model_copy(
        update={"dataset": other.spec.dataset.model_copy(update={"fingerprint": "a" * 64})}
    )
    apart = compared(frozen("bert", "trec", 0.8), other.model_copy(update={"spec": spec}))
    assert len(apart.datasets) == 2
    assert [apart.estimate("bert", name, "accuracy").num_seeds for name in apart.datasets] == [1, 1]  # type: ignore[union-attr]


def test_a_development_set_has_tables_where_there_is_one() -> None:
    assert compared(frozen("bert", "trec", 0.8)).measures == [
        "accuracy",
        "test_accuracy",
        "parity_accuracy",
        "parity_test_accuracy",
    ]
    drawn = compared(frozen("bert", "trec", 0.8, development_accuracy=0.7))
    assert "parity_development_accuracy" in drawn.measures


def test_the_report_has_the_table(tmp_path: Path) -> None:
    write_result(frozen("bert", "trec", 0.8), tmp_path)
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "## Frozen encoders" in page
    assert "| `bert` | 0.800 |" in page
    (row,) = [
        row
        for row in json.loads((tmp_path / "report" / "summary.json").read_text(encoding="utf-8"))
        if "encoder" in row
    ]
    assert (row["encoder"], row["accuracy"]["mean"]) == ("bert", 0.8)


def test_without_such_units_there_is_no_table() -> None:
    assert frozen_comparisons(split_sections([make_result("random", 0)])) == []
    assert frozen_summary([]) == []
