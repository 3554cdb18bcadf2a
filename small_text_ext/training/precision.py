"""In which arithmetic a model computes, and where bfloat16 pays."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import torch

Precision = Literal["auto", "float32", "bfloat16", "float16"]

_KERNEL_CACHE, _KERNELS_KEPT = "ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128"

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype | None:
    """Return the lower precision to compute in, or None for float32.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16", "float16"}
        "auto" is bfloat16 where the hardware has it, see `has_bfloat16`, and float32 elsewhere.
        float16 is for GPUs without bfloat16 and nothing else.
    device : torch.device
        Where the model computes.

    Returns
    -------
    torch.dtype or None
        What to autocast to.

    Notes
    -----
    Where a CPU has bfloat16, importing this module sets the environment variable
    ``ONEDNN_PRIMITIVE_CACHE_CAPACITY`` to 128, unless it is set: kernels are compiled for each
    shape of a batch, and by default 1,024 are kept, so that memory grows over dozens of fits. It
    has an effect before the first kernel of a process.

    Raises
    ------
    ValueError
        If the name is unknown, or float16 is asked for on a CPU.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"precision is {precision!r}: pass one of {get_args(Precision)}.")
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(device) else "float32"
    if precision == "float16" and device.type != "cuda":
        raise ValueError(
            f"precision is 'float16', but the device is {device}: pass 'auto' or 'bfloat16'."
        )
    return _DTYPES.get(precision)


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether the hardware multiplies bfloat16 matrices; emulation would be slower.

    Parameters
    ----------
    device : torch.device
        A CPU (AVX512-BF16 or AMX) or a GPU (of compute capability 8 or above).

    Returns
    -------
    bool
        Whether it does; False on other kinds of devices.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


if has_bfloat16(torch.device("cpu")):
    os.environ.setdefault(_KERNEL_CACHE, _KERNELS_KEPT)


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Return a context in which a model computes in ``dtype``; None changes nothing."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def default_device(device: str | torch.device | None) -> torch.device:
    """Return the device that was asked for, or the best there is."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
