"""``perf classifier``: prediction and training, ours against small-text's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from benchmarks.encoders import resolve_encoder
from benchmarks.perf.contestants import BATCH_SIZE, make_sides
from benchmarks.perf.prediction import (
    PredictionPlan,
    PredictionTiming,
    check_lengths,
    largest_difference,
    longest_text,
    measure_prediction,
    speedup,
)
from benchmarks.perf.shared import (
    REPEATS_HEADING,
    Target,
    console,
    draw_texts,
    make_table,
    spread,
    target_table,
    write_measurement,
)
from benchmarks.perf.steps import StepTiming, measure_steps, step_ratios
from small_text_ext.training.precision import Precision

_NO_BFLOAT16 = "no bfloat16 in this hardware"
_SPEEDUPS: dict[Precision, dict[str, float]] = {
    "float32": {"128": 4, "512": 15, "best": 1.5},
    "bfloat16": {"128": 6, "512": 25, "best": 2.5},
}
_DIFFERENCES: dict[Precision, float | None] = {"float32": 1e-4, "bfloat16": None}
# The length at which the host's training is to be beaten.
_TRAINED_AT = 128
# What the host's step is divided by ours, and ours by the bare loop's.
_STEPS: dict[Precision, tuple[float | None, float | None]] = {
    "float32": (3, 1.1),
    "bfloat16": (None, None),
}
_BEST = "best"
_NUM_TAUGHT = 256


def classifier(
    texts: Annotated[int, typer.Option(min=2, help="Texts that ours predicts.")] = 1500,
    host_texts: Annotated[
        int, typer.Option(min=2, help="Of them the host predicts at 128 tokens; fewer at more.")
    ] = 300,
    max_length: Annotated[
        list[int] | None,
        typer.Option(help="Fixed lengths of the host: 128 and 512; it trains at the smallest."),
    ] = None,
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Inference batches of the host: 12, 32 and 64.")
    ] = None,
    steps: Annotated[int, typer.Option(min=2, help="Training steps of ours.")] = 16,
    host_steps: Annotated[int, typer.Option(min=2, help="Training steps of the host.")] = 6,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of everything.")] = 3,
    model: Annotated[str, typer.Option(help="minilm, a folder, or a name on the hub.")] = "minilm",
    dataset: Annotated[str, typer.Option(help="Where the texts are from.")] = "movie-snippets",
    out: Annotated[Path | None, typer.Option(help="Also write the numbers as JSON.")] = None,
) -> None:
    """Prediction and training steps of TransformerClassification, ours and the host's.

    Same checkpoint and weights, sides in turn within each repeat. The host's texts a second are
    those of its best batch size, and leave out its tokenising, which ours does while predicting.
    """
    drawn = draw_texts(dataset, max(texts, steps * BATCH_SIZE))
    predicted, trained = (drawn.rows(np.arange(n)) for n in (texts, steps * BATCH_SIZE))
    lengths, batch_sizes = tuple(max_length or (128, 512)), tuple(batch_size or (12, 32, 64))
    with console.status("loading the model") as status:
        sides = make_sides(resolve_encoder(model).folder, drawn, _NUM_TAUGHT)
        check_lengths(lengths, longest_text(sides, drawn))
        longest = longest_text(sides, predicted)
        fixed = tuple(sorted({*lengths, longest}))
        plan = PredictionPlan(predicted, host_texts, fixed, batch_sizes)
        predictions = measure_prediction(sides, plan, repeats, status.update)
        fits = measure_steps(
            sides, trained, min(host_steps, steps), min(lengths), repeats, status.update
        )
    targets = [*_prediction_targets(predictions, lengths, longest), *_step_targets(fits)]
    console.print(_prediction_table(predictions, longest))
    console.print(_step_table(fits))
    console.print(target_table(targets))
    content = {
        "settings": {"dataset": dataset, "model": model, "repeats": repeats, "longest": longest},
        "prediction": [timing.as_json() for timing in predictions],
        "training": [timing.as_json() for timing in fits],
        "targets": [target.as_json() for target in targets],
    }
    write_measurement(out, content)


def _prediction_targets(
    timings: Sequence[PredictionTiming], lengths: Sequence[int], longest: int
) -> list[Target]:
    named = {**{str(length): length for length in lengths}, _BEST: longest}
    targets = []
    for precision, bounds in _SPEEDUPS.items():
        for name, length in named.items():
            what = f"the best fixed length, {longest}" if name == _BEST else f"{length} tokens"
            measure = f"texts a second, {precision}, over the host's at {what}"
            values = speedup(timings, length, precision)
            targets.append(Target(measure, values, bounds.get(name), reason=_NO_BFLOAT16))
    for precision, bound in _DIFFERENCES.items():
        measure = f"largest difference of probabilities, {precision}"
        values = largest_difference(timings, precision)
        targets.append(Target(measure, values, at_most=bound, reason=_NO_BFLOAT16, digits=None))
    return targets


def _step_targets(timings: Sequence[StepTiming]) -> list[Target]:
    targets = []
    length = timings[0].max_length
    for precision, (host_bound, bare_bound) in _STEPS.items():
        over_host = step_ratios(timings, ("host", "float32"), ("ours", precision))
        over_bare = step_ratios(timings, ("ours", precision), ("bare", precision))
        measure = f"the host's step at {length} tokens over ours, {precision}"
        bound = host_bound if length == _TRAINED_AT else None
        targets.append(Target(measure, over_host, bound, reason=_NO_BFLOAT16))
        measure = f"our step over a bare loop's on the same batches, {precision}"
        targets.append(Target(measure, over_bare, at_most=bare_bound, reason=_NO_BFLOAT16))
    return targets


def _prediction_table(timings: Sequence[PredictionTiming], longest: int) -> Table:
    rows = [
        (
            timing.name + (" (cuts no text)" if timing.max_length == longest else ""),
            str(timing.num_texts),
            spread(timing.rates(), 1),
            spread(timing.rates(with_tokenizing=True), 1),
        )
        for timing in timings
    ]
    columns = ("prediction", "texts", "texts a second, tokenised before", "tokenising included")
    return make_table(f"prediction: {REPEATS_HEADING}", columns, rows)


def _step_table(timings: Sequence[StepTiming]) -> Table:
    rows = [
        (timing.name, str(timing.num_steps), spread(timing.seconds), spread(timing.fits))
        for timing in timings
    ]
    columns = ("training", "steps", "seconds a step", "seconds of the whole fit, by step")
    return make_table(f"training, batches of {BATCH_SIZE}: {REPEATS_HEADING}", columns, rows)
