from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.comparison import Side, better_values, compare_sides, folder_sides, method_sides
from benchmarks.loop import summarize
from benchmarks.results import OtherDatasetRecord, UnitResult, write_result
from benchmarks.suggestions import SuiteError
from tests.benchmarks.synthetic import make_failure, make_result

METRIC = "final_macro_f1"


def unit(method: str, seed: int, final: float, fingerprint: str = "f" * 64) -> UnitResult:
    """Return a unit whose macro F1 ends there."""
    result = make_result(method, seed, (0.1, final), dataset={"fingerprint": fingerprint})
    return result.model_copy(update={"summary": summarize(result.rounds)})


def side(name: str, finals: list[float], method: str = "anchoral") -> Side:
    return Side(name, tuple(unit(method, seed, final) for seed, final in enumerate(finals)))


def with_seconds(found: Side, seconds: float) -> Side:
    summary = {"summary": {"seconds_fit": seconds}}
    return Side(found.name, tuple(result.model_copy(update=summary) for result in found.results))


def test_differences_are_paired_by_seed() -> None:
    first = side("a", [0.5, 0.6, 0.7, 0.5, 0.6, 0.7])
    second = side("b", [0.51, 0.62, 0.73, 0.54, 0.65, 0.7])
    (row,) = compare_sides(first, second, METRIC).rows
    assert (row.dataset, row.classifier, row.method) == ("sections:radio", "mlp", "anchoral")
    assert (row.wins, row.ties, row.losses, row.seeds) == (5, 1, 0, 6)
    assert row.difference.mean == pytest.approx(0.025)
    assert row.drop == pytest.approx(-0.025)
    assert row.difference.low is not None
    assert 0 < row.difference.low < 0.025
    # Five differences of one sign: 2 of 2**5 orders of signs are as extreme.
    assert row.p_value == pytest.approx(2 / 2**5)


def test_rows_are_corrected_together_and_what_has_no_partner_is_counted() -> None:
    first = [*side("a", [0.1, 0.2, 0.3]).results, *side("a", [0.5, 0.5], "seals").results]
    second = [*side("b", [0.2, 0.4, 0.6]).results, *side("b", [0.5, 0.5, 0.5], "seals").results]
    found = compare_sides(
        Side("a", tuple(first)), Side("b", (*second, make_failure("random", 0))), METRIC
    )
    by_method = {row.method: row for row in found.rows}
    assert by_method["anchoral"].p_value == pytest.approx(0.25)
    assert by_method["anchoral"].corrected_p_value == pytest.approx(0.5)
    assert (by_method["seals"].ties, by_method["seals"].p_value) == (2, 1.0)
    assert found.unpaired == 1


def test_a_drop_is_a_rise_where_lower_is_better() -> None:
    first, second = side("a", [0.5, 0.5]), side("b", [0.4, 0.4])
    worse = compare_sides(first, second, METRIC)
    assert [row.drop for row in worse.dropped(0.05)] == pytest.approx([0.1])
    assert worse.dropped(0.15) == []
    fast, slow = with_seconds(first, 1.0), with_seconds(second, 2.0)
    slower = compare_sides(fast, slow, "seconds_fit")
    assert slower.better == "lower"
    assert (slower.rows[0].losses, slower.rows[0].drop) == (2, 1.0)
    assert compare_sides(fast, slow, "seconds_fit", "higher").dropped(0) == []
    assert better_values("area_minority_average_precision") == "higher"


def test_what_the_second_side_lost_is_named() -> None:
    first = side("a", [0.5, 0.6, 0.7])
    whole = side("b", [0.5, 0.6, 0.7]).results
    unmeasured = whole[1].model_copy(update={"summary": {METRIC: None}})
    found = compare_sides(first, Side("b", (whole[0], unmeasured)), METRIC)
    assert found.rows[0].seeds == 1
    assert found.unpaired == 2
    assert [name.rsplit(" ", 1)[1] for name in found.lost] == ["1", "2"]
    assert compare_sides(Side("b", whole[:1]), first, METRIC).lost == ()
    with pytest.raises(SuiteError, match="was measured in no pair"):
        compare_sides(first, Side("b", (unmeasured,)), METRIC)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("seed", {"data": 99}),
        ("dataset", {"prevalence": 0.01}),
        ("protocol", {"test_size": 0.5}),
    ],
)
def test_other_splits_are_no_pairs(part: str, changes: dict[str, Any]) -> None:
    first = unit("anchoral", 0, 0.2)
    changed = getattr(first.spec, part).model_copy(update=changes)
    second = first.model_copy(update={"spec": first.spec.model_copy(update={part: changed})})
    sides = Side("a", (first,)), Side("b", (second,))
    with pytest.raises(SuiteError, match="is no pair: seeds, prevalence and share"):
        compare_sides(*sides, METRIC)


