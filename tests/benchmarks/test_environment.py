from __future__ import annotations

import importlib.metadata
import os
import platform
from datetime import UTC, datetime

import pytest
import torch

from benchmarks.environment import describe_environment, git_output, package_versions
from small_text_ext.training import precision


def test_the_machine_and_its_packages_are_described() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    place = describe_environment(3, None)
    assert place.python == platform.python_version()
    assert place.packages["numpy"] == importlib.metadata.version("numpy")
    assert (place.threads, place.device) == (3, "auto")
    assert str(os.cpu_count()) in place.cpu or place.cpu == platform.machine()
    assert before <= datetime.fromisoformat(place.finished_at) <= datetime.now(UTC)
    assert place.system.startswith(platform.system())
    assert (place.gpu is None) is not torch.cuda.is_available()
    assert describe_environment(1, "cpu").gpu is None
    assert describe_environment(1, "cuda").device == "cuda"


@pytest.mark.parametrize("has_it", [True, False])
def test_whether_there_is_bfloat16_is_said(has_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def has_bfloat16(device: torch.device) -> bool:
        asked.append(device.type)
        return has_it

    monkeypatch.setattr(precision, "has_bfloat16", has_bfloat16)
    assert describe_environment(1, "cpu").bfloat16 is has_it
    assert asked == ["cpu"]
    assert describe_environment(1, "no such device").bfloat16 is None


def test_a_package_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "hnswlib":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = package_versions.__wrapped__()
    assert "hnswlib" not in found
    assert found["torch"] == "1.0"


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    git_output.cache_clear()
    try:
        place = describe_environment(1, None)
    finally:
        git_output.cache_clear()
    assert (place.revision, place.dirty) == (None, None)
