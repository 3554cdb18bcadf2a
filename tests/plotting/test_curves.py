from __future__ import annotations

import sys
from io import BytesIO
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from small_text_ext._statistics import bootstrap_interval
from small_text_ext.plotting.curves import (
    MethodStyle,
    method_styles,
    plot_differences,
    plot_learning_curves,
    summarize_curves,
)
from tests.sources import run_python


def _curves() -> pd.DataFrame:
    """Two methods, two seeds, three points; the second method lacks a seed at the last point."""
    rows = [
        (method, seed, labels, 0.01 * labels / 60 * (seed + 1), height + 0.1 * seed)
        for method, height in (("random", 0.1), ("anchoral", 0.4))
        for seed in (0, 1)
        for labels in (100, 125, 150)
    ]
    columns = ["method", "seed", "num_labeled", "minutes", "value"]
    return pd.DataFrame(rows[:-1], columns=columns)


def _axes() -> Axes:
    return Figure().subplots()


def test_curves_are_averaged_over_seeds_point_by_point() -> None:
    summary = summarize_curves(_curves())
    first, *_, lonely = summary.to_dict("records")
    assert (first["method"], first["num_labeled"], first["x"]) == ("random", 100, 100)
    assert [first["mean"], first["low"], first["high"]] == pytest.approx([0.15, 0.1, 0.2])
    assert summary["num_seeds"].tolist() == [2, 2, 2, 2, 2, 1]
    assert (lonely["method"], lonely["num_labeled"]) == ("anchoral", 150)
    assert lonely["mean"] == pytest.approx(0.4)
    assert np.isnan(lonely["low"]) and np.isnan(lonely["high"])


def test_against_time_a_point_stands_at_the_mean_time_of_its_seeds() -> None:
    summary = summarize_curves(_curves(), x="minutes")
    first = summary[(summary["method"] == "random") & (summary["num_labeled"] == 100)].iloc[0]
    assert first["x"] == pytest.approx(0.01 * 100 / 60 * 1.5)
    assert first["mean"] == pytest.approx(0.15)


def test_points_without_a_value_are_left_out() -> None:
    frame = _curves()
    frame.loc[(frame["method"] == "random") & (frame["num_labeled"] == 125), "value"] = np.nan
    labels = summarize_curves(frame).query("method == 'random'")["num_labeled"].tolist()
    assert labels == [100, 150]


def test_two_experiments_in_one_frame_are_refused() -> None:
    frame = pd.concat([_curves(), _curves()])
    with pytest.raises(ValueError, match="two rows for method 'random', seed 0, 100 labels"):
        summarize_curves(frame)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"frame lacks \['f1'\]"):
        summarize_curves(_curves(), y="f1")
    with pytest.raises(ValueError, match=r"frame lacks \['mean', 'low', 'high'\]"):
        plot_differences(_axes(), _curves())


def test_the_lines_hold_the_means_and_bear_the_names() -> None:
    ax = _axes()
    plot_learning_curves(ax, _curves())
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.lines}
    assert drawn["random"] == pytest.approx([0.15, 0.15, 0.15])
    assert drawn["anchoral"] == pytest.approx([0.45, 0.45, 0.4])
    assert len(ax.collections) == 2


def test_a_given_style_is_kept() -> None:
    style = MethodStyle("#123456", "s", "--")
    ax = _axes()
    plot_learning_curves(ax, _curves(), styles=dict.fromkeys(["random", "anchoral"], style))
    assert {line.get_color() for line in ax.lines} == {"#123456"}


def test_a_time_axis_is_logarithmic_and_names_its_units() -> None:
    ax = _axes()
    frame = _curves()
    frame["minutes"] = frame["num_labeled"].map({100: 0.0, 125: 0.01 / 60, 150: 50.0})
    plot_learning_curves(ax, frame, x="minutes", time_axis=True)
    assert ax.get_xscale() == "log"
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert labels == ["10 ms", "100 ms", "1 s", "10 s", "1 min", "10 min", "1 h"]
    assert [len(np.asarray(line.get_xdata())) for line in ax.lines] == [2, 2]


def test_a_short_time_axis_has_finer_ticks() -> None:
    ax = _axes()
    frame = _curves()
    frame["minutes"] = frame["num_labeled"].map({100: 3 / 60, 125: 10 / 60, 150: 0.9})
    plot_learning_curves(ax, frame, x="minutes", time_axis=True)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["5 s", "10 s", "30 s", "1 min"]


