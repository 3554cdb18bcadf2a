from __future__ import annotations

import numpy as np
import pytest

from benchmarks.labeled_samples import SampleSettings, draw_sample

LABELS = np.repeat([0, 1, 2], [50, 30, 3])


def drawn(seed: int = 0, **settings: int | None) -> list[int]:
    return [int(row) for row in draw_sample(LABELS, 3, SampleSettings(**settings), seed)]


def test_so_many_of_each_class_or_all_that_there_are() -> None:
    rows = drawn(per_class=8)
    assert np.bincount(LABELS[rows]).tolist() == [8, 8, 3]
    assert rows == sorted(set(rows))


def test_so_many_in_all() -> None:
    assert len(drawn(max_labels=20)) == 20
    assert len(drawn(per_class=8, max_labels=10)) == 10
    assert drawn(max_labels=500) == list(range(83))


def test_smaller_samples_are_parts_of_larger_ones() -> None:
    for few, more in (
        (drawn(per_class=2), drawn(per_class=9)),
        (drawn(max_labels=5), drawn(max_labels=50)),
        (drawn(per_class=9, max_labels=10), drawn(per_class=9)),
    ):
        assert set(few) < set(more)


def test_a_seed_decides() -> None:
    assert drawn(per_class=4) == drawn(per_class=4)
    assert drawn(per_class=4) != drawn(1, per_class=4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "give one"), ({"per_class": 0}, "per_class is 0"), ({"max_labels": -1}, "max_labels")],
)
def test_refused_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SampleSettings(**settings)
