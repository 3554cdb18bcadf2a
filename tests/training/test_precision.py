"""Which arithmetic is chosen where."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from small_text_ext.training.precision import (
    autocast,
    default_device,
    has_bfloat16,
    resolve_precision,
)
from tests.sources import ROOT

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


@pytest.mark.parametrize("given", [None, "1024"])
def test_kernels_that_are_kept_for_bfloat16_are_bounded(given: str | None) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    code = f"import os, small_text_ext.training.precision; print(os.environ.get({name!r}))"
    environment = {key: value for key, value in os.environ.items() if key != name}
    if given is not None:
        environment[name] = given
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    chosen = "128" if has_bfloat16(CPU) else None
    assert finished.stdout.strip() == str(given or chosen), "what a user has set stays"
