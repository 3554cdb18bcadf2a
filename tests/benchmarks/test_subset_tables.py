from __future__ import annotations

from typing import Any

import pytest

from benchmarks.frames import Section, split_sections
from benchmarks.results import MAP_SUBSET, UnitResult
from benchmarks.subset_tables import (
    EVERYTHING,
    fallback_lines,
    gather_subsets,
    reference_subsets,
    subset_difference,
    subset_summary,
    subset_table,
)
from tests.benchmarks.synthetic import make_result

NUM_SEEDS = 6
HEIGHTS = {"random": 0.5, "ambiguous": 0.6, "hard": 0.2}


def subset(keep: str, seed: int, height: float, **params: Any) -> UnitResult:  # noqa: ANN401
    method = {"strategy": MAP_SUBSET, "ablation": False, "params": {"keep": keep, **params}}
    name = "-".join([keep, *map(str, params.values())])
    return make_result(name, seed, [height + 0.01 * seed], method=method)


def section(*more: UnitResult) -> Section:
    results = [
        subset(keep, seed, height) for keep, height in HEIGHTS.items() for seed in range(NUM_SEEDS)
    ]
    results += [make_result("full-data", seed, [0.8 + 0.01 * seed]) for seed in range(NUM_SEEDS)]
    (found,) = split_sections([*results, *more])
    return found


def rows_of(table: str) -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in table.split("\n")[2:]]
    return {" ".join(cells[:3]): cells for cells in lines}


def test_rows_are_ordered_and_differences_are_paired() -> None:
    rows = rows_of(subset_table(section()))
    assert list(rows) == [
        "random 0.33 -",
        "ambiguous 0.33 default",
        "hard 0.33 default",
        "(all) 1 -",
    ]
    ambiguous = rows["ambiguous 0.33 default"]
    assert ambiguous[4:6] == ["6", "100"]
    assert ambiguous[6].startswith("0.625 [")
    assert ambiguous[7] == "**+0.100 [+0.100, +0.100]**"
    assert ambiguous[8] == "**-0.200 [-0.200, -0.200]**"
    assert rows["random 0.33 -"][7] == "-"
    assert rows["(all) 1 -"][8] == "-"


def test_fractions_are_compared_with_random_of_the_same_size() -> None:
    more = [subset("random", seed, 0.1, fraction=0.1) for seed in range(NUM_SEEDS)]
    more += [
        subset("ambiguous", seed, 0.3, fraction=0.1, easy_mix=0.1) for seed in range(NUM_SEEDS)
    ]
    subsets = gather_subsets(section(*more))
    (mixed,) = [s for s in subsets if s.easy_mix == "0.1"]
    random, everything = reference_subsets(mixed, subsets)
    assert random is not None
    assert everything is not None
    assert (random.fraction, everything.keep) == (0.1, EVERYTHING)
    difference = subset_difference(mixed, random, "minority_average_precision")
    assert difference is not None
    assert difference.mean == pytest.approx(0.2)


def test_clean_has_no_random_of_its_size() -> None:
    more = [subset("clean", seed, 0.7, crossfit=5) for seed in range(NUM_SEEDS)]
    rows = rows_of(subset_table(section(*more)))
    clean = rows["clean - -"]
    assert clean[3] == "crossfit 5"
    assert clean[7] == "-"
    assert clean[8].startswith("**-0.100")


def test_other_parameters_are_another_row() -> None:
    more = [subset("hard", seed, 0.3, observe="epoch_end") for seed in range(2)]
    options = [s.options for s in gather_subsets(section(*more)) if s.keep == "hard"]
    assert options == ["-", "observe epoch_end"]


def test_fewer_seeds_are_said() -> None:
    more = [subset("easy", seed, 0.3) for seed in range(3)]
    assert rows_of(subset_table(section(*more)))["easy 0.33 -"][7].endswith("(n=3)")


def test_where_all_classes_count_alike_it_is_macro_f1() -> None:
    even: dict[str, Any] = {"dataset": {"minority": ()}}
    results = [make_result("full-data", 0, [0.8], **even)]
    method = {"strategy": MAP_SUBSET, "ablation": False, "params": {"keep": "hard"}}
    results.append(make_result("hard", 0, [0.4], method=method, **even))
    (found,) = split_sections(results)
    assert "| macro F1 | macro F1 minus random | macro F1 minus all | accuracy |" in subset_table(
        found
    )
    assert "-0.400" in subset_table(found)


def test_units_that_were_trained_on_everything_are_said() -> None:
    assert fallback_lines(section()) is None
    unit = subset("hard", 0, 0.1, fraction=0.05)
    record = unit.rounds[0].model_copy(update={"notes": ("would lose class 3",)})
    lines = fallback_lines(section(unit.model_copy(update={"rounds": (record,)})))
    assert lines is not None
    assert "**hard, fraction 0.05: 1 of 1 units were trained on everything**" in lines
    assert "would lose class 3" in lines


def test_the_summary_holds_the_numbers_of_the_table() -> None:
    random, ambiguous, *_ = subset_summary(section())
    assert random["measures"]["minority_average_precision"]["minus_random"] is None
    found = ambiguous["measures"]["minority_average_precision"]
    assert found["mean"]["mean"] == pytest.approx(0.625)
    assert found["minus_all"]["mean"] == pytest.approx(-0.2)
    assert ambiguous["labels"] == {str(seed): 100 for seed in range(NUM_SEEDS)}


def test_test_sets_of_other_distributions_are_columns() -> None:
    other = {"id": "wsc", "name": "hub:wsc", "fingerprint": "a", "num_texts": 9}
    shifted: dict[str, Any] = {"dataset": {"minority": (), "out_of_distribution": (other,)}}
    results = []
    for keep, height in (("random", 0.5), ("hard", 0.7)):
        method = {"strategy": MAP_SUBSET, "ablation": False, "params": {"keep": keep}}
        unit = make_result(keep, 0, [height], method=method, **shifted)
        metrics = {**unit.rounds[0].metrics, "accuracy.wsc": height / 2}
        changed = unit.rounds[0].model_copy(update={"metrics": metrics})
        results.append(unit.model_copy(update={"rounds": (changed,)}))
    (found,) = split_sections(results)
    table = subset_table(found)
    assert "| accuracy on wsc | accuracy on wsc minus random |" in table
    assert rows_of(table)["hard 0.33 default"][12:14] == ["0.350", "+0.100"]
