"""Memory that is told from other trouble, and given back."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import torch

from small_text_ext.training.memory import free_memory, is_out_of_memory, return_memory
from tests.sources import ROOT

# What is freed lies between what is kept, as after steps of many shapes.
FRAGMENTED = """
import numpy as np
from small_text_ext.training.memory import return_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

blocks = [np.ones(8_000) for _ in range(2_000)]
kept = blocks[::20]
del blocks
before = resident()
return_memory()
print(before - resident())
"""

HAS_TRIM = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not HAS_TRIM, reason="the allocator has no malloc_trim")
def test_what_was_freed_in_pieces_goes_back_to_the_system() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", FRAGMENTED],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert int(finished.stdout) > 60e6, "of 128 MB, of which a twentieth is still held"


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(ctypes, "CDLL", asked.append)
    monkeypatch.setattr(sys, "platform", "darwin")
    return_memory()
    assert asked == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no library is asked for")
def test_an_allocator_that_cannot_give_back_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    # A library without the function, such as musl.
    monkeypatch.setattr(ctypes, "CDLL", asked.append)
    return_memory()
    assert asked == [None]


def test_want_of_memory_is_told_from_other_errors() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.cuda.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(ValueError("out of range"))
    assert not is_out_of_memory(KeyboardInterrupt())
    free_memory()
