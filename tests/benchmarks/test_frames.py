from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks.frames import (
    common_budget,
    lineage_of,
    rounds_frame,
    split_sections,
    summarize_unit,
    units_frame,
)
from tests.benchmarks.synthetic import make_failure, make_result, make_spec, with_first_query


def test_method_and_seed_leave_the_lineage_alone_and_all_else_changes_it() -> None:
    lineage = lineage_of(make_spec("random", 0))
    assert lineage_of(make_spec("anchoral", 3)) == lineage
    assert lineage_of(make_spec("random", 0, dataset={"fingerprint": "0" * 64})) != lineage
    assert lineage_of(make_spec("random", 0, protocol={"rounds": 5})) != lineage


def test_units_of_different_data_never_share_a_section() -> None:
    other = {"fingerprint": "0" * 64}
    results = [
        make_result("random", 0),
        make_result("random", 1, dataset=other),
        make_result("anchoral", 0),
        make_failure("seals", 0),
    ]
    sections = split_sections(results)
    assert [len(section.results) for section in sections] == [2, 1]
    assert sections[0].rivals == (sections[1].lineage,)
    assert sections[0].title != sections[1].title


def test_a_name_that_means_two_methods_is_told_apart() -> None:
    results = [
        make_result("anchoral", 0),
        make_result("anchoral", 1, method={"params": {"num_anchors": 5}}),
        make_result("random", 0),
    ]
    names = list(rounds_frame(results)["method"].unique())
    assert len(names) == 3
    assert "random" in names
    assert all(name.startswith("anchoral (") for name in names if name != "random")


def test_minutes_add_up_queries_and_fits() -> None:
    rounds = rounds_frame([make_result("random", 0, [0.1, 0.2, 0.3], query_seconds=0.5)])
    assert rounds["query_minutes"].tolist() == pytest.approx([0, 0.5 / 60, 1 / 60])
    assert rounds["minutes"].tolist() == pytest.approx([2 / 60, 4.5 / 60, 7 / 60])


def test_shares_of_the_minority() -> None:
    rounds = rounds_frame([make_result("anchoral", 0, [0.1, 0.2], subpool_size=110)])
    assert rounds["labeled_share"].tolist() == pytest.approx([5 / 100, 10 / 125])
    assert pd.isna(rounds["subpool_share"][0])
    assert rounds["subpool_share"][1] == pytest.approx(10 / 110)


def test_the_numbers_of_a_unit() -> None:
    curve = [0.0, 0.4, 0.4]
    units = units_frame(rounds_frame([make_result("anchoral", 0, curve, subpool_size=110)]))
    unit = units.iloc[0]
    assert unit["num_labeled"] == 150
    assert unit["minority_labeled"] == 15
    assert unit["area_average_precision"] == pytest.approx(0.3)
    assert unit["published_area_average_precision"] == pytest.approx(0.6)
    assert unit["final_f1"] == pytest.approx(0.2)
    assert unit["query_seconds"] == pytest.approx(0.5)
    assert unit["total_query_seconds"] == pytest.approx(1.0)
    assert unit["total_fit_seconds"] == pytest.approx(6.0)
    assert unit["rows_scored"] == 110


def test_the_first_query_stands_apart_from_later_ones() -> None:
    slow_start = with_first_query(make_result("anchoral", 0, [0.1] * 4), 30.0)
    results = [slow_start, make_result("random", 0, [0.1] * 2), make_result("full-data", 0, [0.8])]
    for result, expected in zip(results, [(30.0, 0.5), (0.5, None), (None, None)], strict=True):
        unit = summarize_unit(rounds_frame([result]))
        assert (unit["first_query_seconds"], unit["later_query_seconds"]) == expected


def test_where_all_classes_are_wanted_there_is_no_share_of_them() -> None:
    result = make_result("anchoral", 0, subpool_size=110, dataset={"minority": ()})
    rounds = rounds_frame([result])
    assert rounds[["labeled_share", "subpool_share"]].isna().all(axis=None)


def test_units_are_compared_at_the_labels_that_all_reached() -> None:
    short, long = [0.1, 0.2], [0.1, 0.2, 0.9]
    results = [
        make_result("random", 0, long),
        make_result("seals", 0, short),
        make_result("full-data", 0, [0.99]),
    ]
    rounds = rounds_frame(results)
    units = units_frame(rounds).set_index("method")
    assert common_budget(rounds) == 125
    assert units.loc["random", "final_average_precision"] == pytest.approx(0.2)
    assert units.loc["random", "area_average_precision"] == pytest.approx(0.15)
    assert units.loc["full-data", "final_average_precision"] == pytest.approx(0.99)
    assert units["area_average_precision"].isna().tolist() == [False, False, True]


def test_a_curve_with_a_gap_has_no_area() -> None:
    whole = make_result("random", 0, [0.1, 0.2, 0.3])
    gap = whole.rounds[1].model_copy(
        update={"metrics": whole.rounds[1].metrics | {"minority_average_precision": None}}
    )
    result = whole.model_copy(update={"rounds": (whole.rounds[0], gap, whole.rounds[2])})
    unit = units_frame(rounds_frame([result])).iloc[0]
    assert pd.isna(unit["area_average_precision"])
    assert unit["final_average_precision"] == pytest.approx(0.3)
    assert unit["area_f1"] == pytest.approx(0.1)


def test_the_published_area_is_of_the_test_set_as_it_is_where_that_was_measured() -> None:
    plain = make_result("anchoral", 0, [0.2, 0.4, 0.4])
    assert units_frame(rounds_frame([plain]))["published_area_f1"][0] == pytest.approx(0.35)
    own = [
        record.model_copy(update={"metrics": {**record.metrics, "unweighted_minority_f1": 0.6}})
        for record in plain.rounds
    ]
    measured = plain.model_copy(update={"rounds": tuple(own)})
    units = units_frame(rounds_frame([measured, make_result("random", 0, [0.2, 0.4, 0.4])]))
    areas = units.set_index("method")["published_area_f1"]
    assert areas["anchoral"] == pytest.approx(1.2)
    # Two measures never stand in one column.
    assert np.isnan(areas["random"])
    assert units["area_f1"].tolist() == pytest.approx([0.175, 0.175])
