"""The global random states, in a form that compares."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_states() -> tuple[Any, ...]:
    """Return the states of Python's, numpy's and torch's global generators."""
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    assert isinstance(legacy, dict)
    return (
        random.getstate(),
        legacy["state"]["key"].tobytes(),
        legacy["state"]["pos"],
        torch.get_rng_state().numpy().tobytes(),
    )