def test_fewer_wrong_labels_are_better() -> None:
    assert better_values("final_selected_noisy") == "lower"
    assert better_values("final_second_accuracy") == "lower"
    assert better_values("final_accuracy") == "higher"
    # Names of test sets end as they like.
    assert better_values("final_accuracy.greece") == better_values("area_accuracy.loss") == "higher"


def test_sides_are_compared_at_the_labels_that_both_have() -> None:
    heights = (0.1, 0.2, 0.3, 0.4, 0.9)
    first: list[UnitResult] = []
    second: list[UnitResult] = []
    for seed in range(3):
        whole = make_result("anchoral", seed, heights)
        short = whole.model_copy(update={"rounds": whole.rounds[:3]})
        for units, result in ((first, whole), (second, short)):
            units.append(result.model_copy(update={"summary": summarize(result.rounds)}))
    for metric in ("final_macro_f1", "area_macro_f1"):
        found = compare_sides(Side("a", tuple(first)), Side("b", tuple(second)), metric)
        assert found.num_cut == 3
        assert found.rows[0].difference.mean == pytest.approx(0.0)
        assert found.rows[0].second == pytest.approx(second[0].summary[metric])
        assert compare_sides(Side("a", tuple(first)), Side("b", tuple(first)), metric).num_cut == 0
    with pytest.raises(SuiteError, match="Did you mean 'final_macro_f1'"):
        compare_sides(Side("a", tuple(first)), Side("b", tuple(second)), "final_macro_f2")


def test_other_test_sets_of_another_distribution_are_refused() -> None:
    sides = []
    for print_of_it in ("a", "b"):
        other = OtherDatasetRecord(
            id="wsc", name="csv:wsc.csv", fingerprint=print_of_it * 64, num_texts=9
        )
        result = make_result("anchoral", 0, (0.1, 0.5), dataset={"out_of_distribution": (other,)})
        summary = {"final_accuracy.wsc": 0.5, "final_macro_f1": 0.5}
        sides.append(Side(print_of_it, (result.model_copy(update={"summary": summary}),)))
    with pytest.raises(SuiteError, match=r"the test set 'wsc' .* a{12} in one and b{12}"):
        compare_sides(sides[0], sides[1], "final_accuracy.wsc")
    assert compare_sides(sides[0], sides[1], "final_macro_f1").rows[0].ties == 1


def test_two_methods_of_one_folder(tmp_path: Path) -> None:
    for result in (*side("", [0.5, 0.6]).results, *side("", [0.4, 0.7], "random").results):
        write_result(result, tmp_path)
    first, second = method_sides(tmp_path, "random", "anchoral")
    (row,) = compare_sides(first, second, METRIC, by_method=False).rows
    assert row.method == "random -> anchoral"
    assert np.isclose(row.difference.mean, 0.0)
    assert (row.wins, row.losses) == (1, 1)
    with pytest.raises(SuiteError, match="Did you mean 'random'"):
        method_sides(tmp_path, "randm", "anchoral")
    same = compare_sides(*folder_sides(tmp_path, tmp_path), METRIC)
    assert [row.ties for row in same.rows] == [2, 2]


def test_different_data_nothing_in_common_and_unknown_metrics_are_refused() -> None:
    first, second = side("a", [0.5]), side("b", [0.5])
    other = unit("anchoral", 0, 0.5, "0" * 64)
    with pytest.raises(SuiteError, match=r"'sections:radio' is not the same .* f{12} in one"):
        compare_sides(first, Side("b", (other,)), METRIC)
    with pytest.raises(SuiteError, match="a and b share no data set, classifier, method and seed"):
        compare_sides(first, side("b", [0.5], "random"), METRIC)
    with pytest.raises(SuiteError, match="Did you mean 'final_macro_f1'"):
        compare_sides(first, second, "final_macrof1")
