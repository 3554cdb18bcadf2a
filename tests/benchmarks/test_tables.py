from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.frames import split_sections
from benchmarks.results import UnitResult
from benchmarks.tables import (
    Comparison,
    ablation_table,
    cost_table,
    decimal,
    difference_table,
    markdown_table,
    number,
    quality_table,
)
from tests.benchmarks.synthetic import make_result, with_first_query


def _comparison(results: Sequence[UnitResult]) -> Comparison:
    (section,) = split_sections(results)
    return Comparison(section)


def _cells(table: str) -> dict[str, dict[str, str]]:
    """Return a table as method to column to cell."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    header, _, *rows = lines
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def _flat(method: str, seed: int, height: float, gain: int = 5) -> UnitResult:
    return make_result(method, seed, [height] * 3, gain=gain)


def test_quality_holds_means_and_intervals() -> None:
    results = [_flat("random", seed, height) for seed, height in enumerate((0.2, 0.3, 0.4))]
    row = _cells(quality_table(_comparison(results)))["random"]
    assert row["seeds"] == "3"
    assert row["area under AP"] == "0.300 [0.200, 0.400]"
    assert row["final F1"] == "0.150 [0.100, 0.200]"
    assert row["minority labels"] == "15.0 [15.0, 15.0]"
    assert row["of the pool's"] == "15.0 % [15.0, 15.0]"
    assert row["area F1 as published"] == "0.3 [0.2, 0.4]"


def test_one_seed_has_no_interval() -> None:
    row = _cells(quality_table(_comparison([_flat("random", 0, 0.2)])))["random"]
    assert row["area under AP"] == "0.200"
    assert row["seeds"] == "1"


def test_rows_stand_in_a_fixed_order_whatever_the_result() -> None:
    names = ["anchoral", "seals", "random-subset", "full-data", "least-confidence", "random"]
    results = [make_result(name, 0, [0.9 - 0.1 * place]) for place, name in enumerate(names)]
    expected = ["random", "least-confidence", "random-subset", "seals", "anchoral", "full-data"]
    assert list(_cells(quality_table(_comparison(results)))) == expected


def test_the_ceiling_has_final_values_and_no_area() -> None:
    results = [_flat("random", 0, 0.2), make_result("full-data", 0, [0.8])]
    comparison = _comparison(results)
    row = _cells(quality_table(comparison))["full-data"]
    assert row["final AP"] == "0.800"
    assert row["area under AP"] == row["area F1 as published"] == "-"
    assert row["of the pool's"] == "100.0 %"
    assert list(_cells(cost_table(comparison))) == ["random"]


def test_differences_are_paired_signed_and_bold_with_seeds_enough() -> None:
    results = []
    for seed in range(6):
        results += [
            _flat("random", seed, 0.1 * seed),
            _flat("anchoral", seed, 0.1 * seed + 0.05, gain=8),
        ]
    comparison = _comparison(results)
    areas = _cells(difference_table(comparison, "area_average_precision", decimal))
    assert areas["anchoral"]["minus random"] == "**+0.050 [+0.050, +0.050]**"
    assert areas["random"]["minus anchoral"] == "**-0.050 [-0.050, -0.050]**"
    assert areas["random"]["minus random"] == "-"
    found = _cells(difference_table(comparison, "minority_labeled", number))
    assert found["anchoral"]["minus random"] == "**+6.0 [+6.0, +6.0]**"


def test_few_seeds_mark_nothing_and_missing_ones_are_counted() -> None:
    results = [_flat("random", seed, 0.1) for seed in range(3)]
    results += [_flat("anchoral", seed, 0.3) for seed in range(2)]
    cell = _cells(difference_table(_comparison(results), "area_average_precision", decimal))
    assert cell["anchoral"]["minus random"] == "+0.200 [+0.200, +0.200] (n=2)"


def test_a_difference_of_nothing_has_no_sign() -> None:
    results = [_flat(name, seed, 0.1) for name in ("random", "anchoral") for seed in range(6)]
    cell = _cells(difference_table(_comparison(results), "area_average_precision", decimal))
    assert cell["anchoral"]["minus random"] == "0.000 [0.000, 0.000]"


def test_references_are_found_by_strategy_not_by_name() -> None:
    results = [
        make_result("chance", 0, method={"strategy": "RandomSampling", "ablation": False}),
        make_result("entropy", 0, method={"strategy": "PredictionEntropy", "ablation": False}),
        make_result("anchoral", 0),
    ]
    assert _comparison(results).references == ["chance", "entropy", "anchoral"]


def test_ablations_have_a_table_of_their_own_below_what_they_vary() -> None:
    results = []
    for seed in range(6):
        results += [_flat(name, seed, 0.2) for name in ("random", "anchoral")]
        results.append(_flat("anchors-5", seed, 0.1, gain=4))
    comparison = _comparison(results)
    assert comparison.ablations == ["anchors-5"]
    assert "anchors-5" not in quality_table(comparison)
    table = _cells(ablation_table(comparison))
    assert list(table) == ["anchoral", "anchors-5"]
    assert table["anchors-5"]["area minus anchoral"] == "**-0.100 [-0.100, -0.100]**"
    assert table["anchors-5"]["labels minus anchoral"] == "**-2.0 [-2.0, -2.0]**"
    assert table["anchoral"]["area minus anchoral"] == "-"


def test_ablations_alone_are_shown_without_differences() -> None:
    table = _cells(ablation_table(_comparison([_flat("anchors-5", 0, 0.1)])))
    assert list(table["anchors-5"])[-1] == "texts scored per query"


def test_cost_shows_what_a_query_takes() -> None:
    results = [make_result("anchoral", 0, [0.1, 0.2, 0.3], query_seconds=0.25, subpool_size=1_100)]
    row = _cells(cost_table(_comparison(results)))["anchoral"]
    assert row["first query, s"] == row["later queries, s"] == "0.25"
    assert row["all queries, s"] == "0.50"
    assert row["all fits, s"] == "6.0"
    assert row["texts scored per query"] == row["subpool"] == "1,100"
    assert row["minority in labels"] == "10.0 %"


def test_the_query_that_builds_an_index_is_shown_apart() -> None:
    results = [with_first_query(make_result(name, 0), 36.0) for name in ("anchoral", "hnsw")]
    comparison = _comparison(results)
    for table, name in ((cost_table, "anchoral"), (ablation_table, "hnsw")):
        row = _cells(table(comparison))[name]
        assert (row["first query, s"], row["later queries, s"]) == ("36", "0.50")


@pytest.mark.parametrize("cell", ["a|b", "a\nb"])
def test_a_cell_cannot_break_its_table(cell: str) -> None:
    table = markdown_table(["method", "x"], [[cell, "1"]])
    assert len(table.splitlines()) == 3
    assert table.splitlines()[-1].replace("\\|", "").count("|") == 3
