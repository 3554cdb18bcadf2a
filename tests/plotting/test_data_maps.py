from __future__ import annotations

import sys
import warnings
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from small_text_ext.plotting import plot_acquisitions, plot_data_map
from small_text_ext.plotting.data_maps import Palette, Style
from tests.plotting.made_up_maps import made_up_map

LEVELS = ["0.0", "0.2", "0.3", "0.5", "0.7", "0.8", "1.0"]


def _levels(figure: Figure) -> dict[str, PathCollection]:
    """Return what is drawn for each level, in the order in which it was."""
    drawn = [item for item in figure.axes[0].collections if isinstance(item, PathCollection)]
    return {str(item.get_label()): item for item in drawn}


def _places(figure: Figure) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(item.get_offsets()) for item in _levels(figure).values()])


def _sorted_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[np.lexsort(rows.T)]


def _legend(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def _heights(ax: Axes) -> list[float]:
    return [bar.get_height() for bar in ax.patches]  # type: ignore[attr-defined]


def test_every_item_is_drawn_at_its_place_with_its_level() -> None:
    metrics = made_up_map()
    levels = _levels(plot_data_map(metrics))
    assert list(levels) == LEVELS
    for count, drawn in enumerate(levels.values()):
        expected = metrics.loc[metrics["correctness"] == count, ["variability", "confidence"]]
        np.testing.assert_allclose(np.asarray(drawn.get_offsets()), expected)


def test_the_legend_has_all_epochs_in_order() -> None:
    figure = plot_data_map(made_up_map().query("correctness < 3"))
    assert _legend(figure) == LEVELS
    assert _legend(plot_data_map(made_up_map(num_epochs=30))) == [
        "0.00", "0.20", "0.40", "0.60", "0.80", "1.00"
    ]  # fmt: skip


def test_colours_and_markers_are_the_published_ones() -> None:
    levels = list(_levels(plot_data_map(made_up_map())).values())
    colors = [to_hex(np.asarray(item.get_facecolor())[0]) for item in levels]
    assert (colors[0], colors[-1]) == ("#5070db", "#d1483a")
    # What seaborn's diverging_palette gives for the level in between, within its rounding.
    np.testing.assert_allclose(
        np.asarray(levels[1].get_facecolor())[0, :3] * 255, (65, 86, 159), atol=2
    )
    shapes = {np.asarray(item.get_paths()[0].vertices).tobytes() for item in levels}
    assert len(shapes) == len(LEVELS)
    many = _levels(plot_data_map(made_up_map(num_epochs=8))).values()
    assert len({np.asarray(item.get_paths()[0].vertices).tobytes() for item in many}) == 1


def test_the_other_palette_has_no_red() -> None:
    levels = list(_levels(plot_data_map(made_up_map(), palette="colorblind")).values())
    ends = [to_hex(np.asarray(levels[end].get_facecolor())[0]) for end in (0, -1)]
    assert ends == ["#0072b2", "#e69f00"]


@pytest.mark.parametrize("style", ["published", "density"])
def test_regions_stand_at_their_published_places(style: Style) -> None:
    figure = plot_data_map(made_up_map(), style=style)
    places = {text.get_text(): text for text in figure.axes[0].texts}
    assert {name: places[name].xy for name in places} == {  # type: ignore[attr-defined]
        "ambiguous": (0.9, 0.5),
        "easy-to-learn": (0.27, 0.85),
        "hard-to-learn": (0.35, 0.25),
    }
    assert {text.get_rotation() for text in places.values()} == {350}


def test_histograms_count_items() -> None:
    metrics = made_up_map()
    confidence, variability, correctness = plot_data_map(metrics, max_points=10).axes[1:]
    assert [ax.get_ylabel() for ax in (confidence, variability, correctness)] == ["items"] * 3
    expected = np.histogram(metrics["confidence"], bins=20, range=(0, 1))[0]
    assert _heights(confidence) == expected.tolist()
    assert sum(_heights(variability)) == len(metrics)
    assert _heights(correctness) == np.bincount(metrics["correctness"], minlength=7).tolist()
    colors = [
        to_hex(ax.patches[0].get_facecolor()) for ax in (confidence, variability, correctness)
    ]
    assert colors == ["#622a87", "#008080", "#86bf91"]


def test_a_sample_is_a_subset_and_the_picture_says_so() -> None:
    metrics = made_up_map()
    figure = plot_data_map(metrics, max_points=100, seed=7)
    drawn = {tuple(row) for row in _places(figure)}
    everything = {tuple(row) for row in metrics[["variability", "confidence"]].to_numpy()}
    assert len(drawn) == 100
    assert drawn < everything
    assert "100 of 600 items,\nsampled with seed 7" in _texts(figure)
    assert not [text for text in _texts(plot_data_map(metrics)) if "sampled" in text]


def test_the_seed_decides_the_sample() -> None:
    metrics = made_up_map()
    first, again, other = (
        _sorted_rows(_places(plot_data_map(metrics, max_points=100, seed=seed)))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_rarest_level_is_on_top() -> None:
    metrics = made_up_map()
    orders = [item.get_zorder() for item in _levels(plot_data_map(metrics)).values()]
    counts = np.bincount(metrics["correctness"], minlength=7)
    assert int(np.argmax(orders)) == int(np.argmin(counts))
    assert int(np.argmin(orders)) == int(np.argmax(counts))


def test_the_envelope_bounds_every_item() -> None:
    metrics = made_up_map()
    (line,) = plot_data_map(metrics).axes[0].lines
    variability, confidence = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    np.testing.assert_allclose(variability, np.sqrt(confidence * (1 - confidence)))
    bound = np.interp(metrics["confidence"], confidence, variability)
    assert (metrics["variability"] <= bound + 1e-3).all()
    assert not plot_data_map(metrics, envelope=False).axes[0].lines


def test_density_counts_every_item() -> None:
    metrics = made_up_map()
    figure = plot_data_map(metrics, style="density", max_points=10)
    (hexagons,) = (item for item in figure.axes[0].collections if isinstance(item, PolyCollection))
    assert np.asarray(hexagons.get_array()).sum() == len(metrics)
    assert figure.axes[-1].get_xlabel() == "items in a hexagon"


def test_the_map_alone_on_axes_of_the_caller() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot_data_map(made_up_map(), axes=right, title="A map") is figure
    assert figure.axes == [left, right]
    assert not left.collections and right.get_title() == "A map"


@pytest.mark.parametrize("style", ["published", "density"])
@pytest.mark.parametrize("palette", ["published", "colorblind"])
def test_items_show_on_the_picture_without_a_warning(style: Style, palette: Palette) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_data_map(made_up_map(), style=style, palette=palette, title="Made up")
        figure.savefig(file := BytesIO(), format="png", dpi=40)
    picture = imread(BytesIO(file.getvalue()))
    assert (picture[:, :, :3].min(axis=2) < 0.9).mean() > 0.05


def test_texts_do_not_lie_over_each_other() -> None:
    figure = plot_data_map(made_up_map(), max_points=100, title="Made up")
    figure.savefig(BytesIO(), format="png", dpi=figure.dpi)
    ax = figure.axes[0]
    legend = ax.get_legend()
    assert legend is not None
    boxes = [text.get_window_extent() for text in (*ax.texts, ax.title, ax.xaxis.label)]
    boxes.append(legend.get_window_extent())
    overlaps = [(i, j) for i in range(len(boxes)) for j in range(i) if boxes[i].overlaps(boxes[j])]
    assert not overlaps
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width
        assert box.y0 >= 0 and box.y1 <= figure.bbox.height


def test_the_published_font_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["Georgia"])
    figure = plot_data_map(made_up_map(), title="Made up")
    assert figure.axes[0].title.get_fontfamily() == ["Georgia"]
    assert figure.axes[1].xaxis.get_major_ticks()[0].label1.get_fontfamily() == ["Georgia"]
    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["DejaVu Sans"])
    assert plot_data_map(made_up_map()).axes[0].title.get_fontfamily() != ["Georgia"]


