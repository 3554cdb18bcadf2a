from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from small_text_ext.plotting import plot_map_difference
from tests.plotting.made_up_maps import made_up_map


def _dots(figure: Figure) -> dict[str, PathCollection]:
    drawn = [item for item in figure.axes[0].collections if isinstance(item, PathCollection)]
    return {str(item.get_label()): item for item in drawn}


def _note(figure: Figure) -> list[str]:
    (note,) = (text.get_text() for text in figure.axes[0].texts)
    return note.splitlines()


def _heights(figure: Figure, axis: str) -> list[float]:
    (ax,) = (ax for ax in figure.axes if ax.get_xlabel() == f"change in {axis}" and ax.patches)
    return [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]


def test_items_are_matched_by_guid_whatever_their_order() -> None:
    first, second = made_up_map(seed=0), made_up_map(seed=1)
    changes = second[["variability", "confidence"]] - first[["variability", "confidence"]]
    figure = plot_map_difference(first, second.sample(frac=1, random_state=0))
    drawn = np.concatenate([np.asarray(dots.get_offsets()) for dots in _dots(figure).values()])
    expected = changes.to_numpy()
    np.testing.assert_allclose(drawn[np.lexsort(drawn.T)], expected[np.lexsort(expected.T)])


def test_colours_are_thirds_of_the_first_map() -> None:
    first = made_up_map()
    dots = _dots(plot_map_difference(first, first.assign(variability=0.0)))
    assert list(dots) == ["easy", "ambiguous", "hard"]
    assert [len(np.asarray(drawn.get_offsets())) for drawn in dots.values()] == [200, 200, 200]
    # The variability became zero: the change is what the first map had.
    least = {name: -np.asarray(drawn.get_offsets())[:, 0].mean() for name, drawn in dots.items()}
    assert least["ambiguous"] > max(least["easy"], least["hard"])


def test_lines_end_at_the_mean_moves() -> None:
    first = made_up_map()
    figure = plot_map_difference(first, first.assign(confidence=first["confidence"] * 0.5))
    ends = [
        (float(np.ravel(line.get_xdata())[0]), float(np.ravel(line.get_ydata())[0]))
        for line in figure.axes[0].lines
        if line.get_marker() not in ("", "None", None)
    ]
    easy = first.nlargest(200, "confidence")["confidence"].mean()
    assert len(ends) == 3
    assert all(variability == pytest.approx(0) for variability, _ in ends)
    assert min(confidence for _, confidence in ends) == pytest.approx(-0.5 * easy, rel=0.1)


def test_correlations_and_numbers_are_printed() -> None:
    first, second = made_up_map(seed=0), made_up_map(seed=1)
    expected = np.corrcoef(first["confidence"][50:], second["confidence"][50:])[0, 1]
    lines = _note(
        plot_map_difference(first, second.iloc[50:], names=("tiny", "large"), max_points=100)
    )
    assert lines[0] == f"Pearson's r, confidence: {expected:.2f}"
    assert lines[2:] == ["550 items in both maps, 100 drawn", "50 in tiny alone"]
    still = first.assign(variability=0.2)
    assert "Pearson's r, variability: undefined" in _note(plot_map_difference(first, still))


def test_histograms_count_all_matched_items() -> None:
    first, second = made_up_map(seed=0), made_up_map(seed=1)
    figure = plot_map_difference(first, second, max_points=10)
    assert sum(len(np.asarray(dots.get_offsets())) for dots in _dots(figure).values()) == 10
    assert sum(_heights(figure, "variability")) == 600
    assert sum(_heights(figure, "confidence")) == 600


@pytest.mark.parametrize("num_items", [1, 2, 5, 600])
def test_maps_of_any_size_are_drawn(num_items: int) -> None:
    first, second = made_up_map(num_items), made_up_map(num_items, seed=1)
    figure, drawn = plot_map_difference(first, second), BytesIO()
    figure.savefig(drawn, format="png", dpi=40)
    assert drawn.getvalue().startswith(b"\x89PNG")
    assert sum(_heights(figure, "variability")) == num_items


def test_maps_that_do_not_match_are_refused() -> None:
    first = made_up_map()
    with pytest.raises(
        ValueError, match="No guid of 'first' is in 'second': the first ones are 'item-0' and 0"
    ):
        plot_map_difference(first, first.assign(guid=range(600)))
    with pytest.raises(ValueError, match="map 'second' has the guid 'item-0' twice"):
        plot_map_difference(first, pd.concat([first, first.iloc[:1]]))
    with pytest.raises(ValueError, match=r"map 'weak' lacks \['guid'\]"):
        plot_map_difference(first.drop(columns="guid"), first, names=("weak", "strong"))
    with pytest.raises(ValueError, match="map 'second' has no rows"):
        plot_map_difference(first, first.iloc[:0])
    with pytest.raises(ValueError, match="no finite place for row 0"):
        plot_map_difference(first, first.assign(confidence=np.nan))
    with pytest.raises(ValueError, match="max_points is 0"):
        plot_map_difference(first, first, max_points=0)
