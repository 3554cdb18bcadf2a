from __future__ import annotations

from benchmarks.perf.frozen import CONTESTANTS, PAIRS, Timing, pair_ratios


def test_ratios_are_the_peers_seconds_over_ours() -> None:
    timings = {name: Timing(name, [[2.0, 1.0, 1.0]]) for name in CONTESTANTS}
    peer = PAIRS[0][1]
    timings[peer] = Timing(peer, [[20.0, 3.0, 5.0]])
    row = pair_ratios(timings)[0]
    assert row["total"] == (7.0,)
    assert row["later"] == (4.0,)


def test_pairs_are_of_contestants() -> None:
    assert {name for pair in PAIRS for name in pair} == set(CONTESTANTS)