def test_one_item_makes_a_map() -> None:
    figure, drawn = plot_data_map(made_up_map().iloc[:1], style="density"), BytesIO()
    figure.savefig(drawn, format="png", dpi=40)
    assert drawn.getvalue().startswith(b"\x89PNG")


def test_wrong_arguments_are_named() -> None:
    metrics = made_up_map()
    with pytest.raises(ValueError, match="style is 'pretty'"):
        plot_data_map(metrics, style="pretty")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="palette is 'rainbow'"):
        plot_data_map(metrics, palette="rainbow")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_points is 0"):
        plot_data_map(metrics, max_points=0)


def test_a_missing_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"small-text-ext\[plot\]"):
        plot_data_map(made_up_map())


def _acquired() -> pd.DataFrame:
    rows = [(1, "easy", 3), (1, "impossible", 1), (2, "hard", 4), (3, "medium", 2), (3, "hard", 2)]
    return pd.DataFrame(rows, columns=["round", "bucket", "count"])


def test_bars_are_stacked_in_order_of_difficulty() -> None:
    ax = Figure().subplots()
    plot_acquisitions(ax, _acquired().sample(frac=1, random_state=0))
    labels = [bars.get_label() for bars in ax.containers]
    assert labels == ["easy", "medium", "hard", "impossible"]
    heights = {bars.get_label(): [bar.get_height() for bar in bars] for bars in ax.containers}
    assert heights == {
        "easy": [3, 0, 0], "medium": [0, 0, 2], "hard": [0, 4, 2], "impossible": [1, 0, 0]
    }  # fmt: skip
    bottoms = [bars[0].get_y() for bars in ax.containers]
    assert bottoms == [0, 3, 3, 3]
    colors = {to_hex(bars[0].get_facecolor()) for bars in ax.containers}
    assert len(colors) == 4


def test_shares_of_a_round_add_up() -> None:
    ax = Figure().subplots()
    plot_acquisitions(ax, _acquired(), share=True)
    tops = [bar.get_y() + bar.get_height() for bar in ax.containers[-1]]
    assert tops == pytest.approx([1, 1, 1])
    assert ax.get_ylabel() == "share of acquired items"


def test_acquisitions_that_make_no_sense_are_refused() -> None:
    ax = Figure().subplots()
    with pytest.raises(ValueError, match=r"lacks \['count'\]"):
        plot_acquisitions(ax, _acquired().drop(columns="count"))
    with pytest.raises(ValueError, match=r"buckets \['simple'\].*'easy'"):
        plot_acquisitions(ax, _acquired().replace("easy", "simple"))
    with pytest.raises(ValueError, match="two counts of 'easy' in round 1"):
        plot_acquisitions(ax, pd.concat([_acquired(), _acquired()]))
    with pytest.raises(ValueError, match="count -1"):
        plot_acquisitions(ax, _acquired().assign(count=-1))
