from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from benchmarks.perf import CONTESTANTS, PAIRS, Timing, app, ratios


def test_both_sides_are_timed_in_one_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app,
        [
            "anchoral",
            "--pool",
            "1500",
            "--columns",
            "16",
            "--rounds",
            "3",
            "--repeats",
            "2",
            "--out",
            str(tmp_path / "perf.json"),
        ],
    )
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "perf.json").read_text())
    assert set(written["seconds"]) == set(CONTESTANTS)
    assert all(len(runs) == 2 and len(runs[0]) == 3 for runs in written["seconds"].values())
    assert all(value > 0 for row in written["ratios"] for value in row["total"])
    assert "AnchorSubsampling, HNSW (its default)" in result.output


def test_ratios_are_the_peers_seconds_over_ours() -> None:
    timings = {name: Timing(name, [[2.0, 1.0, 1.0]]) for name in CONTESTANTS}
    peer = PAIRS[0][1]
    timings[peer] = Timing(peer, [[20.0, 3.0, 5.0]])
    row = ratios(timings)[0]
    assert row["total"] == [7.0]
    assert row["later"] == [4.0]
