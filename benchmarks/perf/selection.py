"""``perf selection``: what choosing batches costs a step, against the arithmetic bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
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
    spread,
    synchronize,
    target_table,
    write_measurement,
)
from small_text_ext import MLPClassification, MLPModelArguments
from small_text_ext.training.online_selection import ScoreSelector
from small_text_ext.training.seams import CandidateBatch, FitPlan, Selection

_ASKED = 1.15
_HIDDEN_SIZE, _HEAD_BATCH = 512, 32
_FEWEST_STEPS = 4

Say = Callable[[str], object]
MakeClassifier = Callable[[ScoreSelector], Any]


class ClockedSelector(ScoreSelector):
    """A selector that notes when it is asked, and may time one more forward pass off the clock.

    Parameters
    ----------
    *args : Any
        Those of `ScoreSelector`.
    probes : bool, default=False
        Whether to time a forward pass over the candidates at every step.
    **kwargs : Any
        Those of `ScoreSelector`.
    """

    def __init__(self, *args: Any, probes: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.probes = probes
        self.beginnings: list[float] = []
        self.passes: list[float] = []

    def begin(self, plan: FitPlan) -> int:
        """Start a fit; see `ScoreSelector.begin`."""
        self.beginnings, self.passes = [], []
        return super().begin(plan)

    def select(self, batch: CandidateBatch) -> Selection:
        """Choose what is trained; see `ScoreSelector.select`."""
        synchronize()
        self.beginnings.append(time.perf_counter())
        selection = super().select(batch)
        if self.probes:
            start = time.perf_counter()
            batch.score(training=True)
            synchronize()
            self.passes.append(time.perf_counter() - start)
        return selection

    def seconds_per_step(self) -> float:
        """Return the mean seconds from one choice to the next, probes left out.

        Raises
        ------
        RuntimeError
            If there were too few steps to take a mean of.
        """
        steps = len(self.beginnings) - 1
        if steps < _FEWEST_STEPS:
            raise RuntimeError(f"{steps + 1} steps were made: pass more texts, or a smaller ratio.")
        return (self.beginnings[-1] - self.beginnings[0] - sum(self.passes[:-1])) / steps


@dataclass
class SelectionTimings:
    """Seconds of a step at one ratio of candidates to what is trained, repeat by repeat.

    Parameters
    ----------
    name : str
        What is trained.
    ratio : int
        Candidates for one that is trained.
    uniform, forward, selected : list of float
        A step on a random part; a forward pass over the candidates; a step on what reducible loss
        chose.
    """

    name: str
    ratio: int
    uniform: list[float] = field(default_factory=list)
    forward: list[float] = field(default_factory=list)
    selected: list[float] = field(default_factory=list)

    @property
    def forward_share(self) -> tuple[float, ...]:
        """``f``: a forward pass over as many items as are trained, over the step."""
        pairs = zip(self.forward, self.uniform, strict=True)
        return tuple(forward / self.ratio / step for forward, step in pairs)

    @property
    def slow_down(self) -> tuple[float, ...]:
        """A step with selection over one without."""
        return tuple(a / b for a, b in zip(self.selected, self.uniform, strict=True))

    @property
    def over_bound(self) -> tuple[float, ...]:
        """The slow-down over ``1 + r f``."""
        bounds = (1 + self.ratio * share for share in self.forward_share)
        return tuple(a / b for a, b in zip(self.slow_down, bounds, strict=True))


def measure_selection(
    name: str,
    make: MakeClassifier,
    train_set: Any,  # noqa: ANN401
    ratio: int,
    repeats: int,
    say: Say = lambda message: None,
) -> SelectionTimings:
    """Time steps with and without selection, in pairs whose order alternates.

    Parameters
    ----------
    name : str
        What is trained.
    make : callable
        Takes a selector, and returns a new classifier.
    train_set : small_text.data.Dataset
        What it is trained on.
    ratio : int
        Candidates for one that is trained.
    repeats : int
        Pairs.
    say : callable, optional
        Told what is being timed.

    Returns
    -------
    SelectionTimings
        Seconds.
    """
    timings = SelectionTimings(name, ratio)
    irreducible = np.zeros(len(train_set))

    def fit(score: str) -> ClockedSelector:
        selector = ClockedSelector(
            score, irreducible, selected_fraction=1 / ratio, probes=score == "uniform"
        )
        make(selector).fit(train_set)
        return selector

    fit("uniform")  # the first fit of a process is slower than all later ones
    for repeat in range(repeats):
        say(f"{name}, ratio {ratio}: repeat {repeat + 1} of {repeats}")
        order = ("uniform", "reducible_loss")
        found = {score: fit(score) for score in (order if repeat % 2 else order[::-1])}
        plain = found["uniform"]
        timings.uniform.append(plain.seconds_per_step())
        timings.forward.append(float(np.mean(plain.passes[1:])))
        timings.selected.append(found["reducible_loss"].seconds_per_step())
    return timings


def selection(
    repeats: Annotated[int, typer.Option(min=1, help="Pairs of fits.")] = 3,
    ratio: Annotated[
        list[int] | None, typer.Option(min=2, help="Candidates for one that is trained.")
    ] = None,
    vectors: Annotated[int, typer.Option(min=10, help="Vectors that a head is fitted on.")] = 6_000,
    texts: Annotated[int, typer.Option(min=8, help="Texts that an encoder is fitted on.")] = 960,
    model: Annotated[str, typer.Option(help="minilm, a folder, or a name on the hub.")] = "minilm",
    dataset: Annotated[str, typer.Option(help="Data set of both.")] = "movie-snippets",
    out: Annotated[Path | None, typer.Option(help="Also write the seconds as JSON.")] = None,
) -> None:
    """Time a step on what reducible loss chose, and one on a random part of as many candidates.

    The bound is 1 + r f: r candidates for one that is trained, and f the share of a step that a
    forward pass over as many items takes, timed in the same run.
    """
    ratios = ratio or [5]
    with console.status("preparing") as status:
        contests = [
            head_contest(dataset, vectors, model),
            encoder_contest(dataset, texts, model),
        ]
        timings = [
            measure_selection(*contest, each, repeats, status.update)
            for contest in contests
            for each in ratios
        ]
    console.print(seconds_table(timings))
    targets = selection_targets(timings)
    console.print(target_table(targets))
    write_measurement(
        out,
        {
            "settings": {"repeats": repeats, "vectors": vectors, "texts": texts, "model": model},
            "timings": [{**asdict(each), "forward_share": each.forward_share} for each in timings],
            "targets": [target.as_json() for target in targets],
        },
    )


def seconds_table(timings: Sequence[SelectionTimings]) -> Any:  # noqa: ANN401
    """Return the milliseconds of each ratio."""
    rows = [
        (
            each.name,
            str(each.ratio),
            *(
                spread([1000 * value for value in values], 2)
                for values in (each.uniform, each.forward, each.selected)
            ),
            spread(each.forward_share, 2),
            spread(each.slow_down, 2),
        )
        for each in timings
    ]
    columns = ("what", "r", "uniform step", "forward pass", "selected step", "f", "slow-down")
    return make_table(f"milliseconds: {REPEATS_HEADING}", columns, rows)


def selection_targets(timings: Sequence[SelectionTimings]) -> list[Target]:
    """Return what is asked for beside what was measured."""
    return [
        Target(
            f"slow-down over 1 + r f, {each.name}, r = {each.ratio}",
            each.over_bound,
            at_most=_ASKED,
        )
        for each in timings
    ]


def head_contest(
    dataset: str, num_vectors: int, model: str
) -> tuple[str, MakeClassifier, SklearnDataset]:
    """Return a name, a maker of heads, and vectors to fit them on."""
    drawn = draw_texts(dataset, num_vectors)
    x = np.asarray(encode_dataset(drawn, resolve_encoder(model)), dtype=np.float32)
    num_classes = len(drawn.class_names)
    train_set = SklearnDataset(x, drawn.labels, target_labels=np.arange(num_classes))

    def make(selector: ScoreSelector) -> MLPClassification:
        return MLPClassification(
            MLPModelArguments(_HIDDEN_SIZE, dropout=0.2),
            num_classes,
            num_epochs=5,
            batch_size=_HEAD_BATCH,
            device=compute_device(),
            batch_selector=selector,
            seed=0,
        )

    return f"a head of {_HIDDEN_SIZE} units", make, train_set


def encoder_contest(dataset: str, num_texts: int, model: str) -> tuple[str, MakeClassifier, Any]:
    """Return a name, a maker of classifiers, and texts to fine-tune them on."""
    drawn = draw_texts(dataset, num_texts)
    folder = resolve_encoder(model).folder

    def make(selector: ScoreSelector) -> Any:  # noqa: ANN401
        return our_classifier(folder, drawn, num_epochs=1, batch_selector=selector)

    return "an encoder", make, our_dataset(drawn)
