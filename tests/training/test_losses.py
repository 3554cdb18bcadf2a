"""The loss of every fit, against torch's own."""

from __future__ import annotations

import torch
from torch.nn import functional

from small_text_ext.training.losses import weighted_losses


def test_weighted_losses_agree_with_torch() -> None:
    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    weights = torch.linspace(0.5, 2.0, 7)
    single = functional.cross_entropy(logits, labels, reduction="none") * weights
    torch.testing.assert_close(weighted_losses(logits, labels, weights), single)
    hot = functional.one_hot(labels, 3).float()
    entry_weights = weights[:, None].expand(7, 3)
    p = logits.sigmoid()
    multi = -(hot * p.log() + (1 - hot) * (1 - p).log()).mean(1) * weights
    torch.testing.assert_close(weighted_losses(logits, hot, entry_weights), multi)
