"""Which arithmetic is chosen where."""

from __future__ import annotations

import os

import pytest
import torch

from small_text_ext.training.precision import (
    autocast,
    default_device,
    has_bfloat16,
    resolve_precision,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True}, None),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
    ],
)
def test_auto_follows_the_hardware(
    capabilities: dict[str, bool],
    expected: torch.dtype | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", CPU) is expected
    assert has_bfloat16(CPU) is (expected is not None)


def test_names() -> None:
    assert resolve_precision("float32", CPU) is None
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16
    assert resolve_precision("float16", torch.device("cuda")) is torch.float16
    with pytest.raises(ValueError, match="float16"):
        resolve_precision("float16", CPU)
    with pytest.raises(ValueError, match="half"):
        resolve_precision("half", CPU)  # type: ignore[arg-type]


def test_autocast_changes_products_and_nothing_else() -> None:
    matrix = torch.ones(2, 2)
    with autocast(CPU, torch.bfloat16):
        assert (matrix @ matrix).dtype is torch.bfloat16
    with autocast(CPU, None):
        assert (matrix @ matrix).dtype is torch.float32


def test_the_device_that_was_asked_for() -> None:
    assert default_device("cpu") == CPU
    assert default_device(None).type in {"cpu", "cuda", "mps"}


def test_bfloat16_on_a_cpu_bounds_the_kernels_that_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    resolve_precision("float32", CPU)
    assert name not in os.environ
    resolve_precision("bfloat16", CPU)
    assert os.environ[name] == "128"
    monkeypatch.setenv(name, "1024")
    resolve_precision("bfloat16", CPU)
    assert os.environ[name] == "1024", "what a user has set stays"
