from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.anchoral_tables import (
    PaperComparison,
    Spread,
    anchoral_table,
    is_anchoral,
    last_step,
    matched_step,
    minority_shares,
    reached_at,
    runs_of,
    share_places,
    shares_table,
)
from benchmarks.frames import split_sections
from benchmarks.results import UnitResult
from benchmarks.tables import Comparison
from tests.benchmarks.synthetic import make_result

FULL = [0.0, 0.2, 0.4, 0.6, 0.8]


def _with_majority(result: UnitResult, f1: float) -> UnitResult:
    """Return a unit whose majority class has one F1 all along, on the test set as it is."""
    rounds = tuple(
        record.model_copy(
            update={
                "metrics": {
                    **record.metrics,
                    "unweighted_majority_f1": f1,
                    "unweighted_minority_f1": record.metrics["minority_f1"],
                    "minority_f1": 0.01,
                },
                "per_class": {"other": {"f1": 0.02}, "radio": {"f1": 0.01}},
            }
        )
        for record in result.rounds
    )
    return result.model_copy(update={"rounds": rounds})


def _runs(method: str, lengths: Sequence[int], scale: float = 1.0) -> list[UnitResult]:
    """Return runs whose F1 is scale times 0, .1, .2, ... times 1, 2, ... of the run's number."""
    return [
        _with_majority(
            make_result(
                method,
                seed,
                [scale * (seed + 1) * height for height in FULL[:length]],
                query_seconds=30.0 * (seed + 1),
                subpool_size=200,
            ),
            0.9,
        )
        for seed, length in enumerate(lengths)
    ]


def _comparison(results: Sequence[UnitResult]) -> Comparison:
    (section,) = split_sections(results)
    return Comparison(section)


def test_the_last_step_is_that_of_the_third_run_alive() -> None:
    assert last_step(_runs("seals", [5, 4, 3, 2])) == 2
    assert last_step(_runs("seals", [5, 5, 5])) == 4
    assert last_step(_runs("seals", [5, 5])) is None


def test_areas_and_minutes_are_summed_by_rounds_of_the_runs_alive() -> None:
    found = reached_at("seals", _runs("seals", [5, 5, 5, 2]), 4)
    # F1 is half of the heights: 0 .1 .2 .3 .4 have the area .1 / 2 + .2 + .3 + .4 / 2 + ... = .8.
    assert found.minority is not None
    assert found.minority.median == pytest.approx(2 * 0.8)
    assert found.minority.interquartile_range == pytest.approx(0.8)
    assert found.minority.num_runs == 3
    assert found.majority == Spread(pytest.approx(4 * 0.9), pytest.approx(0.0), 3)  # type: ignore[arg-type]
    assert found.minutes is not None
    # 4 queries of 30, 60 and 90 seconds.
    assert found.minutes.median == pytest.approx(4.0)
    assert (found.labels, found.is_early) == (200, False)


def test_overall_is_each_method_s_own_end_and_matched_the_smallest() -> None:
    results = _runs("anchoral", [5, 5, 5]) + _runs("seals", [5, 3, 3, 3])
    runs = runs_of(_comparison(results).section)
    paper = PaperComparison(runs)
    assert matched_step(runs) == 2
    assert {each.method: each.labels for each in paper.overall} == {"anchoral": 200, "seals": 150}
    assert {each.method: each.labels for each in paper.budget_matched} == {
        "anchoral": 150,
        "seals": 150,
    }
    # All four runs of seals reach step 2: areas .2, .4, .6, .8.
    (seals,) = [each for each in paper.budget_matched if each.method == "seals"]
    assert seals.minority == Spread(pytest.approx(0.5), pytest.approx(0.3), 4)  # type: ignore[arg-type]


def test_the_table_marks_what_ended_early() -> None:
    comparison = _comparison(_runs("anchoral", [5, 5, 5]) + _runs("seals", [3, 3, 3]))
    assert is_anchoral(comparison.section)
    table = anchoral_table(comparison)
    lines = table.split("\n")
    assert lines[2].startswith("| `seals` | 3 | 150 † | 1.80 (0.00) | 0.40 (0.20) | 2.0 (1.0) |")
    assert lines[3].startswith("| `anchoral` | 3 | 200 | 3.60 (0.00) | 1.60 (0.80) | 4.0 (2.0) |")
    assert lines[3].count("150 †") == 1 and lines[0].count("matched") == 4
    assert lines[-1] == "† fewer queries than the protocol has."


def test_early_results_have_the_weighted_f1_and_say_so() -> None:
    early = []
    for result in _runs("seals", [5, 5, 5]):
        rounds = tuple(
            record.model_copy(
                update={
                    "metrics": {
                        name: value
                        for name, value in record.metrics.items()
                        if not name.startswith("unweighted")
                    }
                }
            )
            for record in result.rounds
        )
        early.append(result.model_copy(update={"rounds": rounds}))
    table = anchoral_table(_comparison(early))
    assert "| `seals` | 3 | 200 | 0.08 (0.00) | 0.04 (0.00) |" in table
    assert table.endswith("nothing to lay beside the paper's.")
    assert "lay beside" not in anchoral_table(_comparison(_runs("seals", [5, 5, 5])))
    # One run with the paper's own F1: the others have none to show.
    mixed = [*_runs("seals", [5, 5, 5]), *early]
    found = PaperComparison(runs_of(_comparison(mixed).section)).overall[0]
    assert found.minority is not None and found.minority.num_runs == 3


def test_where_all_ended_together_nothing_is_said_twice() -> None:
    table = anchoral_table(_comparison(_runs("anchoral", [5, 5, 5]) + _runs("seals", [5, 5, 5])))
    assert "matched" not in table and "†" not in table
    assert table.count("200") == 2


def test_shares_are_those_of_labels_and_subpool() -> None:
    runs = _runs("seals", [5, 5, 5])
    labels, subpool = minority_shares(runs, 1)
    # 10 of 125 labels; 200 // 11 of the subpool.
    assert labels == pytest.approx([10 / 125] * 3)
    assert subpool == pytest.approx([18 / 200] * 3)
    assert minority_shares(runs, 0)[1] == [None] * 3
    comparison = _comparison(runs)
    assert share_places(runs_of(comparison.section)).tolist() == [0, 1, 2, 3, 4]
    assert "| `seals` | 5.0 % / - | 8.0 % / 9.0 % |" in shares_table(comparison)


def test_without_a_rare_class_or_three_runs_there_is_no_such_table() -> None:
    few = _comparison(_runs("seals", [5, 5]))
    assert not is_anchoral(few.section)
    plain = _comparison(_runs("random", [5, 5, 5]))
    assert not is_anchoral(plain.section)
    all_wanted = [make_result("seals", seed, dataset={"minority": ()}) for seed in range(3)]
    assert not is_anchoral(_comparison(all_wanted).section)


def test_the_summary_has_both_halves() -> None:
    section = _comparison(_runs("seals", [5, 5, 5])).section
    summary = PaperComparison(runs_of(section)).summary()
    assert summary["overall"][0]["minority"]["median"] == pytest.approx(1.6)
    assert summary["budget_matched"] == summary["overall"]
