"""Where every random draw of this package comes from."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np

Seed = int | np.random.Generator | None


def resolve_seed(seed: Seed) -> int:
    """Turn what a user may pass as ``seed`` into the integer that everything is derived from.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        An integer is kept; a generator is asked for one draw; None draws fresh entropy once, so
        that even an unseeded object repeats itself after a save and load.

    Returns
    -------
    int
        A non-negative seed.

    Raises
    ------
    TypeError
        If ``seed`` is of another type.
    ValueError
        If ``seed`` is negative.
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**32))
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"seed is {seed!r}: pass an int, a numpy.random.Generator or None.")
    if seed < 0:
        raise ValueError(f"seed is {seed}: pass an integer of at least 0.")
    return int(seed)


def derived_generator(seed: int, *parts: int) -> np.random.Generator:
    """Return the generator for one purpose: same seed and parts, same draws.

    A query derives its generator from the seed and the number of labelled items, so neither
    earlier calls nor a second learner that shares the strategy change what it draws.

    Parameters
    ----------
    seed : int
        The seed of the object.
    *parts : int
        What tells this purpose from others of the same object, each at least 0.

    Returns
    -------
    numpy.random.Generator
        A new generator.

    Examples
    --------
    >>> draws = [int(derived_generator(7, 100).integers(1000)) for _ in range(2)]
    >>> draws[0] == draws[1]
    True
    """
    return np.random.default_rng([seed, *parts])


@contextmanager
def preserved_global_state(seed: int | None = None, torch: bool = False) -> Iterator[None]:
    """Run a block, then put the global random states of Python, numpy (and torch) back.

    One thread at a time: others that want the same wait.

    Parameters
    ----------
    seed : int or None, default=None
        If given, the global generators are seeded with it inside the block. small-text's own
        strategies draw from numpy's global state: this is how their picks follow our seed.
    torch : bool, default=False
        Whether torch's states (CPU and GPUs) are kept, and seeded, too. Imports torch.

    Yields
    ------
    None
        Control, with the states as described.
    """
    with _lock:
        yield from _preserved(seed, torch)


# The states are those of the whole process: two threads that seed and restore them at a time would
# each draw from, and put back, the other's.
_lock = RLock()


def _preserved(seed: int | None, torch: bool) -> Iterator[None]:
    # The legacy global state is not ours to draw from, only to hand to the host and to restore.
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        if seed is not None:
            random.seed(seed)
            np.random.set_state(np.random.RandomState(seed % 2**32).get_state())  # noqa: NPY002
        if torch:
            with _preserved_torch_state(seed):
                yield
        else:
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


@contextmanager
def _preserved_torch_state(seed: int | None) -> Iterator[None]:
    import torch

    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield
