"""What a fit measured, and which of its states is the best."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class TrainingHistory:
    """What a fit measured.

    Attributes
    ----------
    train_losses : list of float
        Mean weighted loss of what was trained, per epoch.
    validation_losses : list of float
        Weighted loss of the validation set, per validation, of which there is one an epoch where
        nothing else was asked for; empty without a validation set.
    validation_steps : list of int
        After how many gradient steps each validation was made; of fine-tuned encoders only.
    validation_accuracies : list of float
        The share of the validation set's labels that was predicted; likewise.
    best_epoch : int
        The epoch, from 0, whose parameters the module has: the one of the lowest validation loss,
        or the last one without a validation set.
    num_steps : int
        How many gradient steps were made.
    """

    train_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best_epoch: int = 0
    num_steps: int = 0
    validation_steps: list[int] = field(default_factory=list)
    validation_accuracies: list[float] = field(default_factory=list)


class BestEpoch:
    """Keeps the parameters of the lowest validation loss, and counts validations without a lower.

    Only parameters that are trained, and buffers, are kept: a frozen encoder is not copied.

    Parameters
    ----------
    module : torch.nn.Module
        What is trained.
    patience : int or None
        Stop after this many validations without a lower loss; None never stops.

    Attributes
    ----------
    losses : list of float
        The validation losses.
    epoch : int
        The validation, from 0, of the lowest loss.
    """

    def __init__(self, module: nn.Module, patience: int | None) -> None:
        self.module, self.patience = module, patience
        self.losses: list[float] = []
        self.epoch = 0
        self.parameters: dict[str, Tensor] | None = None

    def should_stop(self, loss: float) -> bool:
        """Take the loss of another validation, and tell whether to stop.

        A loss that is not finite is never the best.
        """
        self.losses.append(loss)
        if math.isfinite(loss) and (self.parameters is None or loss < self.losses[self.epoch]):
            self.epoch = len(self.losses) - 1
            # On the CPU: a copy of a large encoder need not fit beside it.
            self.parameters = {
                name: value.detach().to("cpu", copy=True) for name, value in self._trained().items()
            }
        waited = len(self.losses) - 1 - self.epoch
        return self.patience is not None and waited >= self.patience

    def restore(self) -> None:
        """Put the best parameters back, where there was a validation."""
        if self.parameters is not None:
            self.module.load_state_dict(self.parameters, strict=False)

    def _trained(self) -> dict[str, Tensor]:
        frozen = {name for name, value in self.module.named_parameters() if not value.requires_grad}
        state = self.module.state_dict()
        return {name: value for name, value in state.items() if name not in frozen}
