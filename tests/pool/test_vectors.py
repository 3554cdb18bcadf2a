from __future__ import annotations

import numpy as np
import pytest

from small_text_ext.pool.vectors import unit_rows


def test_rows_have_length_one() -> None:
    rows = unit_rows(np.random.default_rng(0).normal(size=(20, 5)) * 100)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_unit_float32_rows_are_not_copied() -> None:
    rows = unit_rows(np.random.default_rng(0).normal(size=(20, 5)))
    assert unit_rows(rows) is rows


def test_no_rows_are_fine() -> None:
    assert unit_rows(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, 1e30])
def test_a_row_without_direction_is_named(bad: float) -> None:
    rows = np.ones((5, 3))
    rows[3] = bad
    with pytest.raises(ValueError, match=r"weights: 1 of 5 rows .* first row 3.*drop these texts"):
        unit_rows(rows, "weights")


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (4, 0)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pass a matrix"):
        unit_rows(np.ones(shape))
