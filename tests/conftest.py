"""What holds for every test: no network, no thread competition, and where the repository lies."""

from __future__ import annotations

import gc
import os

import pytest

# Before anything imports torch or the hub client: both read these once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SMALL_TEXT_PROGRESS_BARS", "0")


@pytest.fixture(scope="module", autouse=True)
def frozen_heap() -> None:
    """Leave what is imported out of the garbage collections that accelerate asks for.

    There are three in every fit, a quarter of a second each, in which the objects of torch and
    transformers are looked at again.
    """
    gc.freeze()
