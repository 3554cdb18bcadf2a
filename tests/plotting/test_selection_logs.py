from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from small_text_ext.plotting import plot_selection_log
from small_text_ext.training.online_selection import ScoreSelector
from tests.training.test_online_selection import fitted


def made_up_log(num_steps: int = 60, num_classes: int = 3) -> pd.DataFrame:
    """Return three epochs of a selection, the first a warm-up without scores."""
    steps = np.arange(num_steps)
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(num_classes), num_steps)
    scored = steps >= num_steps // 3
    return pd.DataFrame(
        {
            "step": steps,
            "epoch": steps * 3 // num_steps,
            "num_candidates": 320,
            "num_selected": 32,
            "already_correct": np.where(scored, steps / num_steps, np.nan),
            "negative": np.where(scored, 0.25, np.nan),
            "mean_score": np.where(scored, 1.5, np.nan),
            "concentration": np.where(scored, 0.5, np.nan),
            "noisy": rng.uniform(0, 0.2, num_steps),
            **{f"class_{label}": shares[:, label] for label in range(num_classes)},
        }
    )


def lines(ax: Axes) -> dict[str, Any]:
    return {str(line.get_label()): np.asarray(line.get_ydata()) for line in ax.lines}


def panels(figure: Figure) -> tuple[Axes, Axes]:
    top, bottom = figure.axes
    return top, bottom


def test_the_lines_are_rolling_means_of_what_was_logged() -> None:
    log = made_up_log()
    top, bottom = (lines(ax) for ax in panels(plot_selection_log(log, window=4)))
    values = log["noisy"].to_numpy()
    expected = [values[max(0, i - 3) : i + 1].mean() for i in range(60)]
    np.testing.assert_allclose(top["known to be wrong, of the selected"], expected)
    correct = top["already correct, of the selected"]
    assert np.isnan(correct[:20]).all()
    # The mean of steps 20 and 21: those of the warm-up have none.
    np.testing.assert_allclose(correct[[20, 21, 40]], [20 / 60, 20.5 / 60, 38.5 / 60])
    assert top.keys() == {
        "already correct, of the selected",
        "known to be wrong, of the selected",
        "score below zero, of the candidates",
        "score held by the best fifth",
    }
    assert list(bottom) == ["class 0", "class 1", "class 2"]
    np.testing.assert_allclose(sum(bottom.values()), 1.0)


def test_one_step_is_no_mean_and_a_long_log_is_smoothed_by_itself() -> None:
    log = made_up_log()
    raw = lines(panels(plot_selection_log(log, window=1))[1])["class 1"]
    np.testing.assert_array_equal(raw, log["class_1"])
    long = made_up_log(600)
    _, bottom = panels(plot_selection_log(long))
    assert bottom.get_xlabel() == "step (means of 12)"
    assert lines(bottom)["class 1"].std() < 0.5 * long["class_1"].std()


def test_the_rate_of_noise_is_what_chance_would_choose() -> None:
    top, _ = panels(plot_selection_log(made_up_log(), noise_rate=0.1))
    assert lines(top)["wrong, of all items"].tolist() == [0.1, 0.1]


def test_what_was_not_measured_is_left_out_and_colours_stay() -> None:
    whole, _ = panels(plot_selection_log(made_up_log()))
    log = made_up_log().assign(already_correct=np.nan).drop(columns="noisy")
    part, _ = panels(plot_selection_log(log))
    assert len(part.lines) == 2
    colors = {str(line.get_label()): line.get_color() for line in whole.lines}
    for line in part.lines:
        assert line.get_color() == colors[str(line.get_label())]


def test_of_many_classes_those_that_are_selected_most_are_drawn() -> None:
    log = made_up_log(num_classes=20)
    log["class_17"] += 1.0
    _, bottom = panels(plot_selection_log(log))
    assert len(bottom.lines) == 12
    assert "class 17" in lines(bottom)


def test_epochs_are_marked_where_they_begin() -> None:
    top, _ = panels(plot_selection_log(made_up_log()))
    (marks,) = (item for item in top.collections)
    assert [np.asarray(path.vertices)[0, 0] for path in marks.get_paths()] == [20.0, 40.0]
    many, _ = panels(plot_selection_log(made_up_log(90).assign(epoch=np.arange(90))))
    assert not many.collections


def test_logs_of_a_fit_are_drawn() -> None:
    selector = ScoreSelector("loss", selected_fraction=0.25, known_noisy=[0, 1, 2])
    fitted(selector)
    for log in (selector.log, selector.log.frame()):
        figure, drawn = plot_selection_log(log, noise_rate=3 / 240, title="a fit"), BytesIO()
        figure.savefig(drawn, format="png", dpi=40)
        assert drawn.getvalue().startswith(b"\x89PNG")
        assert figure.axes[0].get_title() == "a fit"


def test_what_cannot_be_drawn_is_named() -> None:
    log = made_up_log()
    with pytest.raises(ValueError, match="no rows: all was trained"):
        plot_selection_log(log.iloc[:0])
    with pytest.raises(ValueError, match=r"lacks \['epoch'\]"):
        plot_selection_log(log.drop(columns="epoch"))
    with pytest.raises(ValueError, match=r"noise_rate is 10: pass a share"):
        plot_selection_log(log, noise_rate=10)
    with pytest.raises(ValueError, match="window is 0"):
        plot_selection_log(log, window=0)


def test_a_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"small-text-ext\[plot\]"):
        plot_selection_log(made_up_log())
