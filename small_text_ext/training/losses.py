"""The loss of every fit in this package."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def weighted_losses(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return each item's loss: cross-entropy, or binary cross-entropy averaged over the classes.

    Parameters
    ----------
    logits : torch.Tensor, shape (n, num_classes)
        Scores before the softmax, or before the sigmoid if multi-label.
    labels : torch.Tensor, shape (n,) of int64, or (n, num_classes) of float if multi-label
        Class ids, or zeros and ones.
    weights : torch.Tensor of the shape of ``labels``
        Factors of the losses.

    Returns
    -------
    torch.Tensor, shape (n,)
        Losses in nats.

    Notes
    -----
    Two classes are no special case: small-text's transformer classifier trains them with a binary
    loss on each logit, and then predicts with a softmax over both.

    Examples
    --------
    >>> import torch
    >>> logits, labels = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> weighted_losses(logits, labels, torch.tensor([1.0, 2.0])).tolist()
    [0.6931471824645996, 1.3862943649291992]
    """
    if labels.ndim == 2:
        losses = functional.binary_cross_entropy_with_logits(
            logits, labels, weight=weights, reduction="none"
        )
        return losses.mean(dim=1)
    return functional.cross_entropy(logits, labels, reduction="none") * weights
