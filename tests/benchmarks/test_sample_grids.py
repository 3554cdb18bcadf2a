from __future__ import annotations

import pytest

from benchmarks.frames import split_sections
from benchmarks.results import LABELED_SAMPLE, UnitResult
from benchmarks.sample_grids import grid_table, sample_grids
from tests.benchmarks.synthetic import make_result


def _sample(classifier: str, dataset: str, accuracy: float, memory: float | None) -> UnitResult:
    method = {"strategy": LABELED_SAMPLE, "ablation": False, "params": {"per_class": 8}}
    result = make_result("few-8", 0, [0.5], method=method, dataset={"id": dataset})
    record = result.rounds[0]
    metrics = {**record.metrics, "accuracy": accuracy, "peak_memory": memory}
    own = result.spec.classifier.model_copy(update={"id": classifier})
    return result.model_copy(
        update={
            "spec": result.spec.model_copy(update={"classifier": own}),
            "rounds": (record.model_copy(update={"metrics": metrics}),),
        }
    )


RESULTS = [
    _sample("batch", "trec-6", 0.9, 100.0),
    _sample("batch", "trec-50", 0.8, 300.0),
    _sample("memory", "trec-6", 0.7, None),
]


def test_classifiers_are_rows_and_data_sets_columns() -> None:
    (grid,) = sample_grids(split_sections(RESULTS))
    assert (grid.suite, grid.title, grid.datasets) == ("demo", "8 a class", ["trec-6", "trec-50"])
    assert grid.mean("batch") == pytest.approx(0.85)
    assert grid.memory("batch") == 300.0
    assert grid_table(grid).split("\n")[2:] == [
        "| `batch` | 0.900 | 0.800 | 0.850 | 300 |",
        "| `memory` | 0.700 | - | - | - |",
    ]


def test_one_data_set_makes_no_grid() -> None:
    assert sample_grids(split_sections(RESULTS[:1])) == []
    assert sample_grids(split_sections([make_result("random", 0)])) == []
