from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from small_text_ext._random import derived_generator, preserved_global_state, resolve_seed


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002


def test_the_same_parts_give_the_same_draws() -> None:
    assert derived_generator(1, 2).random() == derived_generator(1, 2).random()
    assert derived_generator(1, 2).random() != derived_generator(1, 3).random()
    assert derived_generator(1, 2).random() != derived_generator(2, 2).random()


def test_no_seed_is_another_one_every_time() -> None:
    assert resolve_seed(None) != resolve_seed(None)
    assert resolve_seed(np.int64(4)) == 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), ("1", TypeError), (1.0, TypeError), (True, TypeError)]
)
def test_bad_seeds(seed: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="seed is"):
        resolve_seed(seed)  # type: ignore[arg-type]


def test_global_states_are_put_back_even_after_an_error() -> None:
    with preserved_global_state(torch=True):
        expected = draws()
    with pytest.raises(RuntimeError, match="stop"), preserved_global_state(3, torch=True):
        draws()
        raise RuntimeError("stop")
    with preserved_global_state(torch=True):
        assert draws() == expected


def test_a_seed_makes_the_block_repeatable() -> None:
    seen = []
    for _ in range(2):
        with preserved_global_state(9, torch=True):
            seen.append(draws())
        draws()
    assert seen[0] == seen[1]
