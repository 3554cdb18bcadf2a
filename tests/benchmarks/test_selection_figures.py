from __future__ import annotations

import pytest

from benchmarks.selection_figures import selection_figure
from benchmarks.selection_tables import selection_comparisons
from tests.benchmarks.test_selection_tables import FAST, NUM_SEEDS, SLOW, section, unit

pytest.importorskip("matplotlib")


def test_conditions_have_a_panel_each_with_the_target_as_a_line() -> None:
    noisy = [
        unit("uniform-20", seed, SLOW, score="uniform", noise=0.2) for seed in range(NUM_SEEDS)
    ]
    longer = [unit("longer", seed, FAST, score="uniform", passes=2.0) for seed in range(NUM_SEEDS)]
    figure = selection_figure(selection_comparisons(section(*noisy, *longer)), "a title")
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert titles == ["labels as they are", "20 % wrong labels"]
    clean, wrong = figure.axes[:2]
    names = clean.get_legend_handles_labels()[1]
    assert set(names) == {"uniform", "loss", "reducible loss"}, "the longer run is not drawn"
    assert wrong.get_legend_handles_labels()[1] == ["uniform"]
    targets = [line.get_ydata()[0] for line in clean.get_lines() if len(line.get_ydata()) == 2]  # type: ignore[arg-type, index]
    assert targets == [pytest.approx(0.8025)]


def test_curves_that_do_not_exist_leave_an_empty_page() -> None:
    figure = selection_figure([], "nothing")
    assert [ax.axison for ax in figure.axes] == [False]
