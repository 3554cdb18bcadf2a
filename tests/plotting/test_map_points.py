from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from small_text_ext.plotting.map_points import read_points
from tests.plotting.made_up_maps import made_up_map


def test_points_are_those_of_the_frame() -> None:
    metrics = made_up_map()
    points = read_points(metrics)
    assert len(points) == len(metrics)
    np.testing.assert_array_equal(points.variability, metrics["variability"])
    np.testing.assert_array_equal(points.confidence, metrics["confidence"])
    np.testing.assert_array_equal(points.levels, metrics["correctness"])


def test_the_number_of_epochs_is_not_the_largest_count() -> None:
    metrics = made_up_map().query("correctness < 5")
    assert read_points(metrics).num_epochs == 6
    assert read_points(metrics.drop(columns="correctness"), num_epochs=6).num_epochs == 6


@pytest.mark.parametrize("num_epochs", [1, 3, 6, 7, 20])
def test_fractions_alone_tell_the_epochs(num_epochs: int) -> None:
    fractions = np.round(np.arange(num_epochs + 1) / num_epochs, 4)
    metrics = pd.DataFrame(
        {"confidence": fractions, "variability": 0.1, "correctness_fraction": fractions}
    )
    points = read_points(metrics)
    assert points.num_epochs == num_epochs
    assert points.levels.tolist() == list(range(num_epochs + 1))


def test_released_coordinates_will_do() -> None:
    released = made_up_map()[["guid", "index", "confidence", "variability", "correctness"]]
    assert read_points(released, num_epochs=6).levels.tolist() == released["correctness"].tolist()
    with pytest.raises(ValueError, match="pass num_epochs"):
        read_points(released)
    with pytest.raises(ValueError, match=r"correctness 6 in row .*num_epochs is 5"):
        read_points(released, num_epochs=5)


def test_level_names_cover_every_level() -> None:
    metrics = made_up_map().query("correctness == 6")
    names = ["0.0", "0.2", "0.3", "0.5", "0.7", "0.8", "1.0"]
    assert read_points(metrics).level_names == names
    twenty = read_points(made_up_map(num_epochs=20)).level_names
    assert twenty[:3] == ["0.00", "0.05", "0.10"]
    assert len(set(twenty)) == 21


def test_what_is_no_map_is_refused() -> None:
    metrics = made_up_map()
    with pytest.raises(ValueError, match="no rows"):
        read_points(metrics.iloc[:0])
    with pytest.raises(ValueError, match="lacks 'variability'"):
        read_points(metrics.drop(columns="variability"))
    with pytest.raises(ValueError, match="num_epochs is 0"):
        read_points(metrics, num_epochs=0)
    for wrong in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match=r"confidence .* in row 3"):
            read_points(
                metrics.assign(confidence=metrics["confidence"].where(metrics.index != 3, wrong))
            )
