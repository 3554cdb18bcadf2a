from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.memory import megabytes_above, peak_memory, reset_peak

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a process"
)


def test_what_is_held_for_a_moment_counts() -> None:
    with peak_memory() as found:
        block = bytearray(80_000_000)
        del block
    assert found.megabytes is not None
    assert 75 < found.megabytes < 120


def test_what_was_held_before_does_not_count() -> None:
    before = bytearray(80_000_000)
    with peak_memory() as found:
        small = bytearray(1_000_000)
    assert len(before) > len(small)
    assert found.megabytes is not None
    assert found.megabytes < 40


def test_a_block_that_fails_is_measured_too() -> None:
    with pytest.raises(RuntimeError), peak_memory() as found:
        raise RuntimeError
    assert found.megabytes is not None


def test_the_peak_is_above_what_was_held_at_the_reset() -> None:
    before = reset_peak()
    assert before is not None
    held = bytearray(64_000_000)
    del held
    assert 60 < megabytes_above(before) < 90
