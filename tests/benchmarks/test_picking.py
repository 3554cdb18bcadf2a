from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.picking import CONTESTANTS, ENGINE, HOST, OURS, clocked_picks
from small_text_ext.pool.vectors import unit_rows

VECTORS = unit_rows(np.random.default_rng(0).normal(size=(200, 8)))


@pytest.mark.parametrize("name", [ENGINE, HOST])
def test_contestants_pick_the_same(name: str) -> None:
    if name == ENGINE:
        pytest.importorskip("lightly_mundig", reason="lightly-mundig is not installed")
    expected = CONTESTANTS[OURS](VECTORS, 110, 30)
    assert list(CONTESTANTS[name](VECTORS, 110, 30)) == list(expected)


def test_picks_are_clocked(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", VECTORS)
    for name in CONTESTANTS:
        if name != ENGINE:
            seconds, _, picks = clocked_picks(name, tmp_path / "vectors.npy", 110, 30)
            assert seconds > 0
            assert picks == list(CONTESTANTS[name](VECTORS, 110, 30))
            assert len(set(picks)) == 30
            assert min(picks) >= 110
