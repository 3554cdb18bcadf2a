from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import Sides, our_dataset, precisions
from benchmarks.perf.steps import (
    LabelLog,
    StepClock,
    StepTiming,
    measure_steps,
    step_ratios,
    train_bare,
)


class LogitLog(LabelLog):
    """Keeps the logits of the last step, too."""

    logits: Tensor

    def record(self, ids: Tensor, logits: Tensor, labels: Tensor, epoch: int) -> None:
        super().record(ids, logits, labels, epoch)
        self.logits = logits


@pytest.fixture(scope="module")
def timings(sides: Sides, sample: LabeledTexts) -> list[StepTiming]:
    return measure_steps(sides, sample, 2, 64, 2, lambda message: None)


def test_every_side_is_timed_in_every_repeat(timings: list[StepTiming], sides: Sides) -> None:
    names = [(timing.side, timing.precision, timing.num_steps) for timing in timings]
    expected = [("host", "float32", 2)]
    for precision in sides.ours:
        expected += [("ours", precision, 3), ("bare", precision, 3)]
    assert names == expected
    assert all(len(timing.seconds) == len(timing.fits) == 2 for timing in timings)
    assert all(min(timing.seconds + timing.fits) > 0 for timing in timings)


def test_every_repeat_of_ours_starts_from_the_same_weights(
    timings: list[StepTiming], sides: Sides, sample: LabeledTexts
) -> None:
    """The fits are over, and the fixture's other users see what they were given."""
    assert timings
    float32 = sides.ours["float32"].model.state_dict()
    for classifier in sides.ours.values():
        state = classifier.model.state_dict()
        assert all(torch.equal(state[name], value) for name, value in float32.items())


def test_the_clock_watches_the_copy_that_a_fit_trains(sides: Sides, sample: LabeledTexts) -> None:
    classifier = copy.deepcopy(sides.ours["float32"])
    with StepClock(classifier.model).watching() as clock:
        classifier.predict_proba(our_dataset(sample))
        assert clock.beginnings == []
        classifier.fit(our_dataset(sample))
    assert len(clock.beginnings) == len(clock.inputs) == 3
    assert sum(len(inputs["input_ids"]) for inputs in clock.inputs) == len(sample)


def test_a_side_trains_in_its_own_arithmetic(sides: Sides, sample: LabeledTexts) -> None:
    """The fits that are timed are second ones, and the Trainer marks a model at the first."""
    for precision in precisions():
        classifier, log = copy.deepcopy(sides.ours[precision]), LogitLog()
        classifier.recorder = log
        classifier.fit(our_dataset(sample)).fit(our_dataset(sample))
        rounded = torch.equal(log.logits, log.logits.bfloat16().float())
        assert rounded == (precision == "bfloat16")


def test_the_mean_leaves_out_the_last_step() -> None:
    clock = StepClock(nn.Linear(1, 1))
    clock.beginnings = [10.0, 11.0, 14.0]
    assert clock.seconds() == 2.0


def test_the_bare_loop_does_what_the_fit_does(sides: Sides, sample: LabeledTexts) -> None:
    """Without dropout, and but for weight decay, nothing is left to chance."""
    classifier, log = copy.deepcopy(sides.ours["float32"]), LabelLog()
    for module in classifier.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    bare = copy.deepcopy(classifier.model)
    classifier.recorder, classifier.lr = log, 2e-5
    with StepClock(classifier.model).watching() as clock:
        classifier.fit(our_dataset(sample))
    losses = train_bare(bare, clock.inputs, log.labels, "float32")
    assert classifier.history_ is not None
    assert np.mean(losses) == pytest.approx(classifier.history_.train_losses[0], abs=1e-4)
    trained = dict(classifier.model.named_parameters())
    with torch.no_grad():
        distances = [float((p - trained[name]).abs().max()) for name, p in bare.named_parameters()]
    assert max(distances) < 2e-5
    assert np.mean(losses) != pytest.approx(losses[0], abs=1e-4)


def test_the_bare_loop_needs_the_labels_of_every_batch(sides: Sides) -> None:
    batches = [{"input_ids": torch.ones(2, 3, dtype=torch.int64)}]
    with pytest.raises(ValueError, match="zip"):
        train_bare(copy.deepcopy(sides.ours["float32"].model), batches, [], "float32")


def test_a_step_that_was_not_seen_is_an_error() -> None:
    clock = StepClock(nn.Linear(1, 1))
    clock.beginnings = [1.0, 2.0]
    with pytest.raises(RuntimeError, match="2 steps were seen, 3 expected"):
        StepTiming("ours", "float32", 3).add(clock, 1.0)


def test_fits_are_divided_by_their_steps() -> None:
    clock, timing = StepClock(nn.Linear(1, 1)), StepTiming("bare", "float32", 2)
    clock.beginnings = [1.0, 2.0]
    timing.add(clock, 5.0)
    assert (timing.seconds, timing.fits) == ([1.0], [2.5])


def test_ratios_are_those_of_the_named_sides() -> None:
    timings = [
        StepTiming("host", "float32", 3, 128, [9.0, 8.0]),
        StepTiming("ours", "float32", 3, None, [3.0, 2.0]),
    ]
    host, ours = ("host", "float32"), ("ours", "float32")
    assert step_ratios(timings, host, ours) == (3.0, 4.0)  # type: ignore[arg-type]
    assert step_ratios(timings, host, ("ours", "bfloat16")) == ()  # type: ignore[arg-type]
