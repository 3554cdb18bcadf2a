"""Where results come from: versions, revision, processor."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from benchmarks.results import Environment

_PACKAGES = (
    "accelerate",
    "cleanlab",
    "datasets",
    "hnswlib",
    "numpy",
    "peft",
    "scikit-learn",
    "scipy",
    "sentence-transformers",
    "setfit",
    "small-text",
    "small-text-ext",
    "tokenizers",
    "torch",
    "transformers",
)


def describe_environment(threads: int, device: str | None) -> Environment:
    """Describe this machine and this process.

    Parameters
    ----------
    threads : int
        Threads that a unit may use.
    device : str or None
        What was asked for; None is the classifiers' own choice.

    Returns
    -------
    Environment
        The description.
    """
    return Environment(
        python=platform.python_version(),
        packages=package_versions(),
        revision=git_output(("rev-parse", "HEAD")),
        dirty=_is_dirty(),
        cpu=_cpu_name(),
        threads=threads,
        device=device or "auto",
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        bfloat16=_has_bfloat16(device),
        system=f"{platform.system()} {platform.machine()}",
        gpu=_gpu_name(device),
    )


def _gpu_name(device: str | None) -> str | None:
    import torch

    from small_text_ext.training.precision import default_device

    try:
        found = torch.device(default_device(device))
        return torch.cuda.get_device_name(found) if found.type == "cuda" else None
    except (AssertionError, RuntimeError):  # a device that is none: the error of the unit says so
        return None


def _has_bfloat16(device: str | None) -> bool | None:
    from small_text_ext.training.precision import default_device, has_bfloat16

    try:
        return has_bfloat16(default_device(device))
    except RuntimeError:  # a device that is none: the error of the unit says so
        return None


@cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that numbers may depend on, where installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def git_output(arguments: Sequence[str]) -> str | None:
    """Return what git says about the folder of this file, or None where it is no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _is_dirty() -> bool | None:
    changes = git_output(("status", "--porcelain"))
    return None if changes is None else bool(changes)


@cache
def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({os.cpu_count()} cores)" if names else platform.machine()
