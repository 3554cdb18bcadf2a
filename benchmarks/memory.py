"""How much memory a block of code takes at most, above what was held before it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_KILOBYTE, _MEGABYTE = 1024, 1e6


@dataclass
class PeakMemory:
    """What a block took.

    Attributes
    ----------
    megabytes : float or None
        The most that was held at a time above what was held at the start: of the GPU where one was
        used, else of the process. None where the system does not tell (it is Linux that does).
    """

    megabytes: float | None = None


@contextmanager
def peak_memory() -> Iterator[PeakMemory]:
    """Measure the block.

    What an allocator keeps from before is not counted twice, and what a block takes from it is not
    seen: in a process that has done the same before, the number is too low.

    Yields
    ------
    PeakMemory
        Filled in when the block ends.

    Examples
    --------
    >>> with peak_memory() as found:
    ...     block = bytearray(50_000_000)
    >>> found.megabytes is None or found.megabytes > 40
    True
    """
    from small_text_ext.training.memory import return_memory

    found = PeakMemory()
    gc.collect()
    return_memory()
    on_gpu = _start_gpu()
    before = reset_peak()
    try:
        yield found
    finally:
        if on_gpu is not None:
            found.megabytes = _gpu_peak(on_gpu)
        elif before is not None:
            found.megabytes = megabytes_above(before)


def reset_peak() -> int | None:
    """Forget the most that this process held so far.

    Returns
    -------
    int or None
        Bytes that it holds now; None where the system does not tell.
    """
    try:
        # The kernel forgets the highest mark.
        _RESET.write_text("5", encoding="ascii")
        return _held("VmRSS")
    except OSError:
        return None


def megabytes_above(before: int) -> float:
    """Return the most that this process held since `reset_peak`, above what it held then."""
    return max(0.0, (_held("VmHWM") - before) / _MEGABYTE)


def _held(name: str) -> int:
    status = _STATUS.read_text(encoding="ascii", errors="replace")
    for line in status.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KILOBYTE
    raise OSError(f"{_STATUS} has no {name}")


def _start_gpu() -> int | None:
    import torch

    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return int(torch.cuda.memory_allocated())


def _gpu_peak(before: int) -> float:
    import torch

    return (torch.cuda.max_memory_allocated() - before) / _MEGABYTE
