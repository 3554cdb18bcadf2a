"""Training of a small head on frozen vectors, with the two seams of every fit.

The Hugging Face Trainer costs ten times the work of a step on such a head. This loop costs the
step: the whole matrix stays where the model is, and a batch is one row selection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from small_text_ext._random import preserved_global_state
from small_text_ext.training.history import BestEpoch, TrainingHistory
from small_text_ext.training.losses import weighted_losses
from small_text_ext.training.seams import (
    BatchSelector,
    CandidateBatch,
    FitPlan,
    Recorder,
    begin_selection,
    checked_selection,
    looks_ahead,
    one_ahead,
    tell_trained,
)

_EVALUATION_ROWS = 16_384
_MOMENTUM = 0.9
_Choice = tuple[Tensor, Tensor | None]

HeadSchedule = Literal["linear", "constant"]


@dataclass(frozen=True, eq=False)
class HeadData:
    """Frozen vectors and what is to be learnt of them.

    Parameters
    ----------
    inputs : torch.Tensor of float32, shape (n, d)
        One vector per item.
    labels : torch.Tensor, shape (n,) of int64, or (n, num_classes) of float32 if multi-label
        Class ids, or zeros and ones.
    weights : torch.Tensor of float32, shape (n,), or (n, num_classes) if multi-label
        What each loss is multiplied with: class and sample weights in one.
    ids : torch.Tensor of int64, shape (n,)
        Positions in the user's training set, as the seams see them; on the CPU.
    num_classes : int
        The number of logits.
    """

    inputs: Tensor
    labels: Tensor
    weights: Tensor
    ids: Tensor
    num_classes: int


@dataclass(frozen=True)
class HeadTrainer:
    """Trains a module on frozen vectors by gradient descent with Nesterov's momentum.

    Momentum, not Adam: with a few positive items, steps along the gradient keep a linear head on
    the span of the vectors, as logistic regression does, while Adam's equal steps in every
    coordinate fill all the others with noise (on 100 MiniLM vectors with 10 positives AdamW's
    average precision was .18 where logistic regression's, and this trainer's, was .27).

    The loss of a step is the plain mean of the weighted losses of the items it trains, whatever
    the size of the batch. Shuffling has a generator of its own; dropout, which can only draw from
    torch's global one, is seeded, and the global states are put back after the fit.

    Parameters
    ----------
    num_epochs : int
        Passes over the (candidate) items.
    lr : float
        Learning rate of the first step.
    weight_decay : float
        L2 penalty: this times half the squared norm of the weight matrices is added to the mean
        loss; biases are left alone.
    batch_size : int
        Items that a step trains.
    early_stopping_patience : int or None, default=None
        With a validation set: stop after this many epochs without a lower loss; None never stops.
        The parameters of the best epoch are kept in either case.
    batch_selector : BatchSelector or None, default=None
        Chooses what is trained; None trains everything.
    recorder : Recorder or None, default=None
        Is told what was trained.
    seed : int, default=0
        Seeds shuffling and dropout.
    lr_scheduler_type : {"linear", "constant"}, default="linear"
        Whether the learning rate falls to zero over the planned steps, or stays.
    """

    num_epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    early_stopping_patience: int | None = None
    batch_selector: BatchSelector | None = None
    recorder: Recorder | None = None
    seed: int = 0
    lr_scheduler_type: HeadSchedule = "linear"

    def fit(
        self,
        module: nn.Module,
        data: HeadData,
        validation: HeadData | None = None,
        held_out: HeadData | None = None,
    ) -> TrainingHistory:
        """Train ``module`` in place, and leave it in evaluation mode.

        Parameters
        ----------
        module : torch.nn.Module
            Maps vectors (n, d) to logits (n, num_classes); on the device of ``data``. Where it has
            ``sampled_logits(vectors, num_samples)``, that makes several passes with dropout.
        data : HeadData
            The training items.
        validation : HeadData or None, default=None
            Decides which epoch is best and when to stop.
        held_out : HeadData or None, default=None
            What a recorder that observes held-out items is shown after each epoch.

        Returns
        -------
        TrainingHistory
            Losses, the best epoch, and the number of steps.

        Raises
        ------
        FloatingPointError
            If the loss is no longer finite.
        ValueError
            If the selector's candidate batch is smaller than the batch size, or if it chooses
            nothing.
        """
        with preserved_global_state(self.seed, torch=True):
            run, best = _Run(self, module, data), BestEpoch(module, self.early_stopping_patience)
            for epoch in range(self.num_epochs):
                run.train_epoch(epoch)
                run.observe_epoch_end(epoch, held_out)
                if validation is not None and best.should_stop(_mean_loss(module, validation)):
                    break
            best.restore()
        if self.recorder is not None:
            self.recorder.end(len(run.losses))
        module.eval()
        losses = best.losses
        return TrainingHistory(
            run.losses, losses, best.epoch if losses else len(run.losses) - 1, run.num_steps
        )


class _Run:
    """The state of one fit, gone with it."""

    def __init__(self, trainer: HeadTrainer, module: nn.Module, data: HeadData) -> None:
        self.module, self.data, self.recorder = module, data, trainer.recorder
        self.plan = FitPlan(
            ids=data.ids,
            num_classes=data.num_classes,
            num_epochs=trainer.num_epochs,
            batch_size=trainer.batch_size,
            multi_label=data.labels.ndim == 2,
            seed=trainer.seed,
        )
        self.selector, self.candidate_size = begin_selection(trainer.batch_selector, self.plan)
        if self.recorder is not None:
            self.recorder.begin(self.plan)
        # Looking ids up costs a small head's step as much as all else that recording does.
        self.ids_are_rows = torch.equal(data.ids.cpu(), torch.arange(len(data.ids)))
        self.optimizer = _optimizer(module, trainer.lr, trainer.weight_decay)
        self.lr, self.num_steps, self.losses = trainer.lr, 0, list[float]()
        self.decay = 1.0 if trainer.lr_scheduler_type == "linear" else 0.0
        self.planned_steps = trainer.num_epochs * math.ceil(len(data.ids) / self.candidate_size)
        self.generator = torch.Generator().manual_seed(trainer.seed)

    def train_epoch(self, epoch: int) -> None:
        self.module.train()
        order = torch.randperm(len(self.data.ids), generator=self.generator)
        # Batches of nearly equal size: after a rest of two texts, one of them rare and heavy, an
        # epoch's last step would undo the others.
        num_batches = math.ceil(len(order) / self.candidate_size)
        batches = torch.tensor_split(order, num_batches)
        choices: Iterator[_Choice] = (self.select(rows, epoch) for rows in batches)
        if looks_ahead(self.selector):
            choices = one_ahead(choices)
        trained = torch.cat([self.step(*choice, epoch) for choice in choices])
        self.losses.append(float(trained.mean()))
        if not math.isfinite(self.losses[-1]):
            raise FloatingPointError(
                f"The training loss of epoch {epoch} is {self.losses[-1]}: pass a smaller lr than "
                f"{self.lr}, or scale the vectors to unit length."
            )

    def step(self, rows: Tensor, factors: Tensor | None, epoch: int) -> Tensor:
        logits = self.module(self.data.inputs[rows])
        labels = self.data.labels[rows]
        losses = weighted_losses(logits, labels, self.data.weights[rows])
        if factors is not None:
            losses = losses * factors
        self.optimizer.zero_grad()
        losses.mean().backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * (1 - self.decay * self.num_steps / self.planned_steps)
        self.optimizer.step()
        self.num_steps += 1
        if self.recorder is not None and self.recorder.observe == "training":
            ids = rows if self.ids_are_rows else self.data.ids[rows]
            self.recorder.record(ids, logits.detach(), labels, epoch)
        return losses.detach()

    def select(self, rows: Tensor, epoch: int) -> _Choice:
        if self.selector is None:
            return rows, None
        batch = CandidateBatch(
            ids=self.data.ids[rows],
            labels=self.data.labels[rows],
            source=lambda: self.data.inputs[rows],
            score=lambda training=False: _logits(self.module, batch.inputs, training),
            num_selected=math.ceil(len(rows) * self.plan.batch_size / self.candidate_size),
            epoch=epoch,
            sample=self.sampler(rows),
        )
        selection = checked_selection(self.selector, batch)
        weights = selection.weights
        return rows[selection.positions], None if weights is None else weights.to(self.data.weights)

    def sampler(self, rows: Tensor) -> Callable[[int], Tensor] | None:
        sampled = getattr(self.module, "sampled_logits", None)
        if sampled is None:
            return None
        return lambda num_samples: sampled(self.data.inputs[rows], num_samples)

    def observe_epoch_end(self, epoch: int, held_out: HeadData | None) -> None:
        tell_trained(self.recorder, epoch)
        if self.recorder is None or self.recorder.observe == "training":
            return
        data = held_out if self.recorder.observe == "held_out" else self.data
        if data is None:
            return
        for ids, inputs, labels in zip(
            torch.split(data.ids, _EVALUATION_ROWS),
            torch.split(data.inputs, _EVALUATION_ROWS),
            torch.split(data.labels, _EVALUATION_ROWS),
            strict=True,
        ):
            self.recorder.record(ids, _logits(self.module, inputs), labels, epoch)


def _optimizer(module: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    matrices = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=lr, momentum=_MOMENTUM, nesterov=True, fused=True)


@torch.no_grad()
def _logits(module: nn.Module, inputs: Tensor, training: bool = False) -> Tensor:
    """Run one forward pass in the given mode; a no-grad tensor, so that weights may be made of it.

    Tensors of the inference mode could not be saved for the backward pass of the weighted loss.
    """
    mode = module.training
    module.train(training)
    try:
        logits: Tensor = module(inputs)
    finally:
        module.train(mode)
    return logits


def _mean_loss(module: nn.Module, data: HeadData) -> float:
    return float(weighted_losses(_logits(module, data.inputs), data.labels, data.weights).mean())
