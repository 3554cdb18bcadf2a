"""Which state of a fit is kept."""

from __future__ import annotations

import math

import torch
from torch import nn

from small_text_ext.training.history import BestEpoch


def test_the_lowest_loss_is_kept_and_patience_counts_from_it() -> None:
    module = nn.Linear(1, 1, bias=False)
    best = BestEpoch(module, patience=2)
    stops = []
    for value, loss in enumerate((3.0, 1.0, math.nan, 2.0)):
        with torch.no_grad():
            module.weight.fill_(float(value))
        stops.append(best.should_stop(loss))
    assert stops == [False, False, False, True]
    best.restore()
    assert float(module.weight) == 1.0
    assert best.epoch == 1


def test_without_a_finite_loss_nothing_is_put_back() -> None:
    module = nn.Linear(1, 1)
    best = BestEpoch(module, patience=None)
    assert not best.should_stop(math.inf)
    before = module.weight.clone()
    best.restore()
    assert torch.equal(module.weight, before)


def test_frozen_parameters_are_not_copied() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].requires_grad_(False)
    best = BestEpoch(module, patience=None)
    best.should_stop(1.0)
    assert best.parameters is not None
    assert set(best.parameters) == {"1.weight", "1.bias"}
