"""``perf dynamics``: what coordinates cost beside the published loop, and recording beside none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from small_text import SklearnDataset

from benchmarks.encoders import encode_dataset, resolve_encoder
from benchmarks.perf.contestants import our_classifier, our_dataset
from benchmarks.perf.shared import (
    REPEATS_HEADING,
    Target,
    compute_device,
    console,
    draw_texts,
    make_table,
    ratios,
    spread,
    synchronize,
    target_table,
    write_measurement,
)
from small_text_ext import MLPClassification, MLPModelArguments
from small_text_ext.training.dynamics import DynamicsRecorder, TrainingDynamics

NUM_ITEMS, NUM_EPOCHS, NUM_CLASSES = 67_349, 10, 2
"""The training set of SST-2, recorded for ten epochs."""

NEVER_CORRECT = 1000
_SECONDS_ASKED, _OVERHEAD_ASKED, _DIFFERENCE_ASKED = 0.2, 1.03, 1e-6
_LOOP_COLUMNS = ("confidence", "variability", "correctness", "forgetfulness", "threshold_closeness")

Say = Callable[[str], object]
MakeClassifier = Callable[[DynamicsRecorder | None], Any]


@dataclass
class MetricTimings:
    """Seconds of the coordinates of all items, repeat by repeat.

    Parameters
    ----------
    num_items, num_sampled : int
        Items, and those that the loop went through.
    ours, loop : list of float
        Seconds; those of the loop are extrapolated to all items.
    difference : float
        The largest difference between the two, on the sample.
    """

    num_items: int
    num_sampled: int
    ours: list[float] = field(default_factory=list)
    loop: list[float] = field(default_factory=list)
    difference: float = 0.0


@dataclass
class FitTimings:
    """Seconds of fits with and without a recorder, pair by pair."""

    name: str
    recorded: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)

    @property
    def overhead(self) -> tuple[float, ...]:
        """Seconds with a recorder over those without, pair by pair."""
        return ratios(self.recorded, self.plain)


def published_metrics(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.int64]
) -> list[dict[str, float]]:
    """Compute the published coordinates item by item, as the paper's code goes about it.

    Written anew for this comparison: one softmax of a tensor for each item and epoch, lists for
    each item, and then their means.

    Parameters
    ----------
    logits : numpy.ndarray, shape (epochs, items, classes)
        The logits.
    labels : numpy.ndarray of int64, shape (items,)
        The labels.

    Returns
    -------
    list of dict
        For each item its confidence, variability, correctness, forgetfulness and threshold
        closeness.
    """
    dynamics = {
        item: {"gold": int(labels[item]), "logits": logits[:, item].tolist()}
        for item in range(len(labels))
    }
    found = []
    for record in dynamics.values():
        correct, probabilities = [], []
        for scores in record["logits"]:
            probability = torch.nn.functional.softmax(torch.Tensor(scores), dim=-1)
            probabilities.append(float(probability[record["gold"]]))
            correct.append(bool(np.argmax(scores) == record["gold"]))
        confidence = float(np.mean(probabilities))
        found.append(
            {
                "confidence": confidence,
                "variability": float(np.std(probabilities)),
                "correctness": float(sum(correct)),
                "forgetfulness": float(_forgetting(correct)),
                "threshold_closeness": confidence * (1 - confidence),
            }
        )
    return found


def _forgetting(correct: list[bool]) -> int:
    if not any(correct):
        return NEVER_CORRECT
    learnt, times = False, 0
    for is_correct in correct:
        if learnt and not is_correct:
            times += 1
        learnt = is_correct
    return times


def measure_metrics(
    num_items: int, num_sampled: int, repeats: int, say: Say = lambda message: None
) -> MetricTimings:
    """Time the coordinates of made-up logits, and the loop on a sample of them, in turn.

    Parameters
    ----------
    num_items, num_sampled : int
        Items, and those that the loop goes through.
    repeats : int
        How often.
    say : callable, optional
        Told what is being timed.

    Returns
    -------
    MetricTimings
        Seconds.
    """
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(NUM_EPOCHS, num_items, NUM_CLASSES)).astype(np.float32)
    labels = generator.integers(NUM_CLASSES, size=num_items)
    dynamics = TrainingDynamics.from_logits(logits, labels)
    rows = generator.choice(num_items, size=num_sampled, replace=False)
    timings = MetricTimings(num_items, num_sampled)
    dynamics.metrics()
    for repeat in range(repeats):
        say(f"coordinates: repeat {repeat + 1} of {repeats}")
        start = time.perf_counter()
        ours = dynamics.metrics()
        between = time.perf_counter()
        theirs = published_metrics(logits[:, rows], labels[rows])
        end = time.perf_counter()
        timings.ours.append(between - start)
        timings.loop.append((end - between) * num_items / num_sampled)
    differences = [
        np.abs(ours[name].to_numpy()[rows] - [record[name] for record in theirs]).max()
        for name in _LOOP_COLUMNS
    ]
    timings.difference = float(max(differences))
    return timings


def measure_fits(
    name: str,
    make: MakeClassifier,
    train_set: Any,  # noqa: ANN401
    repeats: int,
    say: Say = lambda message: None,
) -> FitTimings:
    """Time fits with and without a recorder, in pairs whose order alternates.

    Parameters
    ----------
    name : str
        What is fitted.
    make : callable
        Takes the recorder, or None, and returns a new classifier.
    train_set : small_text.data.Dataset
        What it is fitted on.
    repeats : int
        Pairs.
    say : callable, optional
        Told what is being timed.

    Returns
    -------
    FitTimings
        Seconds.
    """
    timings = FitTimings(name)
    sides: Mapping[bool, list[float]] = {True: timings.recorded, False: timings.plain}
    make(None).fit(train_set)  # the first fit of a process is slower than all later ones
    for repeat in range(repeats):
        say(f"{name}: pair {repeat + 1} of {repeats}")
        for is_recorded in (True, False) if repeat % 2 else (False, True):
            classifier = make(DynamicsRecorder() if is_recorded else None)
            synchronize()
            start = time.perf_counter()
            classifier.fit(train_set)
            synchronize()
            sides[is_recorded].append(time.perf_counter() - start)
    return timings


def dynamics_targets(metrics: MetricTimings, fits: list[FitTimings]) -> list[Target]:
    """Return what is asked for beside what was measured."""
    items = f"{metrics.num_items:,} items, {NUM_EPOCHS} epochs, {NUM_CLASSES} classes"
    speed_up = ratios(metrics.loop, metrics.ours)
    return [
        Target(f"coordinates of {items}, s", tuple(metrics.ours), at_most=_SECONDS_ASKED, digits=3),
        Target(
            f"the published loop over it, EXTRAPOLATED from {metrics.num_sampled:,} items",
            speed_up,
            digits=0,
        ),
        Target(
            "largest difference to the loop",
            (metrics.difference,),
            at_most=_DIFFERENCE_ASKED,
            digits=None,
        ),
        *(
            Target(
                f"fit with a recorder over without, {each.name}",
                each.overhead,
                at_most=_OVERHEAD_ASKED,
                digits=3,
            )
            for each in fits
        ),
    ]


def dynamics(
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each side.")] = 5,
    items: Annotated[int, typer.Option(min=10, help="Items of the coordinates.")] = NUM_ITEMS,
    sample: Annotated[int, typer.Option(min=1, help="Items that the loop goes through.")] = 2000,
    vectors: Annotated[
        int, typer.Option(min=10, help="Vectors that a head is fitted on.")
    ] = 10_000,
    texts: Annotated[int, typer.Option(min=8, help="Texts that an encoder is fitted on.")] = 320,
    model: Annotated[str, typer.Option(help="minilm, a folder, or a name on the hub.")] = "minilm",
    vectors_from: Annotated[str, typer.Option(help="Data set of the vectors.")] = "debian-sections",
    texts_from: Annotated[str, typer.Option(help="Data set of the texts.")] = "movie-snippets",
    out: Annotated[Path | None, typer.Option(help="Also write the seconds as JSON.")] = None,
) -> None:
    """Coordinates of a data map against the published loop, and what recording adds to a fit.

    The loop is written anew, goes through a sample of the items, and is extrapolated. Fits with and
    without a recorder come in pairs whose order alternates; the recorder observes the training
    passes.
    """
    with console.status("coordinates") as status:
        metrics = measure_metrics(items, min(sample, items), repeats, status.update)
        status.update("preparing the fits")
        fits = [
            measure_fits(*head_contest(vectors_from, vectors, model), repeats, status.update),
            measure_fits(*encoder_contest(texts_from, texts, model), repeats, status.update),
        ]
    targets = dynamics_targets(metrics, fits)
    rows = [
        ("coordinates, ours", spread(metrics.ours)),
        ("coordinates, the published loop, EXTRAPOLATED", spread(metrics.loop)),
    ]
    for each in fits:
        rows += [
            (f"{each.name}, recorded", spread(each.recorded)),
            (f"{each.name}, not recorded", spread(each.plain)),
        ]
    console.print(make_table(f"seconds: {REPEATS_HEADING}", ("what", "seconds"), rows))
    console.print(target_table(targets))
    write_measurement(
        out,
        {
            "settings": {"repeats": repeats, "vectors": vectors, "texts": texts, "model": model},
            "coordinates": asdict(metrics),
            "fits": [{**asdict(each), "overhead": each.overhead} for each in fits],
            "targets": [target.as_json() for target in targets],
        },
    )


def head_contest(
    dataset: str, num_vectors: int, model: str
) -> tuple[str, MakeClassifier, SklearnDataset]:
    """Return a name, a maker of heads, and vectors to fit them on."""
    drawn = draw_texts(dataset, num_vectors)
    x = np.asarray(encode_dataset(drawn, resolve_encoder(model)), dtype=np.float32)
    num_classes = len(drawn.class_names)
    train_set = SklearnDataset(x, drawn.labels, target_labels=np.arange(num_classes))

    def make(recorder: DynamicsRecorder | None) -> MLPClassification:
        return MLPClassification(
            MLPModelArguments(), num_classes, device=compute_device(), recorder=recorder, seed=0
        )

    return f"a head on {num_vectors:,} vectors of {dataset}", make, train_set


def encoder_contest(dataset: str, num_texts: int, model: str) -> tuple[str, MakeClassifier, Any]:
    """Return a name, a maker of classifiers, and texts to fine-tune them on."""
    drawn = draw_texts(dataset, num_texts)
    folder = resolve_encoder(model).folder

    def make(recorder: DynamicsRecorder | None) -> Any:  # noqa: ANN401
        return our_classifier(folder, drawn, num_epochs=1, recorder=recorder)

    return f"an encoder on {num_texts:,} texts of {dataset}", make, our_dataset(drawn)
