"""The two seams every fit has: which items are trained, and who is told what was trained.

A trainer draws candidate batches, asks its `BatchSelector` which of the candidates are worth a
gradient step, trains those, and hands what it saw to its `Recorder`. Selection by reducible loss
is a selector and dataset cartography is a recorder; both work with every trainer of this package,
and neither owns a training loop.

Everything handed over a seam is a detached tensor: ids on the CPU, the rest on the model's device,
so that a recorder decides itself when to pay for a copy. Selectors and recorders are pickled with
their classifier: what is large in one belongs on disk, or out of its pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, runtime_checkable

from small_text_ext._random import derived_generator

if TYPE_CHECKING:
    import torch

Observe = Literal["training", "epoch_end", "held_out"]
_Choice = TypeVar("_Choice")


@dataclass(frozen=True, eq=False)
class FitPlan:
    """What is known of a fit before its first step.

    Parameters
    ----------
    ids : torch.Tensor of int64, shape (n,)
        The items that will be trained: positions in the training set as the user passed it. Items
        that were split off for validation are not among them.
    num_classes : int
        The number of columns of the logits.
    num_epochs : int
        The number of passes over the candidates; early stopping may end the fit before.
    batch_size : int
        How many items a step trains.
    multi_label : bool
        Whether labels are a matrix of zeros and ones instead of class ids.
    seed : int
        What a selector that draws derives its generator from.
    """

    ids: torch.Tensor
    num_classes: int
    num_epochs: int
    batch_size: int
    multi_label: bool
    seed: int


@dataclass(frozen=True, eq=False)
class CandidateBatch:
    """The items of which some are trained in the coming step.

    Parameters
    ----------
    ids : torch.Tensor of int64, shape (b,)
        Positions in the training set, on the CPU.
    labels : torch.Tensor, shape (b,) of int64, or (b, num_classes) of float32 if multi-label
        The labels.
    source : Any
        The ``inputs``, or a function that gathers them when they are asked for.
    score : callable
        ``score(training=False)`` is one forward pass of the current model over the candidates,
        logits of shape (b, num_classes) without a gradient; with ``training=True`` dropout is on,
        and every call is another stochastic pass. A selector that never calls it costs nothing.
    num_selected : int
        How many items the step should train. In the last, smaller batch of an epoch it shrinks in
        proportion.
    epoch : int
        The current epoch, from 0.
    sample : callable or None, default=None
        ``sample(num_samples)`` makes several stochastic passes at once, where a model can share
        work between them; None calls ``score(training=True)`` that often.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    source: Any
    score: Callable[..., torch.Tensor]
    num_selected: int
    epoch: int
    sample: Callable[[int], torch.Tensor] | None = None

    def samples(self, num_samples: int) -> torch.Tensor:
        """Return logits of several stochastic passes of the current model, dropout on.

        Parameters
        ----------
        num_samples : int
            The number of passes.

        Returns
        -------
        torch.Tensor, shape (num_samples, b, num_classes)
            Logits without a gradient.
        """
        if self.sample is not None:
            return self.sample(num_samples)
        import torch

        return torch.stack([self.score(training=True) for _ in range(num_samples)])

    @cached_property
    def inputs(self) -> Any:  # noqa: ANN401
        """What is trained on, for a selector that asks a model of its own.

        Vectors of shape (b, d) for a head, a list of b encoded texts without padding for an
        encoder, as `PackedForward` takes them.
        """
        return self.source() if callable(self.source) else self.source


@dataclass(frozen=True, eq=False)
class Selection:
    """The choice of a selector.

    Parameters
    ----------
    positions : torch.Tensor of int64, shape (k,)
        Positions in the candidate batch; one that occurs twice is trained twice.
    weights : torch.Tensor of float32, shape (k,), or None
        What each item's loss is multiplied with, as importance sampling needs; None is 1 for all.
    """

    positions: torch.Tensor
    weights: torch.Tensor | None = None


@runtime_checkable
class BatchSelector(Protocol):
    """Chooses which items of a candidate batch are trained.

    One that has a true attribute ``stale`` is asked a step ahead; see `one_ahead`.
    """

    def begin(self, plan: FitPlan) -> int:
        """Start a fit, forget the last one, and return the size of a candidate batch.

        A selector that finds the set too small to choose from returns ``plan.batch_size``: a
        candidate batch of that size leaves nothing to choose, and `select` is not called.
        """
        ...

    def select(self, batch: CandidateBatch) -> Selection:
        """Choose about ``batch.num_selected`` of the candidates, and at least one."""
        ...


@runtime_checkable
class Recorder(Protocol):
    """Is told the logits of the items of a fit, epoch by epoch.

    Attributes
    ----------
    observe : {"training", "epoch_end", "held_out"}
        "training": the logits of the training passes themselves, which cost nothing more, were
        computed with dropout on, and are those of weights that change within the epoch.
        "epoch_end": one more pass over all of ``plan.ids`` after each epoch, dropout off.
        "held_out": such a pass over the recorder's own ``held_out`` dataset, of which nothing is
        trained; ids are positions in it, and labels are zeros.
    """

    @property
    def observe(self) -> Observe:
        """When to be told."""
        ...

    def begin(self, plan: FitPlan) -> None:
        """Start a fit, and forget the last one."""
        ...

    def record(
        self, ids: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, epoch: int
    ) -> None:
        """Take the logits (b, num_classes) and labels of the items ``ids`` (b,) in one epoch."""
        ...

    def end(self, num_epochs: int) -> None:
        """Learn that the fit is over, and how many epochs were completed.

        Where it was stopped within an epoch, what was recorded of that one is not all of it. After
        a fit that failed this is not called.
        """
        ...


