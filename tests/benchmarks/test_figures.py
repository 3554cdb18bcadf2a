from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from benchmarks.figures import ablation_figure, balance_figure, learning_figure, png_bytes
from benchmarks.frames import split_sections
from benchmarks.results import UnitResult
from benchmarks.tables import Comparison
from tests.benchmarks.synthetic import make_result, rising_curve

METHODS = {"random": 0.2, "seals": 0.6, "anchoral": 0.7}


def _results(num_seeds: int = 3) -> list[UnitResult]:
    results = []
    for seed in range(num_seeds):
        results += [
            make_result(name, seed, rising_curve(final, seed), subpool_size=500)
            for name, final in METHODS.items()
        ]
        results.append(make_result("full-data", seed, [0.8]))
        results.append(make_result("anchors-5", seed, rising_curve(0.5, seed), gain=3))
    return results


def _comparison(results: Sequence[UnitResult]) -> Comparison:
    (section,) = split_sections(results)
    return Comparison(section)


def _legend(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def _ink(figure: Figure) -> float:
    """Return the share of pixels that are not white."""
    picture = imread(BytesIO(png_bytes(figure)), format="png")
    return float((picture[..., :3].min(axis=2) < 0.9).mean())


def test_learning_curves_have_six_panels_a_ceiling_and_one_legend() -> None:
    figure = learning_figure(_comparison(_results()))
    assert len(figure.axes) == 6
    assert _legend(figure) == [*METHODS, "all labels of the pool"]
    for ax in figure.axes[:3]:
        levels = [line for line in ax.lines if line.get_label() == "all labels of the pool"]
        assert np.asarray(levels[0].get_ydata()) == pytest.approx([0.8, 0.8])
    assert [ax.get_xscale() for ax in figure.axes] == ["linear", "log", "log"] * 2
    assert _ink(figure) > 0.01


def test_the_curves_are_those_of_the_results() -> None:
    results = _results()
    figure = learning_figure(_comparison(results))
    line = next(line for line in figure.axes[0].lines if line.get_label() == "anchoral")
    expected = np.mean([rising_curve(0.7, seed) for seed in range(3)], axis=0)
    assert np.asarray(line.get_ydata()) == pytest.approx(expected)
    assert np.asarray(line.get_xdata()).tolist() == [100, 125, 150, 175, 200]


def test_balance_shows_the_pool_as_a_level() -> None:
    figure = balance_figure(_comparison(_results()))
    assert len(figure.axes) == 6
    assert _legend(figure) == [*METHODS, "share in the pool"]
    level = figure.axes[1].lines[-1]
    assert np.asarray(level.get_ydata()) == pytest.approx([0.005, 0.005])
    assert _ink(figure) > 0.01


def test_subpools_have_their_size_and_methods_their_area_and_minutes() -> None:
    results = _results()
    comparison = _comparison(results)
    area, minutes, size = balance_figure(comparison).axes[3:]
    assert np.asarray(size.lines[0].get_ydata()).tolist() == [500.0] * 4
    assert [label.get_text() for label in area.get_yticklabels()] == list(METHODS)
    for ax, measure, scale in (
        (area, "published_area_f1", 1),
        (minutes, "total_query_seconds", 60),
    ):
        drawn = np.asarray(ax.collections[-1].get_offsets())[:, 0]
        expected = [comparison.estimate(name, measure) for name in METHODS]
        assert drawn * scale == pytest.approx([found.mean for found in expected if found])


def test_without_any_subpool_the_panel_says_so() -> None:
    figure = balance_figure(_comparison([make_result("random", 0)]))
    assert len(figure.axes) == 3
    assert [text.get_text() for text in figure.axes[2].texts] == ["no method has a subpool"]


def test_where_all_classes_are_wanted_there_is_no_level() -> None:
    results = [make_result("anchoral", 0, subpool_size=110, dataset={"minority": ()})]
    figure = balance_figure(_comparison(results))
    for ax in figure.axes[1:3]:
        assert not ax.lines
        assert [text.get_text() for text in ax.texts] == ["all classes are wanted"]


def test_curves_in_the_upper_half_are_not_pressed_under_the_ceiling() -> None:
    high = [make_result("random", 0, (0.8, 0.82, 0.85), dataset={"minority": ()})]
    axes = learning_figure(_comparison(high)).axes
    assert 0.7 < axes[0].get_ylim()[0] < 0.8
    assert [ax.get_ylabel() for ax in (axes[0], axes[3])] == [
        "average precision, mean over classes",
        "F1, mean over classes",
    ]
    low = learning_figure(_comparison([make_result("random", 0, (0.1, 0.5, 0.85))])).axes
    assert low[0].get_ylim()[0] == 0
    assert low[0].get_ylabel() == "minority average precision"


def test_bands_are_drawn_against_labels_only_and_free_queries_not_against_their_time() -> None:
    figure = learning_figure(_comparison(_results()))
    drawn = [[str(line.get_label()) for line in ax.lines] for ax in figure.axes]
    ceiling = "all labels of the pool"
    assert drawn == [[*METHODS, ceiling], [*METHODS, ceiling], ["seals", "anchoral", ceiling]] * 2
    assert [len(ax.collections) for ax in figure.axes] == [3, 0, 0] * 2


def test_random_alone_is_drawn_in_every_panel() -> None:
    figure = learning_figure(_comparison([make_result("random", 0)]))
    assert [len(ax.lines) for ax in figure.axes] == [1] * 6


def test_ablations_are_drawn_as_differences() -> None:
    figure = ablation_figure(_comparison(_results()))
    (label,) = figure.axes[0].get_yticklabels()
    assert label.get_text() == "anchors-5"
    assert _ink(figure) > 0.005


def test_no_ablation_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no ablations"):
        ablation_figure(_comparison([make_result("anchoral", 0)]))


def test_a_metric_that_was_never_measured_leaves_an_empty_panel() -> None:
    result = make_result("random", 0)
    rounds = tuple(
        record.model_copy(update={"metrics": record.metrics | {"minority_average_precision": None}})
        for record in result.rounds
    )
    figure = learning_figure(_comparison([result.model_copy(update={"rounds": rounds})]))
    assert not figure.axes[0].lines and figure.axes[3].lines
    assert _ink(figure) > 0.005


def test_one_seed_is_drawn_and_called_so() -> None:
    figure = learning_figure(_comparison(_results(num_seeds=1)))
    assert "one seed" in str(figure.get_suptitle())


def test_the_same_figure_gives_the_same_bytes() -> None:
    first, second = (png_bytes(balance_figure(_comparison(_results(2)))) for _ in range(2))
    assert first == second
