"""Second models beside the one that is trained: cheaper scorers, and hold-outs that move.

Each is a `SideModel` of `ScoreSelector`: as ``scorer`` it is the proxy whose losses decide what is
trained, as ``irreducible_model`` it stands for the model of the hold-out set.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from small_text_ext._random import Seed, preserved_global_state, resolve_seed
from small_text_ext.training.batch_selection import training_loss
from small_text_ext.training.inference import MAX_TOKENS, PackedForward, read_logits
from small_text_ext.training.seams import CandidateBatch, FitPlan
from small_text_ext.training.tokens import Features, TextTokenizer

_NEW_LR, _GIVEN_LR = 2.0, 0.02


@dataclass
class _Running:
    """The copy that a fit changes."""

    model: Any
    optimizer: torch.optim.Optimizer
    device: torch.device


class _OwnModel(ABC):
    """Starts anew in each fit, and learns from what is selected unless it is frozen.

    It is always in evaluation mode: dropout would draw from the generator of the trained model.
    """

    def __init__(self, learn: bool) -> None:
        self.learn = learn
        self._plan: FitPlan | None = None
        self._running: _Running | None = None

    def begin(self, plan: FitPlan) -> None:
        """Start a fit, and forget the last one; see `SideModel`.

        Parameters
        ----------
        plan : FitPlan
            What is known of the fit.
        """
        self._plan, self._running = plan, None

    def logits(self, batch: CandidateBatch) -> Tensor:
        """Return the model's logits of the candidates.

        Parameters
        ----------
        batch : CandidateBatch
            The candidates.

        Returns
        -------
        torch.Tensor of float32, shape (b, num_classes)
            Logits, without a gradient.

        Raises
        ------
        ValueError
            If no fit was begun, or the model is of another number of classes.
        """
        running, plan = self._begun(batch)
        logits = self._evaluated(running, batch.inputs)
        if logits.shape[1] != plan.num_classes:
            raise ValueError(
                f"The side model has {logits.shape[1]} logits, and the trained one has "
                f"{plan.num_classes}: pass a model of as many classes."
            )
        return logits

    def update(self, batch: CandidateBatch, positions: Tensor) -> None:
        """Train one step on what was selected; a frozen model stays as it is.

        Parameters
        ----------
        batch : CandidateBatch
            The candidates.
        positions : torch.Tensor of int64
            What was selected of them.
        """
        if not self.learn:
            return
        running, _ = self._begun(batch)
        labels = batch.labels[positions.to(batch.labels.device)]
        with torch.enable_grad():
            logits = self._outputs(running, _taken(batch.inputs, positions))
            running.optimizer.zero_grad()
            training_loss(logits, labels.to(logits.device)).mean().backward()  # type: ignore[no-untyped-call]
        running.optimizer.step()

    def end(self) -> None:
        """Let go of the running model; see `SideModel.end`."""
        self._running = None

    @abstractmethod
    def _made(self, plan: FitPlan, batch: CandidateBatch) -> _Running:
        """Return what a fit starts with, when its first candidates are known."""

    @abstractmethod
    def _outputs(self, running: _Running, inputs: Any) -> Tensor:  # noqa: ANN401
        """Return logits, with a gradient."""

    def _evaluated(self, running: _Running, inputs: Any) -> Tensor:  # noqa: ANN401
        with torch.no_grad():
            return self._outputs(running, inputs)

    def _begun(self, batch: CandidateBatch) -> tuple[_Running, FitPlan]:
        if self._plan is None:
            raise ValueError("This side model is in no fit: call begin first, as a selector does.")
        if self._running is None:
            self._running = self._made(self._plan, batch)
        return self._running, self._plan

    def __getstate__(self) -> dict[str, Any]:
        # Every fit starts anew; what the last one made may lie on a GPU.
        return {**self.__dict__, "_plan": None, "_running": None}


class HeadSideModel(_OwnModel):
    """A small head on the vectors that a head is trained on.

    Without a module it starts from nothing in each fit and learns from what is selected by plain
    gradient descent, as the trained model does: a proxy, of another size, that scores in its place.
    With one, such as the ``model`` of a fitted `MLPClassification`, it starts from its parameters:
    a better informed scorer, or the model of the hold-out set. That one is updated at a hundredth
    of the rate in the paper's ablation, which its authors found unstable; ``learn=False`` keeps it
    as it is.

    Parameters
    ----------
    module : torch.nn.Module or None, default=None
        Maps vectors (b, d) to logits (b, num_classes); copied for each fit, and never changed.
        None makes a new head.
    hidden_size : int or None, default=None
        Of a new head: units of its one hidden layer. None is a linear head.
    lr : float or None, default=None
        Learning rate; it is divided by one more (for the biases) than the mean squared length of
        the first candidates, so that the scale of the vectors does not upset it. None is 2 for a
        new head, and a hundredth of that for a given module.
    learn : bool, default=True
        Whether it learns from what is selected; False freezes it. A new head must learn.
    seed : int, numpy.random.Generator or None, default=None
        Of the parameters of a new head: same seed, same start in every fit.

    Raises
    ------
    ValueError
        If an option is out of range, or contradicts another.

    Notes
    -----
    Weights of items and classes do not count in its loss, nor do importance weights of a rule.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022.

    Examples
    --------
    >>> proxy = HeadSideModel(hidden_size=4, seed=0)
    >>> proxy.begin(FitPlan(torch.arange(2), 2, 1, 1, False, 0))
    >>> inputs, labels = torch.eye(2), torch.tensor([0, 1])
    >>> batch = CandidateBatch(torch.arange(2), labels, inputs, lambda: torch.zeros(2, 2), 1, 0)
    >>> for _ in range(20):
    ...     proxy.update(batch, torch.tensor([0, 1]))
    >>> proxy.logits(batch).argmax(dim=1)
    tensor([0, 1])
    """

    def __init__(
        self,
        module: nn.Module | None = None,
        *,
        hidden_size: int | None = None,
        lr: float | None = None,
        learn: bool = True,
        seed: Seed = None,
    ) -> None:
        super().__init__(learn)
        if module is not None and hidden_size is not None:
            raise ValueError("hidden_size is of a new head: leave it out, or leave module out.")
        if module is None and not learn:
            raise ValueError("learn=False freezes a given module: pass one, or let it learn.")
        if hidden_size is not None and hidden_size < 1:
            raise ValueError(f"hidden_size is {hidden_size}: pass an integer of at least 1.")
        self.module, self.hidden_size = module, hidden_size
        self.lr = _checked_lr(lr if lr is not None else _NEW_LR if module is None else _GIVEN_LR)
        self.seed = resolve_seed(seed)

    def _made(self, plan: FitPlan, batch: CandidateBatch) -> _Running:
        inputs: Tensor = batch.inputs
        if not isinstance(inputs, Tensor):
            raise TypeError("HeadSideModel reads vectors: pass an EncoderSideModel for texts.")
        module = copy.deepcopy(self.module)
        if module is None:
            with preserved_global_state(self.seed, torch=True):
                module = _new_head(inputs.shape[1], self.hidden_size, plan.num_classes)
        module = module.to(inputs.device).eval()
        lr = self.lr / (1 + float(inputs.square().sum(dim=1).mean()))
        return _Running(module, torch.optim.SGD(module.parameters(), lr=lr), inputs.device)

    def _outputs(self, running: _Running, inputs: Any) -> Tensor:  # noqa: ANN401
        logits: Tensor = running.model(inputs)
        return logits

    def __getstate__(self) -> dict[str, Any]:
        module = None if self.module is None else copy.deepcopy(self.module).cpu()
        return {**super().__getstate__(), "module": module}


class EncoderSideModel(_OwnModel):
    """An encoder, smaller than the trained one, that reads the same tokens.

    Scores of a distilled encoder cost a fraction of the trained one's: with ten candidates for each
    text that is trained, most of what selection costs.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A sequence classification model with the vocabulary of the trained one, and as many
        classes; copied for each fit, and never changed. One that has not been fine-tuned knows
        nothing at first, and learns from what is selected.
    tokenizer : TextTokenizer
        Pads the texts; of the trained model's tokenizer.
    lr : float, default=2e-5
        Learning rate of AdamW.
    learn : bool, default=True
        Whether it learns from what is selected; False freezes it.
    max_tokens : int or None, default=None
        Padded tokens of a batch of scores; None is what suits the kind of device. A batch that is
        trained is not cut.

    Raises
    ------
    ValueError
        If the learning rate is not above 0.

    Notes
    -----
    Several processes have a model each, and all do the same. It computes in float32.

    References
    ----------
    S. Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and
    Not Yet Learnt", ICML 2022.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401
        tokenizer: TextTokenizer,
        *,
        lr: float = 2e-5,
        learn: bool = True,
        max_tokens: int | None = None,
    ) -> None:
        super().__init__(learn)
        self.model, self.tokenizer = model, tokenizer
        self.lr, self.max_tokens = _checked_lr(lr), max_tokens

    def _made(self, plan: FitPlan, batch: CandidateBatch) -> _Running:
        if isinstance(batch.inputs, Tensor):
            raise TypeError("EncoderSideModel reads encoded texts: pass a HeadSideModel here.")
        device = batch.labels.device
        model = copy.deepcopy(self.model).to(device).eval()
        return _Running(model, torch.optim.AdamW(model.parameters(), lr=self.lr), device)

    def _outputs(self, running: _Running, inputs: list[Features]) -> Tensor:
        padded = {k: v.to(running.device) for k, v in self.tokenizer.pad(inputs).items()}
        logits: Tensor = running.model(**padded).logits
        return logits.float()

    def _evaluated(self, running: _Running, inputs: list[Features]) -> Tensor:
        device = running.device
        max_tokens = self.max_tokens or MAX_TOKENS.get(device.type, MAX_TOKENS["cuda"])
        forward = PackedForward(running.model, self.tokenizer, device, None, max_tokens, False)
        (logits,) = forward(inputs, read_logits)
        return logits

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "model": copy.deepcopy(self.model).cpu()}


def _new_head(num_features: int, hidden_size: int | None, num_classes: int) -> nn.Module:
    """Return a linear head, or one with a hidden layer; its outputs are zero at first."""
    output = nn.Linear(hidden_size or num_features, num_classes)
    nn.init.zeros_(output.weight)
    nn.init.zeros_(output.bias)
    if hidden_size is None:
        return output
    return nn.Sequential(nn.Linear(num_features, hidden_size), nn.ReLU(), output)


def _checked_lr(lr: float) -> float:
    if not 0 < lr < math.inf:
        raise ValueError(f"lr is {lr}: pass a number above 0.")
    return lr


def _taken(inputs: Any, positions: Tensor) -> Any:  # noqa: ANN401
    if isinstance(inputs, Tensor):
        return inputs[positions.to(inputs.device)]
    return [inputs[position] for position in positions.tolist()]