def tell_trained(recorder: Recorder | None, epoch: int) -> None:
    """Tell a recorder that an epoch is trained, before anything is shown to it.

    A recorder that wants to know, to stop a clock, has a method ``epoch_trained(epoch)``.

    Parameters
    ----------
    recorder : Recorder or None
        The recorder.
    epoch : int
        The epoch, from 0.
    """
    told = getattr(recorder, "epoch_trained", None)
    if told is not None:
        told(epoch)


class UniformSelector:
    """Trains a random part of each candidate batch: what every other selection is compared with.

    An epoch is one pass over the candidates, so at a candidate batch of ten times the trained
    batch an epoch trains a tenth of the items, as the selections it is compared with do.

    Parameters
    ----------
    candidate_batch_size : int
        How many items the choice is made from. At or below the trainer's batch size all of them
        are trained.

    Raises
    ------
    ValueError
        If ``candidate_batch_size`` is below 1.
    """

    def __init__(self, candidate_batch_size: int) -> None:
        if candidate_batch_size < 1:
            raise ValueError(
                f"candidate_batch_size is {candidate_batch_size}: pass an integer of at least 1."
            )
        self.candidate_batch_size = candidate_batch_size

    def begin(self, plan: FitPlan) -> int:
        """Seed the draws from the plan; see `BatchSelector.begin`."""
        self._rng = derived_generator(plan.seed, 1)
        return max(plan.batch_size, self.candidate_batch_size)

    def select(self, batch: CandidateBatch) -> Selection:
        """Draw ``batch.num_selected`` candidates without replacement."""
        import torch

        drawn = self._rng.choice(len(batch.ids), size=batch.num_selected, replace=False)
        return Selection(torch.from_numpy(drawn))


def begin_selection(
    selector: BatchSelector | None, plan: FitPlan
) -> tuple[BatchSelector | None, int]:
    """Start a selector's fit, and find out how many candidates it chooses from.

    Parameters
    ----------
    selector : BatchSelector or None
        None trains everything.
    plan : FitPlan
        What is known of the fit.

    Returns
    -------
    selector : BatchSelector or None
        None where there is nothing to choose.
    size : int
        The size of a candidate batch; without a choice, the batch size.

    Raises
    ------
    ValueError
        If the candidate batch is smaller than the batch.
    """
    if selector is None:
        return None, plan.batch_size
    size = selector.begin(plan)
    if size < plan.batch_size:
        raise ValueError(
            f"The batch selector chooses from {size} candidates, but batch_size is "
            f"{plan.batch_size}: make the candidate batch larger, or batch_size smaller."
        )
    return (None if size == plan.batch_size else selector), size


def looks_ahead(selector: BatchSelector | None) -> bool:
    """Tell whether what a step trains is to be chosen before the step that comes before it.

    Parameters
    ----------
    selector : BatchSelector or None
        The selector; one that has no attribute ``stale`` is asked as late as can be.

    Returns
    -------
    bool
        Whether it is.
    """
    return bool(getattr(selector, "stale", False))


def one_ahead(choices: Iterable[_Choice]) -> Iterator[_Choice]:
    """Yield the choices of an epoch, each as soon as the one after it has been made.

    What is trained in a step was then chosen with the weights before the step that came before,
    as if it had been chosen beside that step. The first choice of an epoch has no step before it,
    and is of the present weights.

    Parameters
    ----------
    choices : iterable
        Made one by one, when they are asked for.

    Yields
    ------
    object
        The choices, all of them, in their order.

    Examples
    --------
    >>> def chosen():
    ...     for step in range(3):
    ...         print("choose", step)
    ...         yield step
    >>> for step in one_ahead(chosen()):
    ...     print("train", step)
    choose 0
    choose 1
    train 0
    choose 2
    train 1
    train 2
    """
    waiting: list[_Choice] = []
    for choice in choices:
        yield from waiting
        waiting = [choice]
    yield from waiting


def checked_selection(selector: BatchSelector, batch: CandidateBatch) -> Selection:
    """Ask a selector, and check that its choice can be trained.

    Parameters
    ----------
    selector : BatchSelector
        The selector.
    batch : CandidateBatch
        The candidates.

    Returns
    -------
    Selection
        The choice, its positions on the CPU.

    Raises
    ------
    ValueError
        If it chooses nothing, what is no candidate, or not one weight per choice.
    """
    selection, name = selector.select(batch), type(selector).__name__
    positions, weights = selection.positions.cpu(), selection.weights
    if len(positions) == 0:
        raise ValueError(
            f"{name} chose none of {len(batch.ids)} candidates: a selector must choose at least "
            "one."
        )
    if int(positions.min()) < 0 or int(positions.max()) >= len(batch.ids):
        raise ValueError(
            f"{name} chose the positions {int(positions.min())} to {int(positions.max())} of "
            f"{len(batch.ids)} candidates: a selector must return positions in the batch."
        )
    if weights is not None and weights.shape != positions.shape:
        raise ValueError(
            f"{name} returned weights of shape {tuple(weights.shape)} for {len(positions)} "
            "choices: return one weight per choice, or None."
        )
    return Selection(positions, weights)
