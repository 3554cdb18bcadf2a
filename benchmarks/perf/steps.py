"""Seconds a training step takes: ours, the host's, and a bare loop over our batches."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import BATCH_SIZE, Sides, host_dataset, our_dataset
from benchmarks.perf.shared import ratios, synchronize
from small_text_ext.training.precision import Precision, autocast, resolve_precision
from small_text_ext.training.seams import FitPlan, Observe

_RATE, _WEIGHT_DECAY, _MAX_GRADIENT_NORM = 2e-5, 0.01, 1.0
# The host insists on a validation set, which is looked at after the last step.
_NUM_VALIDATED = 8


class StepClock:
    """Notes when each training pass of a model begins, and with what.

    Between the first and the last beginning lie all steps but the last one: backward pass,
    optimizer and the making of the next batch included, on every side alike.

    Parameters
    ----------
    model : torch.nn.Module
        The model that is trained.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model
        self.beginnings: list[float] = []
        self.inputs: list[Mapping[str, Tensor]] = []

    @contextmanager
    def watching(self) -> Iterator[StepClock]:
        """Watch the model, or a copy that is made of it, inside the block."""

        # Not a method: a copy of the model would report to a copy of this clock.
        def note(module: torch.nn.Module, _: object, inputs: Mapping[str, Tensor]) -> None:
            if module.training:
                synchronize()
                self.beginnings.append(time.perf_counter())
                self.inputs.append(inputs)

        handle = self.model.register_forward_pre_hook(note, with_kwargs=True)
        try:
            yield self
        finally:
            handle.remove()

    def seconds(self) -> float:
        """Return the mean of all steps but the last."""
        return (self.beginnings[-1] - self.beginnings[0]) / (len(self.beginnings) - 1)


class LabelLog:
    """A recorder that keeps the labels of every step, for the bare loop to train on.

    Parameters
    ----------
    observe : str, default="training"
        When it is told.
    """

    def __init__(self, observe: Observe = "training") -> None:
        self.observe = observe
        self.labels: list[Tensor] = []

    def begin(self, plan: FitPlan) -> None:
        """Forget the last fit."""
        self.labels = []

    def record(self, ids: Tensor, logits: Tensor, labels: Tensor, epoch: int) -> None:
        """Keep the labels."""
        self.labels.append(labels)

    def end(self, num_epochs: int) -> None:
        """Do nothing: the bare loop makes as many steps as were told."""


