"""Errors for want of memory: told from others, and cleaned up after."""

from __future__ import annotations

import ctypes
import gc
import sys

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on a GPU or on the CPU.

    Parameters
    ----------
    error : BaseException
        What was raised.

    Returns
    -------
    bool
        Whether less at a time may help.
    """
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, torch.cuda.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, Exception) and bool(should_reduce_batch_size(error))


def return_memory() -> None:
    """Give what was freed on the CPU back to the system; does nothing where the allocator can't.

    Batches differ in shape, so what a fit frees is in pieces, which glibc keeps: over dozens of
    fits of an active learner it kept half a gigabyte.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def free_memory() -> None:
    """Give back what nobody holds any more; call it outside of the handler of the error.

    Inside, the traceback still holds the tensors of every frame.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