def test_ticks_of_a_narrow_time_axis_do_not_touch() -> None:
    figure = Figure(figsize=(3.3, 3))
    ax = figure.subplots()
    frame = _curves()
    frame["minutes"] = frame["num_labeled"].map({100: 0.08 / 60, 125: 1 / 60, 150: 9 / 60})
    plot_learning_curves(ax, frame, x="minutes", time_axis=True)
    figure.savefig(BytesIO(), format="png")
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert len(boxes) >= 2
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_bands_can_be_left_out() -> None:
    ax = _axes()
    plot_learning_curves(ax, _curves(), bands=False)
    assert len(ax.lines) == 2 and not ax.collections


def test_styles_differ_and_known_ones_are_nobody_elses() -> None:
    known = {"anchoral": MethodStyle("#D55E00", "o", "-")}
    names = [f"method-{number}" for number in range(60)]
    styles = method_styles([*names, "anchoral"], known)
    assert len(set(styles.values())) == 61
    assert styles["anchoral"] == known["anchoral"]
    assert len({styles[name].color for name in names[:7]}) == 7


def test_too_many_methods_are_refused() -> None:
    with pytest.raises(ValueError, match="methods holds 500 names"):
        method_styles(map(str, range(500)))


def test_differences_stand_in_order_and_one_seed_is_hollow() -> None:
    ax = _axes()
    frame = pd.DataFrame(
        [("more anchors", 0.1, 0.05, 0.15), ("entropy", -0.1, np.nan, np.nan)],
        columns=["method", "mean", "low", "high"],
    )
    plot_differences(ax, frame)
    assert len(ax.get_xticks()) <= 7
    names = {
        label.get_text(): place
        for label, place in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)
    }
    assert names["more anchors"] > names["entropy"]
    dots = ax.collections[-1]
    assert np.asarray(dots.get_offsets())[:, 0] == pytest.approx([0.1, -0.1])
    filled, hollow = np.asarray(dots.get_facecolor())
    assert not np.allclose(filled[:3], 1) and np.allclose(hollow[:3], 1)


def test_curves_show_on_the_picture() -> None:
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    figure.savefig(empty := BytesIO(), format="png")
    plot_learning_curves(ax, _curves())
    figure.savefig(drawn := BytesIO(), format="png")
    before, after = (imread(BytesIO(file.getvalue())) for file in (empty, drawn))
    assert (np.abs(after - before).max(axis=2) > 0.2).mean() > 0.01


def test_a_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    ax = _axes()
    monkeypatch.setitem(sys.modules, "matplotlib.ticker", None)
    with pytest.raises(ImportError, match=r"small-text-ext\[plot\]"):
        plot_learning_curves(ax, _curves(), x="minutes", time_axis=True)


def test_importing_the_package_loads_neither_matplotlib_nor_torch() -> None:
    code = "import sys, small_text_ext.plotting; print({'matplotlib', 'torch'} & set(sys.modules))"
    assert run_python(code).strip() == "set()"


def test_points_of_unequal_numbers_of_seeds_keep_their_own_intervals() -> None:
    frame = pd.DataFrame(
        {
            "method": "random",
            "seed": [2, 0, 1, 0, 1, 0],
            "num_labeled": [100, 100, 100, 125, 125, 150],
            "value": [0.9, 0.1, 0.4, 0.3, 0.2, 0.5],
        }
    )
    summary = summarize_curves(frame)
    assert summary["num_seeds"].tolist() == [3, 2, 1]
    for place, values in enumerate(([0.9, 0.1, 0.4], [0.3, 0.2])):
        interval = bootstrap_interval(values)
        assert interval is not None
        assert summary[["low", "high"]].iloc[place].tolist() == pytest.approx(
            [float(end) for end in interval]
        )
    assert summary[["low", "high"]].iloc[2].isna().all()


def test_without_intervals_the_means_are_the_same() -> None:
    frame = pd.DataFrame(
        {"method": "random", "seed": [0, 1], "num_labeled": 100, "value": [0.5, 0.25]}
    )
    summary = summarize_curves(frame, intervals=False)
    assert summary["mean"].tolist() == [0.375]
    assert summary[["low", "high"]].isna().all(axis=None)