@dataclass
class StepTiming:
    """What a step takes on one side.

    Parameters
    ----------
    side : {"host", "ours", "bare"}
        Whose.
    precision : {"float32", "bfloat16"}
        Its arithmetic.
    num_steps : int
        Steps of a fit.
    max_length : int or None, default=None
        What the host pads to; the others pad to the longest of a batch.
    seconds : list of float
        Mean seconds of a step, by repeat.
    fits : list of float
        Seconds of the whole fit divided by its steps, by repeat: what is done once included.
    """

    side: str
    precision: Precision
    num_steps: int
    max_length: int | None = None
    seconds: list[float] = field(default_factory=list)
    fits: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What tables call it."""
        names = {
            "host": f"host, padded to {self.max_length}",
            "ours": f"ours, {self.precision}",
            "bare": f"bare torch loop over our batches, {self.precision}",
        }
        return names[self.side]

    def add(self, clock: StepClock, fit_seconds: float) -> None:
        """Add a repeat.

        Raises
        ------
        RuntimeError
            If the fit did not make the steps that it should have made.
        """
        if len(clock.beginnings) != self.num_steps:
            raise RuntimeError(
                f"{self.name}: {len(clock.beginnings)} steps were seen, {self.num_steps} expected."
            )
        self.seconds.append(clock.seconds())
        self.fits.append(fit_seconds / self.num_steps)

    def as_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def measure_steps(
    sides: Sides,
    sample: LabeledTexts,
    num_host_steps: int,
    host_length: int,
    repeats: int,
    report: Callable[[str], object],
) -> list[StepTiming]:
    """Time a fit of one epoch on every side, in turn within each repeat.

    Parameters
    ----------
    sides : Sides
        Fitted classifiers: none loads a model any more.
    sample : LabeledTexts
        What ours trains on; the host trains on its first texts.
    num_host_steps : int
        How many steps the host makes.
    host_length : int
        What it pads to.
    repeats : int
        How often.
    report : callable
        Told what is being timed.

    Returns
    -------
    list of StepTiming
        The host's first, then ours and the bare loop by precision.
    """
    host = StepTiming("host", "float32", num_host_steps, host_length)
    num_steps = math.ceil(len(sample) / BATCH_SIZE)
    pairs = [
        tuple(StepTiming(side, precision, num_steps) for side in ("ours", "bare"))
        for precision in sides.ours
    ]
    for repeat in range(repeats):
        report(f"repeat {repeat + 1} of {repeats}: training, {host.name}")
        _fit_host(sides, sample, host, host_length)
        for ours, bare in pairs:
            report(f"repeat {repeat + 1} of {repeats}: training, {ours.name}, and a bare loop")
            _fit_ours(sides, sample, ours, bare)
    return [host, *(timing for pair in pairs for timing in pair)]


def _fit_host(sides: Sides, sample: LabeledTexts, timing: StepTiming, max_length: int) -> None:
    dataset, validation = (
        host_dataset(sample.rows(np.arange(number)), sides.host, max_length)
        for number in (timing.num_steps * BATCH_SIZE, _NUM_VALIDATED)
    )
    with StepClock(sides.host.model).watching() as clock:
        seconds = _seconds(
            lambda: sides.host.fit(dataset, validation_set=validation, early_stopping="none")
        )
    timing.add(clock, seconds)


def _fit_ours(sides: Sides, sample: LabeledTexts, ours: StepTiming, bare: StepTiming) -> None:
    classifier, log = sides.ours[ours.precision], LabelLog()
    start = classifier.model
    model = copy.deepcopy(start)
    classifier.recorder = log
    with StepClock(start).watching() as clock:
        ours.add(clock, _seconds(lambda: classifier.fit(our_dataset(sample))))
    # A fit trains a copy: without it, every repeat starts from the same weights.
    classifier.model = start
    with StepClock(model).watching() as bare_clock:
        seconds = _seconds(lambda: train_bare(model, clock.inputs, log.labels, bare.precision))
    bare.add(bare_clock, seconds)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start


def train_bare(
    model: Any,  # noqa: ANN401
    batches: Sequence[Mapping[str, Tensor]],
    labels: Sequence[Tensor],
    precision: Precision,
) -> list[float]:
    """Train on batches that are given: the least that a training loop must do.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        What is trained, in place.
    batches : sequence of dict of str to torch.Tensor
        Padded inputs, on the device of the model.
    labels : sequence of torch.Tensor of int64, shape (b,)
        Their labels.
    precision : {"float32", "bfloat16"}
        The arithmetic of the forward pass.

    Returns
    -------
    list of float
        The loss of each step.
    """
    device = model.device
    dtype = resolve_precision(precision, device)
    # The fused kernel is what the Trainer takes too: the optimizer is the same on both sides.
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=_RATE, weight_decay=_WEIGHT_DECAY, fused=True
    )
    schedule = LambdaLR(optimizer, lambda step: 1 - step / len(batches))
    losses = []
    model.train()
    for inputs, targets in zip(batches, labels, strict=True):
        with autocast(device, dtype):
            logits = model(**inputs).logits
        loss = functional.cross_entropy(logits.float(), targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), _MAX_GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return [float(loss) for loss in losses]


def step_ratios(
    timings: Sequence[StepTiming],
    numerator: tuple[str, Precision],
    denominator: tuple[str, Precision],
) -> tuple[float, ...]:
    """Divide the seconds a step of one side by those of another, repeat by repeat.

    Parameters
    ----------
    timings : sequence of StepTiming
        All of a run.
    numerator, denominator : tuple of (str, str)
        Side and precision.

    Returns
    -------
    tuple of float
        One ratio per repeat; empty where a side was not timed.
    """
    by_key = {(timing.side, timing.precision): timing for timing in timings}
    if numerator not in by_key or denominator not in by_key:
        return ()
    return ratios(by_key[numerator].seconds, by_key[denominator].seconds)
