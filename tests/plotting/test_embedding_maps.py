from __future__ import annotations

import sys
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from small_text_ext.plotting import plot_embedding_map
from tests.contract.states import random_states


def made_up(
    num_classes: int = 3, rows: int = 60
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Return vectors, classes, and vectors in which classes are apart."""
    generator = np.random.default_rng(0)
    labels = np.arange(rows) % num_classes
    centers = generator.normal(size=(num_classes, 8))
    noise = generator.normal(size=(rows, 8))
    return noise, labels, centers[labels] + 0.05 * noise


def drawn(figure: Figure, panel: int = 0) -> list[PathCollection]:
    """Return what is drawn and not empty."""
    items = [i for i in figure.axes[panel].collections if isinstance(i, PathCollection)]
    return [item for item in items if len(np.asarray(item.get_offsets()))]


def places(figure: Figure, panel: int = 0) -> NDArray[np.float64]:
    """Return where texts are drawn, without the rings."""
    points = [item for item in drawn(figure, panel) if item.get_zorder() < 5]
    return np.concatenate([np.asarray(item.get_offsets()) for item in points])


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def is_subset(some: NDArray[np.float64], of: NDArray[np.float64]) -> bool:
    return {tuple(row) for row in some.round(9)} <= {tuple(row) for row in of.round(9)}


def test_pca_is_the_plane_of_largest_variance() -> None:
    before, labels, after = made_up()
    figure = plot_embedding_map(before, labels, after, method="pca")
    assert [ax.get_title() for ax in figure.axes] == ["before", "after"]
    for panel, vectors in enumerate((before, after)):
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        centred = unit - unit.mean(axis=0)
        values = np.linalg.svd(centred, compute_uv=False)
        found = np.linalg.svd(places(figure, panel), compute_uv=False)
        np.testing.assert_allclose(found, values[:2], rtol=1e-4)
        share = values[0] ** 2 / (values**2).sum()
        assert figure.axes[panel].get_xlabel() == f"component 1 ({share:.0%})"


def test_classes_that_are_apart_are_apart_in_tsne() -> None:
    before, labels, after = made_up()
    figure = plot_embedding_map(before, labels, after)
    means, spreads = [], []
    for item in drawn(figure, 1):
        points = np.asarray(item.get_offsets())
        assert len(points) == 20
        means.append(points.mean(axis=0))
        spreads.append(np.linalg.norm(points - means[-1], axis=1).max())
    gaps = [np.linalg.norm(a - b) for i, a in enumerate(means) for b in means[:i]]
    assert min(gaps) > 2 * max(spreads)


def test_the_largest_classes_have_looks_and_the_others_are_grey() -> None:
    before, _, _ = made_up(rows=600)
    sizes = np.r_[np.full(40, 5), [40, 50, 60, 50, 60, 70, 70]]
    labels = np.repeat(np.arange(47), sizes)
    names = [f"class {i}" for i in range(46)] + ["a name that is far too long for a legend"]
    figure = plot_embedding_map(before, labels, class_names=names, method="pca")
    expected = [*(f"class {i}" for i in range(40, 46)), "a name that is far too …"]
    assert legend(figure) == [*expected, "other classes"]
    others, *classes = drawn(figure)
    assert len(np.asarray(others.get_offsets())) == 200
    colors = [to_hex(np.asarray(item.get_facecolor())[0]) for item in (others, *classes)]
    shapes = {np.asarray(item.get_paths()[0].vertices).tobytes() for item in classes}
    assert len(set(colors)) == 8
    assert len(shapes) == 7
    three = plot_embedding_map(before, labels, method="pca", max_classes=3)
    assert legend(three) == ["42", "45", "46", "other classes"]


def test_few_classes_leave_none_grey() -> None:
    before, labels, _ = made_up()
    assert legend(plot_embedding_map(before, labels, method="pca")) == ["0", "1", "2"]
    unknown = np.where(labels == 1, -1.0, labels)  # floats, as small-text's may be
    assert legend(plot_embedding_map(before, unknown, method="pca")) == ["0", "2", "other classes"]


def test_picks_are_ringed_at_their_places() -> None:
    before, labels, after = made_up()
    picks = np.array([7, 3, 20])
    figure = plot_embedding_map(before, labels, after, picks=picks, method="pca")
    assert legend(figure) == ["0", "1", "2", "picked"]
    plain = plot_embedding_map(before, labels, after, method="pca")
    for panel in (0, 1):
        rings = [item for item in drawn(figure, panel) if item.get_zorder() == 5]
        black = np.asarray(rings[-1].get_offsets())
        assert len(black) == 3
        assert is_subset(black, places(plain, panel))
        assert len(places(figure, panel)) == 60  # a picked text is drawn once
        classes = {to_hex(np.asarray(i.get_facecolor())[0]) for i in drawn(plain, panel)}
        large = [i for i in drawn(figure, panel) if i.get_zorder() == 4]
        assert {to_hex(np.asarray(i.get_facecolor())[0]) for i in large} <= classes


def test_a_sample_holds_every_pick_and_the_picture_says_so() -> None:
    before, labels, _ = made_up(rows=300)
    figure = plot_embedding_map(
        before, labels, picks=np.arange(15), method="pca", max_points=40, seed=3
    )
    assert len(places(figure)) == 40
    assert len(np.asarray(drawn(figure)[-1].get_offsets())) == 15
    assert [text.get_text() for text in figure.axes[0].texts] == [
        "40 of 300 texts,\nsampled with seed 3"
    ]
    assert not plot_embedding_map(before, labels, method="pca").axes[0].texts


def test_the_same_seed_gives_the_same_picture() -> None:
    before, labels, _ = made_up()
    before_it = random_states()
    first = places(plot_embedding_map(before, labels, max_points=40, seed=2))
    assert random_states() == before_it
    np.testing.assert_array_equal(
        first, places(plot_embedding_map(before, labels, max_points=40, seed=2))
    )
    assert not np.array_equal(
        first, places(plot_embedding_map(before, labels, max_points=40, seed=3))
    )


@pytest.mark.parametrize("method", ["tsne", "pca"])
@pytest.mark.parametrize("rows", [2, 3, 5])
def test_few_texts_and_few_dimensions(method: Any, rows: int) -> None:  # noqa: ANN401
    alike = np.linspace(1, 2, rows)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_embedding_map(alike, np.zeros(rows), np.eye(rows), method=method)
        figure.savefig(BytesIO(), dpi=30)
    assert places(figure).tolist() == [[0, 0]] * rows
    assert np.ptp(places(figure, 1), axis=0).max() > 0


def test_the_legend_of_long_names_stays_inside() -> None:
    before, labels, after = made_up(num_classes=40, rows=400)
    names = [f"a rather long name no. {i:02}" for i in range(40)]
    for second in (None, after):
        figure = plot_embedding_map(
            before, labels, second, picks=[1], class_names=names, method="pca"
        )
        figure.savefig(BytesIO(), dpi=40)
        box = figure.legends[0].get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1


def test_it_is_drawn_without_a_display() -> None:
    before, labels, after = made_up()
    figure = plot_embedding_map(before, labels, after, picks=[1], title="round 3", method="pca")
    file = BytesIO()
    figure.savefig(file, dpi=40)
    file.seek(0)
    assert imread(file).std() > 0
    assert figure.get_suptitle() == "round 3"
    assert "matplotlib.pyplot" not in sys.modules


_VECTORS, _LABELS, _ = made_up()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "umap"}, "method is 'umap'"),
        ({"max_classes": 8}, "max_classes is 8: pass 1 to 7"),
        ({"max_points": 1}, "max_points is 1"),
        ({"after": _VECTORS[:5]}, r"\[60, 5\] rows"),
        ({"after": np.full((60, 2), np.inf)}, "after hold NaN or infinity"),
        ({"before": _VECTORS[:1], "labels": [0]}, "at least two"),
        ({"labels": [0, 1]}, r"labels have the shape \(2,\) for 60 texts"),
        ({"labels": _LABELS + 0.5}, "no class id"),
        ({"picks": [60]}, "picks reach from 60 to 60, there are 60"),
        ({"picks": [-1]}, "picks reach from -1"),
        ({"picks": [0.5]}, "picks is of float64"),
        ({"class_names": ["a", "b"]}, "the class 2, class_names has 2"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_input(options: dict[str, Any], message: str) -> None:
    given = {"before": _VECTORS, "labels": _LABELS, "method": "pca", **options}
    with pytest.raises(ValueError, match=message):
        plot_embedding_map(**given)
