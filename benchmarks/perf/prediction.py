"""Texts a second in prediction: ours, and the host's at fixed lengths."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.datasets import LabeledTexts
from benchmarks.perf.contestants import Sides, host_dataset, our_dataset, set_host_batch_size
from benchmarks.perf.shared import ratios, synchronize
from benchmarks.suggestions import SuiteError
from small_text_ext.training.precision import Precision

# The length at which the host has all the texts it is given; longer padding, fewer texts.
_FULL_LENGTH = 128


@dataclass
class PredictionTiming:
    """What one way of predicting takes.

    Parameters
    ----------
    side : {"host", "ours"}
        Whose.
    precision : {"float32", "bfloat16"}
        Its arithmetic.
    num_texts : int
        How many texts were timed.
    max_length : int or None
        What the host pads to; ours pads to the longest of a batch.
    batch_size : int or None
        The host's; ours packs by tokens.
    seconds : list of float
        Of `predict_proba`, by repeat; ours tokenises in it.
    tokenizing : list of float
        Of the host's making of its dataset, by repeat; zero for ours.
    proba : numpy.ndarray of float64, shape (num_texts, num_classes)
        What the last repeat predicted.
    """

    side: str
    precision: Precision
    num_texts: int
    max_length: int | None = None
    batch_size: int | None = None
    seconds: list[float] = field(default_factory=list)
    tokenizing: list[float] = field(default_factory=list)
    proba: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def name(self) -> str:
        """What tables call it."""
        if self.side == "ours":
            return f"ours, {self.precision}"
        return f"host, padded to {self.max_length}, batch {self.batch_size}"

    def rates(self, with_tokenizing: bool = False) -> list[float]:
        """Return texts a second, by repeat; with the host's tokenising where asked for."""
        extra = self.tokenizing if with_tokenizing else [0.0] * len(self.seconds)
        return [self.num_texts / (a + b) for a, b in zip(self.seconds, extra, strict=True)]

    def as_json(self) -> dict[str, Any]:
        """Return all but the probabilities."""
        return {name: value for name, value in asdict(self).items() if name != "proba"}


@dataclass(frozen=True)
class PredictionPlan:
    """What is timed.

    Parameters
    ----------
    sample : LabeledTexts
        What ours predicts; the host predicts its first texts.
    num_host_texts : int
        How many of them at lengths of up to 128; fewer at longer ones, in proportion.
    fixed_lengths : tuple of int
        What the host pads to.
    batch_sizes : tuple of int
        The host's.
    """

    sample: LabeledTexts
    num_host_texts: int
    fixed_lengths: tuple[int, ...]
    batch_sizes: tuple[int, ...]

    def host_sample(self, max_length: int) -> LabeledTexts:
        """Return the texts that the host predicts at a length."""
        share = min(1.0, _FULL_LENGTH / max_length)
        number = min(len(self.sample), max(1, round(self.num_host_texts * share)))
        return self.sample.rows(np.arange(number))


def longest_text(sides: Sides, sample: LabeledTexts) -> int:
    """Return the tokens of the longest text: the smallest fixed length that cuts none."""
    tokenizer = sides.ours["float32"].tokenizer
    return max(len(ids) for ids in tokenizer(list(sample.texts), verbose=False)["input_ids"])


def check_lengths(fixed_lengths: Sequence[int], longest: int) -> None:
    """Check that no side cuts a text: both would not do the same work.

    Raises
    ------
    SuiteError
        If a text is longer than a fixed length.
    """
    shortest = min(fixed_lengths, default=longest)
    if shortest < longest:
        raise SuiteError(
            f"--max-length is {shortest}, but a text has {longest} tokens: small-text would cut it "
            "and do less work than ours. Ask for a greater length, or for fewer texts."
        )


def measure_prediction(
    sides: Sides, plan: PredictionPlan, repeats: int, report: Callable[[str], object]
) -> list[PredictionTiming]:
    """Time every way of predicting, in turn within each repeat.

    Parameters
    ----------
    sides : Sides
        Classifiers with equal weights.
    plan : PredictionPlan
        What to time.
    repeats : int
        How often.
    report : callable
        Told what is being timed.

    Returns
    -------
    list of PredictionTiming
        The host's first.
    """
    timings = _timings(sides, plan)
    for repeat in range(repeats):
        for timing in timings:
            report(f"repeat {repeat + 1} of {repeats}: prediction, {timing.name}")
            _predict(timing, sides, plan)
    return timings


def _timings(sides: Sides, plan: PredictionPlan) -> list[PredictionTiming]:
    host = [
        PredictionTiming("host", "float32", len(plan.host_sample(length)), length, batch_size)
        for length in plan.fixed_lengths
        for batch_size in plan.batch_sizes
    ]
    ours = [PredictionTiming("ours", precision, len(plan.sample)) for precision in sides.ours]
    return [*host, *ours]


def _predict(timing: PredictionTiming, sides: Sides, plan: PredictionPlan) -> None:
    start = time.perf_counter()
    classifier: Any
    if timing.max_length is None or timing.batch_size is None:
        classifier, dataset = sides.ours[timing.precision], our_dataset(plan.sample)
        tokenized = start
    else:
        classifier = sides.host
        set_host_batch_size(classifier, timing.batch_size)
        dataset = host_dataset(plan.host_sample(timing.max_length), classifier, timing.max_length)
        tokenized = time.perf_counter()
    timing.proba = classifier.predict_proba(dataset)
    synchronize()
    timing.seconds.append(time.perf_counter() - tokenized)
    timing.tokenizing.append(tokenized - start)


def best_host(timings: Sequence[PredictionTiming], max_length: int) -> PredictionTiming:
    """Return the host's timing at a length with the batch size that suits it best."""
    candidates = [timing for timing in timings if timing.max_length == max_length]
    return max(candidates, key=lambda timing: float(np.median(timing.rates())))


def our_timing(
    timings: Sequence[PredictionTiming], precision: Precision
) -> PredictionTiming | None:
    """Return our timing in a precision, None where the device has not got it."""
    found = [timing for timing in timings if (timing.side, timing.precision) == ("ours", precision)]
    return found[0] if found else None


def speedup(
    timings: Sequence[PredictionTiming], max_length: int, precision: Precision
) -> tuple[float, ...]:
    """Divide our texts a second by the host's best without its tokenising, repeat by repeat.

    Parameters
    ----------
    timings : sequence of PredictionTiming
        All of a run.
    max_length : int
        What the host pads to.
    precision : {"float32", "bfloat16"}
        Ours; the host computes in float32.

    Returns
    -------
    tuple of float
        One ratio per repeat; empty where the device has not got the precision.
    """
    ours = our_timing(timings, precision)
    if ours is None:
        return ()
    return ratios(ours.rates(), best_host(timings, max_length).rates())


def largest_difference(
    timings: Sequence[PredictionTiming], precision: Precision
) -> tuple[float, ...]:
    """Return how far our probabilities are from the host's.

    Returns
    -------
    tuple of float
        The one largest absolute difference over texts, classes and the host's lengths; empty
        where the device has not got the precision.
    """
    ours = our_timing(timings, precision)
    if ours is None:
        return ()
    hosts = [timing for timing in timings if timing.side == "host"]
    return (max(float(np.abs(ours.proba[: len(t.proba)] - t.proba).max()) for t in hosts),)
